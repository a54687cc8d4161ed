package postgres

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/storetest"
)

// TestOldPrimary: after a promotion, an old primary that has come back is used by
// no node that can reach the new one or has seen it, wherever it stands in the
// address.
func TestOldPrimary(t *testing.T) {
	first := postgrestest.Start(t)
	schema := first.Schema()
	_, path, _ := strings.Cut(schema, "search_path=")
	s := opened(t, schema, Options{})
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
	first.Kill()
	second := first.Successor()
	first.Restart()

	both := "postgres://gotong@/postgres?host=127.0.0.1,127.0.0.1&port=" + first.Port + "," + second.Port +
		"&sslmode=disable&target_session_attrs=read-write&search_path=" + path
	n := opened(t, both, Options{})
	var port string
	check(t, n.pool.QueryRow(t.Context(), "SELECT current_setting('port')").Scan(&port))
	if port != second.Port {
		t.Errorf("the node uses %s, the old primary", port)
	}
	commitOne(t, n, m, storetest.Draft{Stream: "thread/a", Events: 1})
	second.Kill()
	n.pool.Reset()
	if c, err := n.pool.Acquire(t.Context()); err == nil {
		c.Release()
		t.Error("connected to the old primary")
	} else if !errors.Is(err, ErrTimeline) {
		t.Error(err)
	}

	// The first node stays on the old one, which alone it knows, until it sees the
	// new timeline. Then no transaction goes there, on an open connection neither.
	headOf(t, s, "thread/a")
	check(t, s.server.see("00000002"))
	if _, err := store.CommitAll(t.Context(), s, []store.Commit{m.Peek(storetest.Draft{Stream: "thread/a", Events: 1})}); !errors.Is(err, ErrTimeline) {
		t.Errorf("committed: %v", err)
	}
}

// TestSettings: a server that may lose what it has acknowledged is rejected, and what
// an acknowledgement survives is reported.
func TestSettings(t *testing.T) {
	server := postgrestest.Start(t, "-c", "fsync=off")
	if _, err := Open(t.Context(), server.Schema(), Options{}); !errors.Is(err, ErrServer) {
		t.Errorf("opened with fsync off: %v", err)
	}
	address, c := server.Schema(), connected(t, server.URL("postgres"))
	notes := func(parameter string) string {
		s, err := Open(t.Context(), address+parameter, Options{UnsafeServer: true})
		check(t, err)
		check(t, s.Close())
		return strings.Join(s.Notes(), "\n")
	}
	if n := notes(""); !strings.Contains(n, "synchronous_standby_names is empty") {
		t.Error(n)
	}
	exec(t, c, "ALTER SYSTEM SET synchronous_standby_names = 'b'")
	server.Kill()
	server.Restart()
	if n := notes("&synchronous_commit=local"); !strings.Contains(n, "no write waits for the standbys b") {
		t.Error(n)
	}
}

// tailSkipsNothing: while nodes commit to one partition, one of them with pauses
// within its transactions, a reader sees every position in order.
func tailSkipsNothing(t *testing.T, address string) {
	t.Helper()
	const commits = 20 // of each writer
	quick := opened(t, address, Options{})
	proxy, through := proxied(t, address)
	slow := opened(t, through, Options{})
	proxy.Lag(3 * time.Millisecond)
	var writers sync.WaitGroup
	for i, s := range []*Store{quick, slow, quick, slow} {
		stream := gotong.Stream("thread/" + string(rune('a'+i)))
		writers.Go(func() {
			m := storetest.NewMaker(s.Epoch())
			for range commits {
				out, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(storetest.Draft{Stream: stream, Home: "group/g", Events: 1})})
				if err != nil || out[0].Status != store.Committed {
					t.Errorf("%+v %v", out, err)
				}
			}
		})
	}
	for at := uint64(0); at < 4*commits && !t.Failed(); {
		rows, err := quick.ReadPartition(t.Context(), gotong.PartitionOf("group/g"), at, math.MaxUint64, 0)
		check(t, err)
		for i := range rows {
			if at++; rows[i].Position != at {
				t.Fatalf("position %d after %d", rows[i].Position, at-1)
			}
		}
	}
	writers.Wait()
}
