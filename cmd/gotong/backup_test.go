package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	logcopy "gotong.dev/gotong/internal/copy"
)

// backedUp is a backup of a server on which four clients post all the time, and what a
// client has that read after the backup.
type backedUp struct {
	dir, token, thread string
	newer              client.From
	manifest           manifest
}

func backUpUnderLoad(t *testing.T) (b backedUp) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	server := interruptible(t, serveArgs(data, "--user-rate=100000", "--user-burst=100000", "--address-rate=100000", "--address-burst=100000")...)
	defer func() {
		if code := server.stop(); code != 0 {
			t.Errorf("serve ended with %d: %s", code, server.errs.String())
		}
	}()
	url := field(t, server.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
	b.token = account(t, url, "Wati")
	b.thread = imported(t, url, b.token, sample, "--scope=rt05").Thread
	attach(t, url, b.token, b.thread, "isi catatan")
	wati := as(t, url, b.token)
	ctx, enough := context.WithCancel(t.Context())
	var posters sync.WaitGroup
	for range 4 {
		began := make(chan struct{})
		posters.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, err := wati.Send(ctx, b.thread, client.NewMessage{Body: "pesan " + strconv.Itoa(i)})
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				if i == 0 {
					close(began)
				}
			}
		})
		<-began
	}
	b.dir = filepath.Join(t.TempDir(), "backup")
	r := command(t, nil, "backup", "--data="+data, "--json", b.dir)
	enough()
	posters.Wait()
	if r.code != 0 || r.err != "" {
		t.Fatalf("backup: %+v", r)
	}
	b.manifest = object[manifest](t, r)
	if _, err := wati.Send(t.Context(), b.thread, client.NewMessage{Body: "sesudahnya"}); err != nil {
		t.Fatal(err)
	}
	later, err := wati.Messages(t.Context(), b.thread, client.Range{})
	if err != nil {
		t.Fatal(err)
	}
	b.newer = later.AsOf
	return b
}

// A flag, because TestMain removes the variables GOTONG_….
var restores = flag.Int("restores", 2, "how often a backup is restored")

