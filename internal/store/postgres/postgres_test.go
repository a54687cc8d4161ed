package postgres

import (
	"context"
	"net"
	"net/url"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/modeltest"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/storetest"
)

// TestStore: the store is what the port says, and no statement that this took reads all
// of a table.
func TestStore(t *testing.T) {
	server, all := postgrestest.Start(t), &statements{types: map[string][]string{}}
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		t.Helper()
		address := server.Schema()
		open := func(address string, o storetest.Options) (store.Whole, error) {
			s, err := Open(t.Context(), address, Options{Collections: o.Collections, Now: o.Now})
			all.collections = o.Collections
			return recorded{s, all}, err
		}
		return storetest.Harness{
			Properties: Properties,
			Open:       func(o storetest.Options) (store.Whole, error) { return open(address, o) },
			Through: func(o storetest.Options) (store.Whole, *netfault.Proxy, error) {
				p, through := proxied(t, address)
				s, err := open(through+"&pool_max_conns=1", o)
				return s, p, err
			},
			Lose: func(s gotong.Stream, seq uint64) error {
				c := connected(t, address)
				exec(t, c, "DROP TRIGGER IF EXISTS events_never_deleted ON events")
				_, err := c.Exec(t.Context(), "DELETE FROM events WHERE seq = $1 AND stream = (SELECT no FROM streams WHERE name = $2)",
					int64(seq), string(s))
				return err
			},
		}
	})
	all.explain(t, server.Schema())
}

// TestModel: this store and the reference cannot be told apart. It prepares no
// statements, as a pooler in transaction mode needs it; TestStore does.
func TestModel(t *testing.T) {
	server := postgrestest.Start(t)
	modeltest.Run(t, func(t *testing.T) func(storetest.Options) (store.Whole, error) {
		t.Helper()
		address := server.Schema() + "&default_query_exec_mode=exec"
		return func(o storetest.Options) (store.Whole, error) {
			return Open(t.Context(), address, Options{Collections: o.Collections, Now: o.Now})
		}
	})
}

// proxied returns a proxy in front of a database, and the address of the database
// through it.
func proxied(t *testing.T, address string) (*netfault.Proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	check(t, err)
	p := netfault.For(t, net.JoinHostPort(u.Hostname(), u.Port()))
	u.Host = p.Addr()
	return p, u.String()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func opened(t *testing.T, address string, o Options) *Store {
	t.Helper()
	o.Collections = []string{"things"}
	s, err := Open(t.Context(), address, o)
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s
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
