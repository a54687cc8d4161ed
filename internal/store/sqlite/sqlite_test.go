package sqlite

import (
	"path/filepath"
	"testing"

	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// place is an empty directory for a store.
func place(t *testing.T) storetest.Harness {
	path := filepath.Join(t.TempDir(), "data", "gotong.db")
	return storetest.Harness{Durable: true, Open: func(o storetest.Options) (store.Store, error) {
		return Open(t.Context(), path, Options{Collections: o.Collections, Now: o.Now})
	}}
}

func TestStore(t *testing.T) { storetest.Run(t, place) }
