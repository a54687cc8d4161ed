package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// post sends one message and takes the answer as it is.
func post(t *testing.T, h *http.Client, url string, th client.Thread, key, body string) (answer, error) {
	t.Helper()
	return rest(t.Context(), h, url, "owner", http.MethodPost, "/v1/chat/threads/"+th.ThreadID+"/messages/send",
		encode(map[string]string{"body": body}), "Idempotency-Key", key)
}

// TestFullDisk fills a real file system, where this process may mount one.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skip("no file system can be mounted here:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	data := filepath.Join(dir, "data")
	server := startChild(t, data)
	if !server.ready() {
		t.Fatal("the server did not start")
	}
	th, stream := makeThread(t, server.url, "owner", client.NewThread{ScopeID: "rt05", Privacy: "private"})
	h, body := new(tap).http(t), strings.Repeat("x", 3900)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	written, full := fillUp(t, h, server.url, th, body)
	if a := must(rest(t.Context(), h, server.url, "owner", "GET", "/v1/chat/threads/"+th.ThreadID+"/messages", ""))(t); a.status != 200 {
		t.Errorf("reading while the disk is full: %s", a)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	must(post(t, h, server.url, th, full, body))(t).want(t, http.StatusCreated, "")
	terminate(t, server)
	rows := readLog(t, data).streams[stream]
	if want := 1 + written + 1; len(rows) != want {
		t.Errorf("%d events in the log, not %d", len(rows), want)
	}
	t.Logf("%d messages before there was no room", written)
}

// fillUp posts until there is no room, and tells which request found none.
func fillUp(t *testing.T, h *http.Client, url string, th client.Thread, body string) (written int, key string) {
	t.Helper()
	for written < 10_000 {
		key := client.NewRequestID()
		switch a := must(post(t, h, url, th, key, body))(t); a.status {
		case http.StatusCreated:
			written++
		case http.StatusInsufficientStorage:
			a.want(t, http.StatusInsufficientStorage, gotong.CodeStorageFull)
			return written, key
		default:
			t.Fatalf("after %d messages: %s", written, a)
		}
	}
	t.Fatal("the disk is never full")
	return 0, ""
}

// TestDiskFault makes the kernel refuse a write of a running server: it stops
// accepting, ends with an error, and loses nothing that it had acknowledged.
func TestDiskFault(t *testing.T) {
	dir := t.TempDir()
	server := startChild(t, dir)
	if !server.ready() {
		t.Fatal("the server did not start")
	}
	th, stream := makeThread(t, server.url, "owner", client.NewThread{ScopeID: "rt05", Privacy: "private"})
	h, body := new(tap).http(t), strings.Repeat("x", 3900)
	must(post(t, h, server.url, th, "k-0", body))(t).want(t, http.StatusCreated, "")
	info := must(os.Stat(filepath.Join(dir, "gotong.db-wal")))(t)
	limit := unix.Rlimit{Cur: uint64(info.Size()) + 100_000, Max: uint64(info.Size()) + 100_000}
	if err := unix.Prlimit(server.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Skip("no limit can be set here:", err)
	}
	written := 1
	for ; written < 10_000; written++ {
		a, err := post(t, h, server.url, th, client.NewRequestID(), body)
		if err != nil {
			t.Fatalf("after %d messages no answer came: %v", written, err)
		}
		if a.status != http.StatusCreated {
			a.want(t, http.StatusServiceUnavailable, gotong.CodeStorageFailed)
			break
		}
	}
	if err := server.cmd.Wait(); err == nil || server.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the server ended with %v", err)
	}
	again := startChild(t, dir)
	if !again.ready() {
		t.Fatal("the server does not recover")
	}
	must(post(t, h, again.url, th, "k-0", body))(t).want(t, http.StatusCreated, "")
	terminate(t, again)
	if n := len(readLog(t, dir).streams[stream]); n != 1+written {
		t.Errorf("%d events in the log, not %d", n, 1+written)
	}
	t.Logf("%d messages before the fault", written)
}
