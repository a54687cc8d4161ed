// Package files keeps the bytes of uploads: it receives them into a directory of this
// node, makes pictures harmless, and keeps what remains in [Bytes]. A reader counts
// what users and homes use, and its jobs remove the bytes of uploads that ended.
//
// # Caveats
//
// Nothing here decides who may upload or read; the routes ask the rules. The counts
// follow the log with a delay, so quotas may be exceeded by what a user starts within
// a fraction of a second.
package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/upload"
)

// Options are what files are kept with; all are required.
type Options struct {
	Bytes Bytes
	Dir   string // for uploads that are not finished
	Limits
}

// Limits bound what is kept, in bytes.
type Limits struct {
	File    int64 // one file
	PerUser int64 // all files of a user
	PerHome int64 // all files of the threads of a home
}

// MaxOpen is how many uploads of a user may be unfinished.
const MaxOpen = 10

// Files receives and keeps files.
type Files struct {
	Options
	slot   chan struct{} // of the picture that is decoded
	tidied atomic.Int64  // when, in milliseconds
}

// New returns files with these options. It creates the directory, and removes from it
// what is left of uploads that never began, or that ended on another node.
func New(o Options) (*Files, error) {
	f := &Files{Options: o, slot: make(chan struct{}, 1)}
	return f, errors.Join(os.MkdirAll(o.Dir, 0o700), f.sweep())
}

func (f *Files) sweep() error { return sweep(filepath.Join(f.Dir, "*")) }

// Tidy removes the same again, once an hour at most.
func (f *Files) Tidy(now gotong.Instant) error {
	last := f.tidied.Load()
	if now.Milli()-last < time.Hour.Milliseconds() || !f.tidied.CompareAndSwap(last, now.Milli()) {
		return nil
	}
	return f.sweep()
}

// Octets is the type of all that is served as a download only.
const Octets = "application/octet-stream"

// served are the types under which files are served, by what their bytes look like.
// All else is [Octets].
var served = map[string]string{
	"image/jpeg": "image/jpeg", "image/png": "image/png", "image/gif": "image/gif", "image/webp": "image/webp",
	"video/mp4": "video/mp4", "video/webm": "video/webm", "audio/mpeg": "audio/mpeg", "application/ogg": "audio/ogg",
	"audio/wave": "audio/wav", "application/pdf": "application/pdf",
}

// Inline reports whether a browser may show a file of this type in a page.
func Inline(mime string) bool {
	class, _, _ := strings.Cut(mime, "/")
	return mime != "image/svg+xml" && (class == "image" || class == "video" || class == "audio")
}

// ThumbOf is the name of the thumbnail of an upload's bytes.
func ThumbOf(id string) string { return id + ".thumb" }

// Partial is the path of an upload that is not finished, on this node.
func (f *Files) Partial(id string) string { return filepath.Join(f.Dir, id) }

// Receive writes what comes from a client to the partial file of an upload, from its
// beginning, and returns its hash, SHA-256 in hex. It returns [gotong.CodeTooLarge]
// beyond the limit.
func (f *Files) Receive(id string, from io.Reader) (sum string, err error) {
	to, err := os.OpenFile(f.Partial(id), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", full(err)
	}
	h := sha256.New()
	n, err := io.Copy(to, io.TeeReader(io.LimitReader(from, f.File+1), h))
	switch err = errors.Join(err, to.Close()); {
	case err != nil:
		err = full(err)
	case n > f.File:
		err = gotong.NewError(gotong.CodeTooLarge, fmt.Sprintf("The file has more than %d bytes.", f.File))
	case n == 0:
		err = gotong.Invalid("file", "must not be empty")
	default:
		return sumOf(h), nil
	}
	return "", errors.Join(err, f.Discard(id))
}

// Discard removes what this node has of an upload that is not finished.
func (f *Files) Discard(id string) error {
	var errs []error
	for _, suffix := range []string{"", ".info", ".picture", ".thumb"} {
		errs = append(errs, absent(os.Remove(f.Partial(id)+suffix)))
	}
	return errors.Join(errs...)
}

// Finish puts a partial file, or what is made of it, where it is kept, and returns
// what it is. A picture that cannot be made harmless becomes a download.
func (f *Files) Finish(ctx context.Context, id string) (upload.File, error) {
	from, err := os.Open(f.Partial(id))
	if err != nil {
		return upload.File{}, err
	}
	defer func() { _ = from.Close() }()
	head := make([]byte, 512)
	n, err := io.ReadFull(from, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return upload.File{}, err
	}
	u := upload.File{Type: Octets}
	if mime, ok := served[http.DetectContentType(head[:n])]; ok {
		u.Type = mime
	}
	kept := f.Partial(id)
	if strings.HasPrefix(u.Type, "image/") {
		p, err := f.picture(ctx, from, u.Type, kept)
		switch {
		case ctx.Err() != nil:
			return u, ctx.Err()
		case errors.Is(err, errNoPicture):
			u.Type = Octets
		case err != nil:
			return u, full(err)
		default:
			kept += ".picture"
			u.Type, u.Width, u.Height = p.mime, p.width, p.height
			if u.Thumb, u.ThumbSize, err = f.keep(ctx, f.Partial(id)+".thumb", ThumbOf(id)); err != nil {
				return u, err
			}
		}
	}
	u.Hash, u.Size, err = f.keep(ctx, kept, id)
	return u, err
}

// keep puts a file of this node where bytes are kept, and returns its hash and size.
func (f *Files) keep(ctx context.Context, path, name string) (sum string, size int64, err error) {
	from, err := os.Open(path) //nolint:gosec // a path of this package
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = from.Close() }()
	h := sha256.New()
	if size, err = io.Copy(h, from); err == nil {
		_, err = from.Seek(0, io.SeekStart)
	}
	if err != nil {
		return "", 0, err
	}
	sum = sumOf(h)
	return sum, size, f.Bytes.Put(ctx, name, from, size, sum)
}

// Remove removes all bytes of an upload.
func (f *Files) Remove(ctx context.Context, id string) error {
	return errors.Join(f.Bytes.Remove(ctx, id), f.Bytes.Remove(ctx, ThumbOf(id)), f.Discard(id))
}
