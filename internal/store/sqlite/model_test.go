package sqlite

import (
	"flag"
	"os"
	"testing"

	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/modeltest"
	"gotong.dev/gotong/internal/store/storetest"
)

// TestMain keeps the model's runs few unless told otherwise: each syncs.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("25") // a number
	}
	os.Exit(m.Run())
}

// TestModel: this store and the reference cannot be told apart.
func TestModel(t *testing.T) {
	modeltest.Run(t, func(t *testing.T) func(storetest.Options) (store.Whole, error) {
		t.Helper()
		path := t.TempDir() + "/gotong.db"
		return func(o storetest.Options) (store.Whole, error) {
			return Open(t.Context(), path, Options{Collections: o.Collections, Now: o.Now})
		}
	})
}
