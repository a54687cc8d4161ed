package app_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sqlite3 "zombiezen.com/go/sqlite" //nolint:depguard // changes the file behind the server's back
	"zombiezen.com/go/sqlite/sqlitex" //nolint:depguard // so does this

	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/store"
)

// TestDamagedEndOfAStream: once the newest event of a stream was damaged while no
// server ran, writes to that stream get corrupt_event, because nothing may be
// chained to it. Reads before it and other streams are not affected, the server's
// log and the check name the event, and a repaired row ends it all.
func TestDamagedEndOfAStream(t *testing.T) {
	t.Cleanup(web.CloseIdleConnections)
	dir := t.TempDir()
	path := filepath.Join(dir, "gotong.db")
	w := &town{t: t, clock: clocktest.Running()}
	var logged bytes.Buffer
	run := func() (stop func()) { return w.alone(dir, &logged) }
	stop := run()
	w.settle()
	say := func(want int, code string) {
		t.Helper()
		status, text := w.ask(0, w.ann.AccessToken, http.MethodPost, w.path+"/messages/send", map[string]any{"body": "halo"})
		if status != want || !strings.Contains(string(text), code) {
			t.Errorf("%d %s", status, text)
		}
	}
	say(http.StatusCreated, "")
	var other client.Thread
	w.call(0, w.ann.AccessToken, http.MethodPost, "/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "public"}, &other)
	stop()
	script(t, path, `DROP TRIGGER events_never_changed;
		CREATE TABLE kept AS SELECT max(key) AS key, data FROM events WHERE type = 'message.posted';
		UPDATE events SET data = json_set(data, '$.payload', json('{"n":9}')) WHERE key = (SELECT key FROM kept)`)
	logged.Reset()
	stop = run()
	for range 2 {
		say(http.StatusInternalServerError, "corrupt_event")
	}
	w.call(0, w.ann.AccessToken, http.MethodPost, "/v1/chat/threads/"+other.ThreadID+"/messages/send", map[string]any{"body": "halo"}, nil)
	w.call(0, w.ann.AccessToken, http.MethodGet, w.path, nil, nil)
	if status, text := w.ask(0, w.ann.AccessToken, http.MethodGet, w.path+"/messages", nil); status != http.StatusInternalServerError {
		t.Errorf("messages: %d %s", status, text)
	}
	stop()
	if n := strings.Count(logged.String(), `msg="the log is damaged"`); n != 1 || !strings.Contains(logged.String(), string(w.topic)) {
		t.Errorf("%d lines about it:\n%s", n, logged.String())
	}
	if found := checked(t, path); len(found) != 1 || !strings.Contains(found[0], "event of "+string(w.topic)) {
		t.Errorf("the check: %q", found)
	}
	script(t, path, "UPDATE events SET data = kept.data FROM kept WHERE events.key = kept.key; DROP TABLE kept")
	stop = run()
	say(http.StatusCreated, "")
	stop()
	if found := checked(t, path); len(found) != 0 {
		t.Errorf("the check of the repaired file: %q", found)
	}
}

// onFile is the configuration of a server with its file in a directory.
func onFile(dir string) config.Config {
	return config.Config{
		Env: config.Development, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Data: dir, Store: "sqlite:" + filepath.Join(dir, "gotong.db"),
		AccessTokenLife: 2000 * time.Hour, RefreshLife: 2000 * time.Hour, PasswordHashes: 2, MaxSessions: 1000,
		UserRate: 1000, UserBurst: 1000, CommandRate: 1000, CommandBurst: 1000, AddressRate: 1000, AddressBurst: 1000,
		ShutdownGrace: 5 * time.Second, OTelSample: 1, OutboundNetworks: []string{"127.0.0.0/8"},
		PushContact: "mailto:ops@rt05.id", PushDelay: time.Second,
		FileSize: 1, FilesPerUser: 8, FilesPerGroup: 16,
	}
}

// alone runs the one node of a town on a directory.
func (w *town) alone(dir string, log io.Writer, change ...func(*config.Config)) (stop func()) {
	w.t.Helper()
	cfg := onFile(dir)
	for _, f := range change {
		f(&cfg)
	}
	a, err := app.New(w.t.Context(), app.Options{Clock: w.clock, Log: slog.New(slog.NewTextHandler(log, nil)), Config: cfg})
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes = []*app.App{a}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

func script(t *testing.T, path, sql string) {
	t.Helper()
	db, err := sqlite3.OpenConn(path, sqlite3.OpenReadWrite)
	if err == nil {
		err = sqlitex.ExecuteScript(db, sql, nil)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// checked returns what the check finds in a file.
func checked(t *testing.T, path string) (found []string) {
	t.Helper()
	s, err := app.OpenStore(t.Context(), "sqlite:"+path, app.Kinds(), nil, app.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	o := check.Options{Codec: store.NewCodec(app.Kinds()), Fault: func(f *check.Fault) { found = append(found, f.Error()) }}
	if err := check.Run(t.Context(), s, o); err != nil {
		t.Fatal(err)
	}
	return found
}