// TestBackupUnderLoad: a backup of a server in use is restored twice, in make soak 20
// times. Each time it verifies, and a client that has read more than the backup holds
// gets epoch_changed.
func TestBackupUnderLoad(t *testing.T) {
	b := backUpUnderLoad(t)
	if m := &b.manifest; !m.SigningKey || !m.Checkpoints || m.Rows[logcopy.Events] < 60 || m.Attachments == nil || m.Attachments.Objects != 1 {
		t.Errorf("%+v", m)
	}
	for i := range *restores {
		data := filepath.Join(t.TempDir(), "data")
		args := []string{"restore", "--verify", "--json", "--data=" + data, b.dir}
		if i > 0 {
			args = append(args, "--keep-logins")
		}
		r := command(t, nil, args...)
		if r.code != 0 || r.err != "" {
			t.Fatalf("restore %d: %+v", i, r)
		}
		if got := object[restored](t, r); !got.Verified || got.New == got.Epoch || (got.Logins > 0) != (i == 0) {
			t.Errorf("restore %d: %+v", i, got)
		}
		if i == 0 {
			if again := command(t, nil, args...); again.code != 2 || !strings.Contains(again.err, "is not empty") {
				t.Errorf("over it: %+v", again)
			}
			continue // the token has ended
		}
		server := interruptible(t, serveArgs(data, "--checkpoints-new")...)
		url := field(t, server.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
		wati := as(t, url, b.token)
		_, err := wati.Messages(t.Context(), b.thread, client.Range{After: b.newer})
		if gotong.CodeOf(err) != gotong.CodeEpochChanged {
			t.Errorf("restore %d, with a newer cursor: %v", i, err)
		}
		if all, err := wati.Messages(t.Context(), b.thread, client.Range{}); err != nil || len(all.Items) == 0 {
			t.Errorf("restore %d, from the start: %v", i, err)
		}
		if code := server.stop(); code != 0 {
			t.Errorf("serve ended with %d: %s", code, server.errs.String())
		}
	}
	t.Logf("restored %d times", *restores)
}

// smallBackup is a backup of a stopped server's data.
func smallBackup(t *testing.T) string {
	t.Helper()
	db, _, _ := chatting(t)
	path, _ := strings.CutPrefix(db, "sqlite:")
	dir := filepath.Join(t.TempDir(), "backup")
	if r := command(t, nil, "backup", "--data="+filepath.Dir(path), dir); r.code != 0 || strings.Contains(r.out, "signing.key") {
		t.Fatalf("%+v", r)
	}
	return dir
}

// TestDamagedBackups: the first bad event is named, and nothing looks restored.
func TestDamagedBackups(t *testing.T) {
	dir := smallBackup(t)
	path := filepath.Join(dir, backupLog)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	at := 0
	for i, line := range lines {
		if bytes.Contains(line, []byte(`"kind":"event"`)) && bytes.Contains(line, []byte(`"seq":30,`)) {
			at = i
		}
	}
	event := regexp.MustCompile(`"stream":"([^"]+)"`).FindSubmatch(lines[at])
	if event == nil {
		t.Fatal("no event 30")
	}
	change := func(f func([]byte) []byte) []byte {
		changed := bytes.Clone(bytes.Join(lines[:at], nil))
		return append(append(changed, f(bytes.Clone(lines[at]))...), bytes.Join(lines[at+1:], nil)...)
	}
	for name, c := range map[string]struct {
		log  []byte
		says string
	}{
		"a changed event": {change(func(b []byte) []byte { return bytes.Replace(b, []byte(`"at":1`), []byte(`"at":2`), 1) }), "event 30 of " + string(event[1])},
		"a lost line":     {change(func([]byte) []byte { return nil }), "event 31 of " + string(event[1])},
		"garbage":         {change(func([]byte) []byte { return []byte("\x00\x01\n") }), "after event 29 of " + string(event[1])},
		"cut off":         {bytes.Join(lines[:at], nil), "after event 29 of " + string(event[1])},
	} {
		data := filepath.Join(t.TempDir(), "data")
		if err := os.WriteFile(path, c.log, 0o600); err != nil {
			t.Fatal(err)
		}
		r := command(t, nil, "restore", "--verify", "--data="+data, dir)
		if r.code != 1 || !strings.Contains(r.err, c.says) || !strings.Contains(r.err, "Try: an older backup") {
			t.Errorf("%s: %+v, want %s", name, r, c.says)
		}
		if _, err := os.Stat(data); err == nil {
			t.Errorf("%s: there is a data directory", name)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, backupKey)
	if err := os.WriteFile(key, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := command(t, nil, "restore", "--data="+t.TempDir(), dir); r.code != 1 || !strings.Contains(r.err, "signing.key has another hash") {
		t.Errorf("another key: %+v", r)
	}
}

// TestInterruptedRestore: what an interrupted run left, after any of its steps, the next
// run completes.
func TestInterruptedRestore(t *testing.T) {
	dir := smallBackup(t)
	fill := func(data string) (store string) {
		store = "sqlite:" + filepath.Join(data, restoring, "gotong.db")
		done(t, "import-log", "--store="+store, filepath.Join(dir, backupLog))
		return store
	}
	for name, leave := range map[string]func(data string){
		"within the copy": func(data string) {
			if r := interruptedAt(t, "copying", "restore", "--data="+data, dir); r.code != 1 || !strings.Contains(r.err, "interrupted") {
				t.Fatalf("%+v", r)
			}
		},
		"before the epoch": func(data string) { fill(data) },
		"after the epoch": func(data string) {
			if r := command(t, nil, "epoch", "new", "--store="+fill(data)); r.code != 0 {
				t.Fatalf("%+v", r)
			}
			write(t, filepath.Join(data, backupKey), "of the earlier run")
		},
	} {
		data := filepath.Join(t.TempDir(), "data")
		leave(data)
		if _, err := os.Stat(filepath.Join(data, "gotong.db")); err == nil {
			t.Errorf("%s: a server could start on the database", name)
		}
		again := command(t, nil, "restore", "--verify", "--json", "--data="+data, dir)
		var got restored
		if err := json.Unmarshal([]byte(again.out), &got); err != nil || again.code != 0 || !got.Verified {
			t.Errorf("%s, again: %+v, %v", name, again, err)
		}
		if _, err := os.Stat(filepath.Join(data, restoring)); err == nil {
			t.Errorf("%s: the work is still there", name)
		}
		if l := command(t, nil, "epoch", "list", "--store=sqlite:"+filepath.Join(data, "gotong.db")); strings.Count(l.out, "\n") != 2 {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// interruptedAt runs a command whose context ends when it first shows this stage.
func interruptedAt(t *testing.T, stage string, args ...string) ran {
	t.Helper()
	std, out, errs := pipes(nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	std.progress = true
	std.err = writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte(stage)) {
			cancel()
		}
		return errs.Write(b)
	})
	code := run(ctx, args, std)
	return ran{code, out.String(), errs.String()}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestBackupLeavesNothing: a backup that fails or is interrupted leaves no directory,
// and none replaces another.
func TestBackupLeavesNothing(t *testing.T) {
	db, _, _ := chatting(t)
	path, _ := strings.CutPrefix(db, "sqlite:")
	data, in := filepath.Dir(path), t.TempDir()
	to := filepath.Join(in, "b")
	empty := func(when string) {
		t.Helper()
		if entries, err := os.ReadDir(in); err != nil || len(entries) > 0 {
			t.Errorf("%s: %v, %v", when, entries, err)
		}
	}
	if r := interruptedAt(t, "snapshot", "backup", "--data="+data, to); r.code != 1 {
		t.Errorf("%+v", r)
	}
	empty("interrupted")
	if r := command(t, nil, "backup", "--data="+t.TempDir(), to); r.code != 1 || !strings.Contains(r.err, "there is no database") {
		t.Errorf("%+v", r)
	}
	empty("no database")
	for name, taken := range map[string]string{to: "already exists", to + ".part": "another backup"} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		if r := command(t, nil, "backup", "--data="+data, to); r.code == 0 || !strings.Contains(r.err, taken) {
			t.Errorf("%s: %+v", name, r)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(data, backupKey)); err != nil {
		t.Fatal(err)
	}
	if r := command(t, nil, "backup", "--data="+data, to); r.code != 0 || !strings.Contains(r.out, "a restore logs everyone out") {
		t.Errorf("%+v", r)
	}
}
