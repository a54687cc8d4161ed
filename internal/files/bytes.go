package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"gotong.dev/gotong"
)

// Bytes is where the bytes of uploads are kept, by name. An object is written as a
// whole or not at all, and is never changed.
type Bytes interface {
	// Put writes an object of this size and hash, SHA-256 in hex. It is durable when
	// Put returns. If from has other bytes, nothing is written, and the error is
	// [ErrDiffers]. An object that exists under this name is kept; if it differs, the
	// error has [gotong.CodeConflict].
	Put(ctx context.Context, name string, from io.ReadSeeker, size int64, sum string) error

	// Open returns an object, or an error that is [io/fs.ErrNotExist].
	Open(ctx context.Context, name string) (Object, error)

	// Remove removes an object if it exists.
	Remove(ctx context.Context, name string) error
}

// Object is an open object. Seeking costs nothing until the next read.
type Object interface {
	io.ReadSeekCloser
	Size() int64
}

// ErrDiffers means that bytes do not have the hash that the log has.
var ErrDiffers = errors.New("files: the bytes have another size or hash than in the log")

// exact reads bytes of a known size and hash. It withholds the end of other bytes,
// so that nothing that counts bytes takes them for complete.
type exact struct {
	from       io.ReadSeeker
	h          hash.Hash
	size, left int64
	sum        string
	differs    bool
}

func newExact(from io.ReadSeeker, size int64, sum string) *exact {
	return &exact{from: from, h: sha256.New(), size: size, left: size, sum: sum}
}

func (e *exact) Read(b []byte) (int, error) {
	n, err := e.from.Read(b)
	_, _ = e.h.Write(b[:n])
	e.left -= int64(n)
	if e.left < 0 || e.left == 0 && sumOf(e.h) != e.sum || e.left > 0 && errors.Is(err, io.EOF) {
		e.differs = true
		return 0, ErrDiffers
	}
	return n, err
}

// Seek goes back to the beginning, whatever it is given: a write is repeated as a whole,
// unless the bytes are wrong.
func (e *exact) Seek(int64, int) (int64, error) {
	if e.differs {
		return 0, ErrDiffers
	}
	e.left = e.size
	e.h.Reset()
	return e.from.Seek(0, io.SeekStart)
}

// same returns [gotong.CodeConflict] unless an object has this hash.
func same(ctx context.Context, in Bytes, name, sum string) error {
	o, err := in.Open(ctx, name)
	if err != nil {
		return err
	}
	h := sha256.New()
	if _, err = io.Copy(h, o); err == nil && sumOf(h) != sum {
		err = gotong.NewError(gotong.CodeConflict, "Other bytes are stored for this upload.")
	}
	return errors.Join(err, o.Close())
}

func sumOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
