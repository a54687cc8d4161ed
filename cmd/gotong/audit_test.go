package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/audit"
)

// TestAudit: a server signs what it commits; the log is verified in its database and
// in an exported file, an event is proved without the server, and a log that was
// put back to an earlier state is found, by verify and by the next start.
func TestAudit(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	dir, db := data+"-checkpoints", "sqlite:"+filepath.Join(data, "gotong.db")
	signUp := func(name string) {
		b := interruptible(t, serveArgs(data)...)
		url := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
		before := signed(t, dir)
		r := command(t, map[string]string{"GOTONG_PASSWORD": "correct horse battery"},
			"token", "--url="+url, "--signup", "--email="+name+"@example.org", "--username="+name)
		await(t, "the server has signed it", func() bool { return r.code != 0 || signed(t, dir) > before })
		v := command(t, nil, "audit", "verify", "--store="+db, "--checkpoints="+dir) // beside the server
		if v.code != 0 || !strings.Contains(v.out, "Verified.") {
			t.Errorf("beside the server: %+v", v)
		}
		if code := b.stop(); code != 0 || r.code != 0 {
			t.Fatalf("serve ended with %d: %s; %+v", code, b.errs.String(), r)
		}
	}
	expect := func(code int, says string, args ...string) ran {
		t.Helper()
		r := command(t, nil, args...)
		if r.code != code || !strings.Contains(r.out+r.err, says) {
			t.Errorf("%v: %+v, want %d and %q", args, r, code, says)
		}
		return r
	}
	signUp("wati")
	key := strings.TrimSpace(expect(0, "+", "audit", "checkpoint", "--checkpoints="+dir, "--keys").out)
	file := filepath.Join(t.TempDir(), "log")
	expect(0, "", "export", "--store="+db, file)
	kept := filepath.Join(t.TempDir(), "kept")
	early, err := os.ReadFile(filepath.Join(data, "gotong.db"))
	if err != nil {
		t.Fatal(err)
	}
	signUp("budi")
	write(t, kept, expect(0, "/p15\n", "audit", "checkpoint", "--checkpoints="+dir).out)

	expect(0, "Verified.", "audit", "verify", "--store="+db, "--checkpoints="+dir)
	expect(0, `"code": 0`, "audit", "verify", "--store="+db, "--checkpoints="+kept, "--key="+key, "--json")
	expect(13, "no checkpoint", "audit", "verify", "--store="+db)
	expect(11, "before the checkpoint", "audit", "verify", file, "--checkpoints="+kept, "--key="+key)
	expect(2, "--key", "audit", "verify", file, "--checkpoints="+kept)
	expect(3, "no database", "audit", "verify", "--store=sqlite:"+data+"/gone.db")

	stream := firstStream(t, db)
	exports(t, expect, db, dir, kept, key, stream)
	proved := expect(0, "tlog-proof", "audit", "prove", string(stream)+":1", "--store="+db, "--checkpoints="+dir).out
	event := filepath.Join(t.TempDir(), "event.json")
	write(t, event, proved)
	expect(0, "Verified: event 1", "audit", "verify", "--proof="+event, "--key="+key)
	write(t, event, strings.Replace(proved, `"type": "user`, `"type": "uzer`, 1))
	expect(10, "chain value", "audit", "verify", "--proof="+event, "--key="+key)
	expect(2, "STREAM:SEQ", "audit", "prove", "x", "--store="+db, "--checkpoints="+dir)

	for _, ending := range []string{"-wal", "-shm"} {
		_ = os.Remove(filepath.Join(data, "gotong.db"+ending))
	}
	write(t, filepath.Join(data, "gotong.db"), string(early))
	expect(11, "before the checkpoint", "audit", "verify", "--store="+db, "--checkpoints="+dir)
	expect(11, "before the checkpoint", "audit", "export", "--store="+db, "--checkpoints="+dir, "--full")
	expect(11, "before the checkpoint", "audit", "export", "--store="+db, "--checkpoints="+dir)
	expect(1, "--accept-rollback", serveArgs(data)...)
	b := interruptible(t, serveArgs(data, "--accept-rollback")...)
	b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") })
	if code := b.stop(); code != 0 || !strings.Contains(b.out.String(), "A rollback was accepted") {
		t.Errorf("accepted: %d, %s", code, b.out.String())
	}
	if r := expect(0, "", "epoch", "list", "--store="+db); strings.Count(r.out, "\n") != 2 {
		t.Errorf("the epochs are %s", r.out)
	}
	expect(0, "Verified.", "audit", "verify", "--store="+db, "--checkpoints="+dir)
}

// signed is the sum of the sizes of the checkpoints of a directory.
func signed(t *testing.T, dir string) (n uint64) {
	t.Helper()
	p, err := (&pins{Checkpoints: dir}).read()
	if err != nil {
		t.Fatal(err)
	}
	for i := range p {
		n += p[i].Checkpoint.Size
	}
	return n
}

func firstStream(t *testing.T, db string) (stream gotong.Stream) {
	t.Helper()
	err := withStore(t.Context(), trust{}, db, func(s *place) error {
		from, err := audit.FromStore(t.Context(), s)
		for p := range gotong.Partition(gotong.Partitions) {
			for c, err := range from.Commits(t.Context(), p) {
				if err != nil {
					return err
				}
				stream = c.Events[0].Stream
			}
		}
		return err
	})
	if err != nil || stream == "" {
		t.Fatal("the log is empty", err)
	}
	return stream
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// exports tries both forms of audit export.
func exports(t *testing.T, expect func(int, string, ...string) ran, db, dir, kept, key string, stream gotong.Stream) {
	t.Helper()
	public, full := filepath.Join(t.TempDir(), "public"), filepath.Join(t.TempDir(), "full")
	at := []string{"--store=" + db, "--checkpoints=" + dir}
	export := func(args ...string) []string { return append(append([]string{"audit", "export"}, at...), args...) }
	expect(0, "commits, with the data of", export("--stream="+string(stream), public)...)
	expect(2, "already exists", export(public)...)
	expect(2, "give either --full or --stream", export("--stream="+string(stream), "--full", full)...)
	expect(2, "no stream", export("--stream=thread/none", full)...)
	expect(2, "--checkpoints", "audit", "export", "--store="+db, full)
	expect(0, "written in", export("--full", full)...)
	for _, file := range []string{public, full} {
		expect(0, "Verified.", "audit", "verify", file, "--key="+key)
		expect(0, `"code": 0`, "audit", "verify", file, "--key="+key, "--checkpoints="+kept, "--json")
		expect(2, "--key", "audit", "verify", file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		chain := bytes.Index(text, []byte(`"chain":"`)) + len(`"chain":"`)
		text[chain] = "10"[text[chain]&1]
		write(t, file+".bad", string(text))
		expect(10, "", "audit", "verify", file+".bad", "--key="+key)
		write(t, file+".cut", string(text[:len(text)-100]))
		expect(10, "rejected", "audit", "verify", file+".cut", "--key="+key)
	}
	r := expect(0, `"kind":"gotong-public-log"`, export("--json")...)
	if !strings.Contains(r.err, `"commits": `) {
		t.Errorf("the summary beside a file on the standard output: %q", r.err)
	}
	fresh := "sqlite:" + filepath.Join(t.TempDir(), "fresh.db")
	expect(1, "not an exported log", "import-log", "--store="+fresh, public)
	expect(0, "", "import-log", "--store="+fresh, full)
	expect(0, "Verified.", "audit", "verify", "--store="+fresh, "--checkpoints="+dir)
}
