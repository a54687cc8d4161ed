package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/auth"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// tinyBackups is a small file system to fill. TestMain removes the variable.
var tinyBackups = os.Getenv("GOTONG_TINY_BACKUP_DIR")

// tinySize is the least size of that file system; .ci/run makes a larger one.
const tinySize = 3 << 20

// TestBackupOnAFullDisk: a backup on a disk that becomes full at any of its steps leaves
// nothing; a restore says so too, and the same command completes it when there is room.
func TestBackupOnAFullDisk(t *testing.T) {
	if tinyBackups == "" {
		t.Skip("NOT TESTED: backups on a full disk, because GOTONG_TINY_BACKUP_DIR names no small file system (.ci/run mounts one)")
	}
	in, err := os.MkdirTemp(tinyBackups, "backup-*") //nolint:usetesting // in that file system, not in the usual one
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(in, "ballast")
	t.Cleanup(func() {
		if err := os.RemoveAll(in); err != nil {
			t.Error(err)
		}
	})
	// leave fills the file system but for so many bytes.
	leave := func(room int64) {
		t.Helper()
		f, err := os.Create(ballast)
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		size, _ := f.Seek(0, io.SeekCurrent)
		if size < tinySize/4 || size > 64<<20 {
			t.Fatalf("%s is not a small file system with room: %d bytes", tinyBackups, size)
		}
		if err := f.Truncate(size - room); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	db, _, _ := chatting(t)
	path, _ := strings.CutPrefix(db, "sqlite:")
	size, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(in, "b")
	for step, room := range map[string]int64{"directory": 0, "snapshot": 64 << 10, "log": size.Size() + 16<<10} {
		leave(room)
		r := command(t, nil, "backup", "--data="+filepath.Dir(path), to)
		if r.code != 1 || !strings.Contains(r.err, "full") && !strings.Contains(r.err, "no space left") {
			t.Errorf("%s: %+v", step, r)
		}
		if entries, err := os.ReadDir(in); err != nil || len(entries) != 1 {
			t.Errorf("%s: %v, %v", step, entries, err)
		}
	}
	whole := filepath.Join(t.TempDir(), "b")
	if r := command(t, nil, "backup", "--data="+filepath.Dir(path), whole); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	data := filepath.Join(in, "data")
	for step, room := range map[string]int64{"beginning": 0, "copy": 128 << 10} {
		leave(room)
		r := command(t, nil, "restore", "--verify", "--data="+data, whole)
		if r.code != 1 || !strings.Contains(r.err, "full") && !strings.Contains(r.err, "no space left") {
			t.Errorf("%s: %+v", step, r)
		}
		if _, err := os.Stat(filepath.Join(data, "gotong.db")); err == nil {
			t.Errorf("%s: a server could start on the database", step)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if r := object[restored](t, command(t, nil, "restore", "--verify", "--json", "--data="+data, whole)); !r.Verified {
		t.Errorf("%+v", r)
	}
}

// TestBackupOfASurrealDB: a backup is restored into a SurrealDB, whose backup is restored
// into an SQLite file with the same log. One engine suffices: the adapter is the same.
func TestBackupOfASurrealDB(t *testing.T) {
	if testing.Short() {
		t.Skip("TestBackupOfASurrealDB runs without -short")
	}
	first, second, empty := smallBackup(t), filepath.Join(t.TempDir(), "backup"), t.TempDir()
	at := []string{"--store=" + surrealtest.URL(t, surrealtest.V3), "--signing-key=" + auth.NewSigningKey(), "--json"}
	r := command(t, nil, append([]string{"restore", "--data=" + t.TempDir(), first}, at...)...)
	into := object[restored](t, r)
	if r.code != 0 || into.New == into.Epoch || strings.Contains(r.out+r.err, "root:root") {
		t.Fatalf("%+v", r)
	}
	r = command(t, nil, append([]string{"backup", "--data=" + empty, second}, at...)...)
	m := object[manifest](t, r)
	if r.code != 0 || m.Epoch != into.New || m.SigningKey || !maps.Equal(m.Heads, into.Heads) || m.Rows[logcopy.Events] != into.Rows[logcopy.Events] {
		t.Fatalf("%+v", r)
	}
	r = command(t, nil, "restore", "--verify", "--json", "--data="+filepath.Join(t.TempDir(), "data"), second)
	if back := object[restored](t, r); r.code != 0 || !back.Verified || !maps.Equal(back.Heads, into.Heads) {
		t.Errorf("%+v", r)
	}
}

// TestBesideAServer: export and epoch list read the store of a running server; what would
// change it is rejected, and the error names the process.
func TestBesideAServer(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	b := interruptible(t, serveArgs(data)...)
	url := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
	imported(t, url, account(t, url, "Wati"), sample, "--scope=rt05")
	db, file := "--store=sqlite:"+filepath.Join(data, "gotong.db"), filepath.Join(t.TempDir(), "log.ndjson")
	if r := command(t, nil, "epoch", "list", db); r.code != 0 || !strings.Contains(r.out, "from the beginning") {
		t.Errorf("%+v", r)
	}
	e := done(t, "export", db, file)
	if e.Rows[logcopy.Events] < 60 {
		t.Errorf("%+v", e)
	}
	for _, args := range [][]string{{"export", "--seal", db, file + "2"}, {"epoch", "new", db}} {
		if r := command(t, nil, args...); r.code != 1 || !strings.Contains(r.err, "process") {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if code := b.stop(); code != 0 {
		t.Errorf("serve ended with %d: %s", code, b.errs.String())
	}
	if r := command(t, nil, "import-log", "--dry-run", "--store=sqlite:"+filepath.Join(t.TempDir(), "x.db"), file); r.code != 0 {
		t.Errorf("%+v", r)
	}
}
