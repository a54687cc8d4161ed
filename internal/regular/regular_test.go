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
