package main

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"gotong.dev/gotong/internal/audit"
)

// agreeable starts a witness that cosigns everything, and returns its URL and key.
func agreeable(t *testing.T) (url, vkey string) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, "example.org/w")
	if err != nil {
		t.Fatal(err)
	}
	s, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		parts := strings.SplitN(string(body), "\n\n", 3)
		cosigned, err := note.Sign(&note.Note{Text: parts[1] + "\n"}, s)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(w, strings.SplitN(string(cosigned), "\n\n", 2)[1])
	}))
	t.Cleanup(w.Close)
	return w.URL, vkey
}

// A server has its checkpoints cosigned. Verify, and the check of the proof of an
// event, require the cosignatures of the named witnesses.
func TestWitness(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	dir, db := data+"-checkpoints", "sqlite:"+filepath.Join(data, "gotong.db")
	url, vkey := agreeable(t)
	_, stranger := agreeable(t)
	expect := func(code int, says string, args ...string) ran {
		t.Helper()
		r := command(t, nil, args...)
		if r.code != code || !strings.Contains(r.out+r.err, says) {
			t.Errorf("%v: %+v, want %d and %q", args, r, code, says)
		}
		return r
	}
	expect(2, "witness:", serveArgs(data, "--witness=http://127.0.0.1:1")...)
	expect(2, "witness:", serveArgs(data, "--witness-quorum=1")...)
	b := interruptible(t, serveArgs(data, "--witness="+url+" "+vkey, "--witness-quorum=1")...)
	api := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
	r := command(t, map[string]string{"GOTONG_PASSWORD": "correct horse battery"},
		"token", "--url="+api, "--signup", "--email=wati@example.org", "--username=wati")
	await(t, "the witness has cosigned", func() bool {
		file, err := os.ReadFile(filepath.Join(dir, audit.CosignedFile))
		return r.code != 0 || err == nil && len(file) > 0
	})
	if code := b.stop(); code != 0 || r.code != 0 {
		t.Fatalf("serve ended with %d: %s; %+v", code, b.errs.String(), r)
	}
	config := expect(0, "/p15 ", "audit", "witness-config", "--checkpoints="+dir).out
	if strings.Count(config, "\n") != 16 {
		t.Errorf("the witness needs\n%s", config)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(config), "\n") {
		origin, key, _ := strings.Cut(line, " ")
		if v, err := note.NewVerifier(key); err != nil || v.Name() != origin {
			t.Errorf("%q: %v", line, err)
		}
	}
	expect(0, "  - Origin: ", "audit", "witness-config", "--checkpoints="+dir, "--yaml")

	store := []string{"audit", "verify", "--store=" + db, "--checkpoints=" + dir}
	expect(0, "Verified.", append(store, "--witness-key="+vkey)...)
	expect(0, "Verified.", append(store, "--witness-key="+vkey, "--witness-key="+stranger, "--witness-quorum=1")...)
	expect(13, "1 witnesses cosigned", append(store, "--witness-key="+vkey, "--witness-key="+stranger)...)
	expect(13, "no verifier key of a witness", append(store, "--witness-key=x")...)
	expect(2, "--witness-key", append(store, "--witness-key="+vkey, "--witness-quorum=2")...)
	key := strings.TrimSpace(expect(0, "+", "audit", "checkpoint", "--checkpoints="+dir, "--keys").out)
	event := filepath.Join(t.TempDir(), "event.json")
	write(t, event, expect(0, "tlog-proof", "audit", "prove", string(firstStream(t, db))+":1", "--store="+db, "--checkpoints="+dir).out)
	checked := []string{"audit", "verify", "--proof=" + event, "--key=" + key}
	expect(0, "cosigned by example.org/w.", append(checked, "--witness-key="+vkey)...)
	expect(0, `"example.org/w"`, append(checked, "--witness-key="+vkey, "--json")...)
	expect(13, "0 witnesses cosigned", append(checked, "--witness-key="+stranger)...)

	public := filepath.Join(t.TempDir(), "public.ndjson")
	expect(0, "Exported", "audit", "export", "--store="+db, "--checkpoints="+dir, "--witness-key="+vkey, public)
	expect(0, "Verified.", "audit", "verify", public, "--key="+key, "--witness-key="+vkey)
	expect(0, "Exported", "audit", "export", "--store="+db, "--checkpoints="+dir, public+"2")
	expect(13, "0 witnesses cosigned", "audit", "verify", public+"2", "--key="+key, "--witness-key="+vkey)
}
