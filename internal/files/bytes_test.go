package files_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/files/filestest"
)

// places opens an empty one of every sort of place where bytes are kept.
var places = map[string]func(*testing.T) files.Bytes{
	"disk": func(t *testing.T) files.Bytes {
		t.Helper()
		disk, err := files.NewDisk(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return disk
	},
	"S3": func(t *testing.T) files.Bytes {
		t.Helper()
		return bucket(t, filestest.Start(t).Bucket(t))
	},
}

// bucket opens the bucket of an address, which can be written.
func bucket(t *testing.T, address string) *files.S3 {
	t.Helper()
	s, err := files.NewS3(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Find(t.Context()), s.Probe(t.Context())); err != nil {
		t.Fatal(err)
	}
	return s
}

func each(t *testing.T, run func(*testing.T, files.Bytes)) {
	t.Helper()
	for name, open := range places {
		t.Run(name, func(t *testing.T) { run(t, open(t)) })
	}
}

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func put(t *testing.T, in files.Bytes, name, body string) error {
	t.Helper()
	return in.Put(t.Context(), name, strings.NewReader(body), int64(len(body)), hashOf(body))
}

// get returns a whole object.
func get(t *testing.T, in files.Bytes, name string) (string, error) {
	t.Helper()
	object, err := in.Open(t.Context(), name)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(object)
	if err == nil && object.Size() != int64(len(body)) {
		t.Errorf("%s has %d bytes, not %d", name, len(body), object.Size())
	}
	return string(body), errors.Join(err, object.Close())
}

// TestBytesAreNotReplaced: of two nodes that store an upload, the first wins, so that
// the bytes of a message do not change; storing the same again is no fault.
func TestBytesAreNotReplaced(t *testing.T) {
	each(t, func(t *testing.T, in files.Bytes) { //nolint:thelper // the test itself
		for _, tc := range []struct {
			body string
			want gotong.Code
		}{{"abc", ""}, {"abc", ""}, {"abd", gotong.CodeConflict}, {"ab", gotong.CodeConflict}} {
			if err := put(t, in, id, tc.body); gotong.CodeOf(err) != tc.want {
				t.Errorf("%s: %v", tc.body, err)
			}
		}
		if kept, err := get(t, in, id); kept != "abc" || err != nil {
			t.Errorf("%q, %v", kept, err)
		}
	})
}

// TestOtherBytesAreNotKept: what is cut off, goes on, or differs is not kept, and is
// no obstacle to the right bytes.
func TestOtherBytesAreNotKept(t *testing.T) {
	each(t, func(t *testing.T, in files.Bytes) { //nolint:thelper // the test itself
		for _, body := range []string{"", "ab", "abd", "abcd"} {
			if err := in.Put(t.Context(), id, strings.NewReader(body), 3, hashOf("abc")); !errors.Is(err, files.ErrDiffers) {
				t.Errorf("%q: %v", body, err)
			}
			if _, err := in.Open(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%q is kept: %v", body, err)
			}
		}
		if err := put(t, in, id, "abc"); err != nil {
			t.Error(err)
		}
	})
}

// TestAnyPartIsRead: as range requests do it.
func TestAnyPartIsRead(t *testing.T) {
	each(t, func(t *testing.T, in files.Bytes) { //nolint:thelper // the test itself
		body := strings.Repeat("0123456789", 20_000)
		if err := put(t, in, files.ThumbOf(id), body); err != nil {
			t.Fatal(err)
		}
		object, err := in.Open(t.Context(), files.ThumbOf(id))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = object.Close() }()
		for _, at := range []int64{0, 199_990, 5, 5, 65_536} {
			got := make([]byte, 10)
			if _, err := object.Seek(at, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(object, got); err != nil || string(got) != body[at:at+10] {
				t.Errorf("at %d: %q, %v", at, got, err)
			}
		}
		if end, err := object.Seek(-3, io.SeekEnd); end != 199_997 || err != nil {
			t.Fatalf("%d, %v", end, err)
		}
		if back, err := object.Seek(-2, io.SeekCurrent); back != 199_995 || err != nil {
			t.Fatalf("%d, %v", back, err)
		}
		if rest, err := io.ReadAll(object); string(rest) != "56789" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		if n, err := object.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %d, %v", n, err)
		}
		if _, err := object.Seek(-1, io.SeekStart); err == nil {
			t.Error("there is a place before the beginning")
		}
	})
}

func TestRemovedBytesAreGone(t *testing.T) {
	each(t, func(t *testing.T, in files.Bytes) { //nolint:thelper // the test itself
		if err := put(t, in, id, "abc"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := in.Remove(t.Context(), id); err != nil {
				t.Error(err)
			}
			if _, err := in.Open(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
	})
}

func TestFilesOnDiskArePrivate(t *testing.T) {
	dir := t.TempDir()
	disk, err := files.NewDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(put(t, disk, id, "abc"), put(t, disk, id, "abc")); err != nil {
		t.Fatal(err)
	}
	if err := disk.Put(t.Context(), id, bytes.NewReader(nil), 1, hashOf("a")); err == nil {
		t.Error("nothing was taken for a byte")
	}
	names, err := filepath.Glob(filepath.Join(dir, "*", ".*"))
	if err != nil || len(names) > 0 {
		t.Errorf("%v is left, %v", names, err)
	}
	about, err := os.Stat(filepath.Join(dir, id[:2], id))
	if err != nil || about.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", about.Mode(), err)
	}
}
