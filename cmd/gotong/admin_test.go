package main

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
)

// accountOf is the account that the name belongs to, as the token says.
func accountOf(t *testing.T, token string) string {
	t.Helper()
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var c struct {
		Subject string `json:"sub"`
	}
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil || c.Subject == "" {
		t.Fatal(err)
	}
	return c.Subject
}

// history is the types and actors of a user's events.
func history(t *testing.T, data, userID string) string {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(data, "gotong.db"), sqlite.Options{Collections: store.Collections(app.Kinds())})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	stream := gotong.NewStream("user", userID)
	snap, err := s.Load(t.Context(), store.Need{Events: []store.EventRange{{Stream: stream, To: 100}}})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, e := range snap.Events[0] {
		var d store.Envelope[json.RawMessage]
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		words = append(words, e.Type+" by "+d.Actor.UserID+"/"+string(d.Actor.Role))
	}
	return strings.Join(words, ", ")
}

func TestFirstAdmin(t *testing.T) {
	data := filepath.Join(t.TempDir(), "kept")
	if r := command(t, nil, "admin", "grant", "wati", "--data="+data); r.code != 1 ||
		!strings.Contains(r.err, "no database yet") || !strings.Contains(r.err, "gotong serve") {
		t.Errorf("%+v", r)
	}
	server := interruptible(t, "serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--data="+data, "--log-level=error")
	url := field(t, server.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
	wati, joko := accountOf(t, account(t, url, "wati")), accountOf(t, account(t, url, "joko"))

	// While the server runs: through it, whoever is named in whichever way.
	for _, step := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"wati"}, 0, wati + " now has the role admin"},
		{[]string{wati}, 0, wati + " already has the role admin"},
		{[]string{"joko", "--role=moderator"}, 0, joko + " now has the role moderator"},
		{[]string{"nobody"}, 1, "no such account"},
		{[]string{"wati", "--role=system"}, 2, "must be one of"},
		{[]string{"wati", "--signing-key=Zm9ydHkgdHdvIGRpZmZlcmVudCBieXRlcywgbm9uZSBvZiB0aGVtIHdlYWs="}, 2, "another signing key"},
	} {
		r := command(t, nil, append([]string{"admin", "grant", "--data=" + data, "--url=" + url}, step.args...)...)
		if r.code != step.code || !strings.Contains(r.out+r.err, step.says) {
			t.Errorf("%v: %+v", step.args, r)
		}
	}
	if code := server.stop(); code != 0 {
		t.Fatal(server.errs.String())
	}

	// While it does not: on the database itself.
	for _, step := range []struct {
		who, role, says string
	}{
		{"Joko@example.org", "admin", joko + " now has the role admin"},
		{joko, "admin", joko + " already has the role admin"},
		{"JOKO", "user", joko + " now has the role user"},
		{"nobody@example.org", "admin", "no such account"},
	} {
		r := command(t, nil, "admin", "grant", step.who, "--role="+step.role, "--data="+data)
		if !strings.Contains(r.out+r.err, step.says) {
			t.Errorf("%+v: %+v", step, r)
		}
	}
	const changed = ", user.role_changed by operator/admin"
	if got, want := history(t, data, joko), "user.registered by anonymous/anonymous"+strings.Repeat(changed, 3); got != want {
		t.Errorf("the log says %s", got)
	}
	if got, want := history(t, data, wati), "user.registered by anonymous/anonymous"+changed; got != want {
		t.Errorf("the log says %s", got)
	}
}

// TestResetLink: the running server gives a link whose token sets the password once.
func TestResetLink(t *testing.T) {
	data := filepath.Join(t.TempDir(), "kept")
	server := interruptible(t, "serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--data="+data, "--log-level=warn")
	shown := server.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") })
	url, admin := field(t, shown, "API"), strings.TrimPrefix(field(t, shown, "Admin"), "http://")
	account(t, url, "wati")
	reset := func(args ...string) ran {
		return command(t, nil, append([]string{"admin", "reset", "--data=" + data, "--admin-addr=" + admin, "--public-url=https://rt05.example"}, args...)...)
	}
	for _, who := range []string{"wati", "wati@example.org"} {
		r := reset(who)
		if r.code != 0 || !strings.HasPrefix(r.out, "https://rt05.example/#reset=p1.") || !strings.Contains(r.err, "once, until") {
			t.Fatalf("%+v", r)
		}
	}
	if r := reset("nobody"); r.code != 1 || !strings.Contains(r.err, "no such account") {
		t.Errorf("%+v", r)
	}
	var made struct {
		Link string `json:"link"`
	}
	if r := reset("wati", "--json"); json.Unmarshal([]byte(r.out), &made) != nil {
		t.Fatalf("%+v", r)
	}
	_, token, _ := strings.Cut(made.Link, "#reset=")
	c, err := client.New(client.Options{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ResetPassword(t.Context(), token, "kata sandi baru"); err != nil {
		t.Fatal(err)
	}
	if err := c.ResetPassword(t.Context(), token, "sandi yang lain"); err == nil {
		t.Error("a token works twice")
	}
	if code := server.stop(); code != 0 {
		t.Fatal(server.errs.String())
	}
	if log := server.errs.String(); !strings.Contains(log, "reset") || strings.Contains(log, "example.org") || strings.Contains(log, token) {
		t.Errorf("the log is %s", log)
	}
	if r := reset("wati"); r.code != 1 || !strings.Contains(r.err, "start it first") {
		t.Errorf("%+v", r)
	}
}

func TestNewSigningKey(t *testing.T) {
	first, second := command(t, nil, "admin", "key"), command(t, nil, "admin", "key")
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(first.out))
	if err != nil || len(key) != 32 || first.out == second.out {
		t.Errorf("%+v %v", first, err)
	}
	r := command(t, nil, "config", "print", "--env=production", "--signing-key="+strings.TrimSpace(first.out))
	if r.code != 0 || r.err != "" {
		t.Errorf("production does not take it: %+v", r)
	}
}
