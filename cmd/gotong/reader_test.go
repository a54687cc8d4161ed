package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
)

// Readers and jobs are shown and corrected while a server runs, by it, and while
// none does.
func TestReaderAndJobCommands(t *testing.T) {
	data := filepath.Join(t.TempDir(), "kept")
	args := []string{"serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--data=" + data, "--log-level=error"}
	if r := command(t, nil, "reader", "list", "--data="+data); r.code != 1 || !strings.Contains(r.err, "no database yet") {
		t.Errorf("without a database: %+v", r)
	}
	server := interruptible(t, args...)
	server.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") })
	if code := server.stop(); code != 0 {
		t.Fatal(server.errs.String())
	}
	deadJob(t, data)
	type step struct {
		args, says string
		code       int
	}
	run := func(when, admin string, steps []step) {
		t.Helper()
		for _, s := range steps {
			r := command(t, nil, append(strings.Fields(s.args), "--data="+data, "--admin-addr="+admin)...)
			if r.code != s.code || !strings.Contains(r.out+r.err, s.says) {
				t.Errorf("%s, %s: %+v", when, s.args, r)
			}
		}
	}
	steps := []step{
		{"reader list", "READER", 0},
		{"reader skip none 3", "no reader of this name", 1},
		{"reader rebuild none", "no reader of this name", 1},
		{"job list --dead", "mail", 0},
		{"job retry mail none", "no such job", 1},
		{"explain access nobody thread/none", "thread/none does not exist", 0},
		{"job list --json", `"failures":20,"crashes":3,"running":false,"dead":true,"error":"no such box"`, 0},
	}
	run("without a server", "127.0.0.1:1", steps)
	server = interruptible(t, args...)
	admin := field(t, server.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "Admin")
	admin = strings.TrimPrefix(admin, "http://")
	run("with a server", admin, steps)
	for _, token := range []string{"", "Bearer ", "Bearer " + account(t, field(t, server.out.String(), "API"), "wati")} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+admin+app.OrderPath, strings.NewReader(`{"do":"jobs"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %s", token, res.Status)
		}
	}
	run("with a server", admin, []step{
		{"job list --dead --signing-key=Zm9ydHkgdHdvIGRpZmZlcmVudCBieXRlcywgbm9uZSBvZiB0aGVtIHdlYWs=", "another signing key", 2},
		{"job retry mail one", "is due now", 0},
		{"job list", "waiting", 0},
	})
	run("with a server", admin, []step{
		{"console", "http://" + admin + "/#token=", 0},
		{"console", "&key=", 0},
		{"console --console=false", "the console is off", 2},
	})
	run("with a server elsewhere", "127.0.0.1:1", []step{{"job list --dead", "no answer", 1}, {"console", "no answer", 1}})
	if code := server.stop(); code != 0 {
		t.Fatal(server.errs.String())
	}
	run("afterwards", "127.0.0.1:1", []step{{"job list --json", `"failures":0,"crashes":0,"running":false,"dead":false`, 0}})
}

// deadJob puts a dead job into the database.
func deadJob(t *testing.T, data string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(data, "gotong.db"), sqlite.Options{Collections: store.Collections(app.Kinds())})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	job := store.Job{Queue: "mail", ID: "one", Attempt: 20, Crashes: 3, Dead: true, Error: "no such box"}
	if err := s.Advance(t.Context(), store.Step{Reader: "test", To: 1, Jobs: []store.Job{job}}); err != nil {
		t.Fatal(err)
	}
}
