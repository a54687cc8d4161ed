package surreal

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		surrealtest.Stop()
		os.Exit(code)
	}))
}

func TestStore(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		storetest.Run(t, func(t *testing.T) storetest.Harness {
			t.Helper()
			cfg := surrealtest.Start(t, e)
			open := func(cfg surreal.Config, o storetest.Options) (store.Whole, error) {
				return Open(t.Context(), cfg, Options{Collections: o.Collections, Now: o.Now})
			}
			return storetest.Harness{
				Properties: Properties,
				Open:       func(o storetest.Options) (store.Whole, error) { return open(cfg, o) },
				Through: func(o storetest.Options) (store.Whole, *netfault.Proxy, error) {
					p, through := proxied(t, cfg)
					through.Sockets = 1
					s, err := open(through, o)
					return s, p, err
				},
				Lose: func(s gotong.Stream, seq uint64) error {
					db := operator(t, cfg)
					defer db.Close()
					return db.Exec(t.Context(), "REMOVE EVENT IF EXISTS append_only ON event; DELETE $row",
						surreal.Vars{"row": surreal.Record("event", string(s), seq)})
				},
			}
		})
	})
}

func opened(t *testing.T, cfg surreal.Config, o Options) *Store {
	t.Helper()
	o.Collections = []string{"things"}
	s, err := Open(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

// operator returns a client with the rights of the database's owner.
func operator(t *testing.T, cfg surreal.Config) *surreal.Client {
	t.Helper()
	c, err := surreal.Open(t.Context(), cfg, surreal.Options{Sockets: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// commitOne commits a draft that must be committed.
func commitOne(t *testing.T, s *Store, m *storetest.Maker, d storetest.Draft) store.Record {
	t.Helper()
	out, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(d)})
	if err != nil || out[0].Status != store.Committed {
		t.Fatalf("%+v %v", out, err)
	}
	return out[0].Record
}

func headOf(t *testing.T, s *Store, stream gotong.Stream) gotong.Head {
	t.Helper()
	snap, err := s.Load(context.WithoutCancel(t.Context()), store.Need{Heads: []gotong.Stream{stream}})
	check(t, err)
	return snap.Heads[stream]
}
