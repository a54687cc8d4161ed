package surreal

import (
	"testing"

	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

func TestStore(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		storetest.Run(t, func(t *testing.T) storetest.Harness {
			t.Helper()
			cfg := surrealtest.Start(t, e)
			return storetest.Harness{Durable: true, Open: func(o storetest.Options) (store.Store, error) {
				return Open(t.Context(), cfg, Options{Collections: o.Collections, Now: o.Now})
			}}
		})
	})
}
