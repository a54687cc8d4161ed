package app

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/config"
)

func TestSigningKeyOfSharedStores(t *testing.T) {
	configured := auth.NewSigningKey()
	for name, tc := range map[string]struct {
		store, key string
		made       bool
		err        error
	}{
		"default":               {"", "", true, nil},
		"sqlite":                {"sqlite:///tmp/x.db", "", true, nil},
		"memory":                {"memory:", "", true, nil},
		"shared":                {"surreal://db:8000/gotong", "", false, ErrSigningKey},
		"shared, encrypted":     {"surreals://db:8000/gotong", "", false, ErrSigningKey},
		"shared and configured": {"surreal://db:8000/gotong", configured, false, nil},
		"configured":            {"", configured, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Config{Data: t.TempDir(), Store: tc.store, SigningKey: tc.key}
			secret, made, err := signingKey(&cfg)
			if !errors.Is(err, tc.err) || (made != "") != tc.made || (len(secret) >= 32) == (tc.err != nil) {
				t.Errorf("%d bytes, %q, %v", len(secret), made, err)
			}
			if left, _ := os.ReadDir(cfg.Data); (len(left) > 0) != tc.made {
				t.Errorf("the directory has %v", left)
			}
		})
	}
}

func TestASharedStoreWithoutAKeyMakesNothing(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	_, err := New(t.Context(), Options{
		Config: config.Config{Data: data, Store: "surreal://127.0.0.1:1/gotong", Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0"},
		Log:    slog.New(slog.DiscardHandler),
	})
	if !errors.Is(err, ErrSigningKey) || !strings.Contains(err.Error(), "gotong admin key") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data directory was made: %v", err)
	}
}

// A key that no token could be verified with is found before anything is made.
func TestKeysAreChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		alg, key string
		fault    bool
	}{
		"secret":                 {"HS256", "0123456789abcdefghijklmnopqrstuvwxyz", false},
		"public key as a secret": {"HS256", "-----BEGIN PUBLIC KEY-----", true},
		"no PEM":                 {"RS256", "nonsense", true},
		"of another algorithm":   {"ES256", edKey, true},
		"PEM":                    {"EdDSA", edKey, false},
	} {
		t.Run(name, func(t *testing.T) {
			var cfg config.Config
			if _, err := kong.Must(&cfg).Parse(nil); err != nil {
				t.Fatal(err)
			}
			cfg.Data = t.TempDir()
			cfg.JWTKeys = []config.JWTKey{{KID: "k", Alg: tc.alg, Key: tc.key}}
			_, err := CheckConfig(&cfg)
			if (err != nil) != tc.fault || err != nil && !strings.Contains(err.Error(), "jwt-keys[0]") {
				t.Errorf("%v", err)
			}
		})
	}
}

const edKey = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----`
