package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong/client"
)

// TestRestoredLogins: what ended after a backup is not good again when it is
// restored and gets a new epoch, unless logins are kept.
func TestRestoredLogins(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		good bool
		says string
	}{
		"a new epoch":       {nil, false, "All logins have ended, 2 of them"},
		"logins are kept":   {[]string{"--keep-logins"}, true, "undoes every logout since the backup"},
		"kept, as JSON":     {[]string{"--keep-logins", "--json"}, true, "undoes every logout since the backup"},
		"a new one as JSON": {[]string{"--json"}, false, "All logins have ended"},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			db, backup := filepath.Join(data, "gotong.db"), filepath.Join(t.TempDir(), "backup.db")
			begin := func() (*background, string) {
				b := interruptible(t, serveArgs(data)...)
				return b, field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
			}
			signIn := func(url string, args ...string) client.Auth {
				t.Helper()
				r := command(t, map[string]string{"GOTONG_PASSWORD": "correct horse battery"},
					append([]string{"token", "--url=" + url, "--email=Wati@example.org", "--json"}, args...)...)
				var auth client.Auth
				if err := json.Unmarshal([]byte(r.out), &auth); err != nil || r.code != 0 {
					t.Fatalf("%+v, %v", r, err)
				}
				return auth
			}
			as := func(url string, a client.Auth) *client.Client {
				t.Helper()
				c, err := client.New(client.Options{BaseURL: url, Token: client.StaticToken(a.AccessToken)})
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			me := func(url string, a client.Auth) error { _, err := as(url, a).Me(t.Context()); return err }
			server, url := begin()
			first := signIn(url, "--signup", "--username=wati")
			signIn(url)
			server.stop()
			b, err := os.ReadFile(db)
			if err == nil {
				err = os.WriteFile(backup, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			server, url = begin()
			if err := as(url, first).Logout(t.Context()); err != nil || me(url, first) == nil {
				t.Fatalf("not logged out: %v", err)
			}
			server.stop()
			if err := os.Rename(backup, db); err != nil {
				t.Fatal(err)
			}
			r := command(t, nil, append([]string{"epoch", "new", "--store=sqlite:" + db}, tc.args...)...)
			if r.code != 0 || !strings.Contains(r.err, tc.says) || strings.Contains(r.out, "logins") {
				t.Fatalf("%+v", r)
			}
			server, url = begin()
			defer server.stop()
			if err := me(url, first); (err == nil) != tc.good {
				t.Errorf("the session that had ended: %v", err)
			}
			again := signIn(url)
			if err := me(url, again); err != nil {
				t.Error(err)
			}
		})
	}
}
