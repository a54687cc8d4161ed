package files

import (
	"errors"
	"io"
	"os"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/regular"
)

// Arrived returns how many bytes this node has of an upload that is not finished.
// They are durable.
func (f *Files) Arrived(id string) (n int64, err error) {
	part, err := os.Open(f.Partial(id))
	if err != nil {
		return 0, absent(err)
	}
	about, err := part.Stat()
	if err == nil && about.Size() > 0 {
		n, err = about.Size(), part.Sync()
	}
	return n, errors.Join(err, part.Close())
}

// Append writes what comes from a client to the partial file of an upload, after the
// bytes that have arrived; their number must be at. It returns the number of bytes that
// it wrote, also if it fails; they are durable and remain.
func (f *Files) Append(id string, at int64, from io.Reader) (n int64, err error) {
	to, err := os.OpenFile(f.Partial(id), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, full(err)
	}
	about, err := to.Stat()
	if err == nil && about.Size() != at {
		err = gotong.NewError(gotong.CodeConflict, "The upload has another offset.")
	}
	if err == nil {
		n, err = io.Copy(to, from)
		err = errors.Join(err, to.Sync())
	}
	err = errors.Join(err, to.Close())
	if err == nil && at == 0 {
		err = regular.SyncDir(f.Dir)
	}
	return n, full(err)
}
