package regular_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"gotong.dev/gotong/internal/regular"
)

// TestReadFile would wait for ever if a pipe were opened as a file is.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("text"), []byte("key\n"), 0o600), os.Symlink(at("text"), at("link")),
		syscall.Mkfifo(at("pipe"), 0o600), os.Symlink(at("pipe"), at("piped")), os.Mkdir(at("dir"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	socket, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	for name, want := range map[string]error{
		"text": nil, "link": nil, "missing": os.ErrNotExist, "pipe": regular.ErrNotRegular, "piped": regular.ErrNotRegular,
		"dir": regular.ErrNotRegular, "socket": syscall.ENXIO, "/dev/zero": regular.ErrNotRegular,
	} {
		if !filepath.IsAbs(name) {
			name = at(name)
		}
		text, err := regular.ReadFile(name)
		if !errors.Is(err, want) || want == nil && string(text) != "key\n" {
			t.Errorf("%s: %q, %v; want %v", name, text, err, want)
		}
	}
}

func TestLockIsOfOneOpening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	want := func(f *os.File, want bool) {
		t.Helper()
		if locked, err := regular.Lock(f); err != nil || locked != want {
			t.Errorf("%t, %v; want %t", locked, err, want)
		}
	}
	first, second := open(), open()
	want(first, true)
	want(second, false)
	if _, err := second.WriteAt([]byte("7"), 0); err != nil {
		t.Errorf("the lock is of the right, not of the content: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	want(second, true)
}
