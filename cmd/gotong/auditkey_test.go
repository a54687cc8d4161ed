package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/proof"
)

// The key of checkpoints is changed: the new one signs beside the old one, which
// is then retired. The log says when, so that a checkpoint that somebody signs with
// the old key later is rejected.
func TestChangeOfKey(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	dir, db := data+"-checkpoints", "sqlite:"+filepath.Join(data, "gotong.db")
	expect := func(code int, says string, args ...string) ran {
		t.Helper()
		r := command(t, nil, args...)
		if r.code != code || !strings.Contains(r.out+r.err, says) {
			t.Errorf("%v: %+v, want %d and %q", args, r, code, says)
		}
		return r
	}
	// serve runs a server, with a commit, until everything is signed with so many keys.
	serve := func(name string, keys int) {
		t.Helper()
		b := interruptible(t, serveArgs(data)...)
		url := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
		before := signed(t, dir)
		expect(1, "in use", "audit", "key", "--checkpoints="+dir)
		r := command(t, map[string]string{"GOTONG_PASSWORD": "correct horse battery"},
			"token", "--url="+url, "--signup", "--email="+name+"@example.org", "--username="+name)
		await(t, "everything is signed", func() bool {
			file, err := os.ReadFile(filepath.Join(dir, audit.CheckpointsFile))
			return r.code != 0 || err == nil && signed(t, dir) > before && strings.Count(string(file), "\n— ") >= keys*16
		})
		if code := b.stop(); code != 0 || r.code != 0 {
			t.Fatalf("serve ended with %d: %s; %+v", code, b.errs.String(), r)
		}
	}
	serve("wati", 1)
	before := strings.TrimSpace(expect(0, "+", "audit", "checkpoint", "--checkpoints="+dir, "--keys").out)
	old, err := audit.ReadSigners(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(1, "only one", "audit", "key", "--checkpoints="+dir, "--retire")
	after := strings.TrimSpace(expect(0, "+", "audit", "key", "--checkpoints="+dir).out)
	expect(1, "two already", "audit", "key", "--checkpoints="+dir)
	expect(1, "has not signed partition", "audit", "key", "--checkpoints="+dir, "--retire")
	serve("budi", 2)
	kept := filepath.Join(t.TempDir(), "kept")
	write(t, kept, expect(0, "/p15\n", "audit", "checkpoint", "--checkpoints="+dir).out)
	expect(0, "Retired "+before, "audit", "key", "--checkpoints="+dir, "--retire")
	serve("citra", 1)

	verify := func(code int, says string, args ...string) {
		t.Helper()
		expect(code, says, append([]string{"audit", "verify", "--store=" + db}, args...)...)
	}
	verify(0, "Verified.", "--checkpoints="+dir)
	verify(0, "Verified.", "--checkpoints="+kept, "--key="+before)
	verify(0, "Verified.", "--checkpoints="+kept, "--key="+after)
	pinned, err := (&pins{Checkpoints: dir}).read()
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(t.TempDir(), "forged") // with a stolen key
	file := ""
	for p := range pinned {
		note, err := pinned[p].Checkpoint.Sign(old[0])
		if err != nil {
			t.Fatal(err)
		}
		file += string(note)
		if _, err := proof.Open(note, proof.Trust{Keys: audit.KeysOf(old)}); err != nil {
			t.Fatal(err)
		}
	}
	write(t, forged, file)
	verify(13, "signed only before or after", "--checkpoints="+forged, "--key="+before)
	now, err := audit.ReadSigners(dir)
	if err != nil {
		t.Fatal(err)
	}
	fork := "" // of the same size, and with another root
	for p := range pinned {
		c := pinned[p].Checkpoint
		c.Root[0] ^= 1
		note, err := c.Sign(now...)
		if err != nil {
			t.Fatal(err)
		}
		fork += string(note)
	}
	write(t, forged, fork)
	verify(10, "not", "--checkpoints="+forged, "--key="+after)
	verify(12, "two histories", "--checkpoints="+forged, "--key="+after, "--signed="+dir)
	verify(0, "Verified.", "--checkpoints="+kept, "--key="+after, "--signed="+dir)
	expect(2, "--signed", "audit", "verify", "--store="+db, "--signed="+dir)
	fresh := filepath.Join(t.TempDir(), "fresh")
	expect(1, "needs the name", "audit", "key", "--checkpoints="+fresh)
	expect(0, "chat.example.org+", "audit", "key", "--checkpoints="+fresh, "--instance=chat.example.org")

	path := filepath.Join(dir, audit.CheckpointsFile) // a file that was damaged
	write(t, path, "x")
	expect(1, "--checkpoints-new", serveArgs(data)...)
	b := interruptible(t, serveArgs(data, "--checkpoints-new")...)
	b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") })
	if code := b.stop(); code != 0 {
		t.Errorf("%d, %s", code, b.errs.String())
	}
	verify(0, "Verified.", "--checkpoints="+dir)
}
