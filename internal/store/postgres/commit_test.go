package postgres

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/storetest"
)

// TestCommits is one server for what only this adapter promises of commits.
func TestCommits(t *testing.T) {
	server := postgrestest.Start(t)
	t.Run("two round trips", func(t *testing.T) { twoRoundTrips(t, server.Schema()) })
	t.Run("without prepared statements", func(t *testing.T) {
		twoRoundTrips(t, server.Schema()+"&default_query_exec_mode=exec") // as a pooler in transaction mode needs it
	})
	t.Run("one order of locks", func(t *testing.T) { oneOrder(t, server.Schema()) })
	t.Run("synchronous_commit", func(t *testing.T) { synced(t, server.Schema()) })
	t.Run("tail", func(t *testing.T) { tailSkipsNothing(t, server.Schema()) })
	t.Run("isolation", func(t *testing.T) { isolated(t, server.Schema()) })
	t.Run("a partition without its row", func(t *testing.T) { lostPartition(t, server.Schema()) })
	t.Run("forms", func(t *testing.T) { forms(t, server.Schema()) })
	t.Run("leftover streams", func(t *testing.T) { leftover(t, server.Schema()) })
}

// counted counts how often a client sends.
type counted struct {
	net.Conn

	sent *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	c.sent.Add(1)
	return c.Conn.Write(b) //nolint:wrapcheck // passes it on
}

// twoRoundTrips: a batch of everything that a commit can do sends twice.
func twoRoundTrips(t *testing.T, address string) {
	t.Helper()
	var sent atomic.Int64
	s := opened(t, address+"&pool_max_conns=1", Options{Servers: primary.Options{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return counted{c, &sent}, err
	}}})
	m := storetest.NewMaker(s.Epoch())
	version := uint64(0)
	everything := func() []store.Commit {
		r := gotong.RegisterChange{Key: gotong.Key{Collection: "c", Owner: "o", Name: "n"}, Expect: version, Body: []byte("x")}
		version++
		name := string(rune('a' + version))
		return []store.Commit{
			m.Next(storetest.Draft{
				Stream: "thread/a", Events: 2, Claims: []gotong.Claim{{Space: "s", Name: name}}, Registers: []gotong.RegisterChange{r},
				Changes: []store.Change{{Key: gotong.Key{Collection: "things", Owner: "o", Name: name}, Body: []byte("{}")}},
			}),
			m.Next(storetest.Draft{Stream: "thread/b", Events: 1, Others: []store.Expectation{{Stream: "thread/c"}}}),
		}
	}
	least := int64(99)
	for round := range 4 {
		before := sent.Load()
		out, err := store.CommitAll(t.Context(), s, everything())
		if err != nil || out[0].Status != store.Committed || out[1].Status != store.Committed {
			t.Fatalf("%+v %v", out, err)
		}
		if n := sent.Load() - before; round > 0 { // the first one prepares the statements
			least = min(least, n) // something else may use the connection meanwhile
		}
	}
	if least != 2 {
		t.Errorf("a batch sends %d times", least)
	}
}

// oneOrder: whatever the order of its commits, a batch locks the lower partition
// first, and then streams by name.
func oneOrder(t *testing.T, address string) {
	t.Helper()
	s, c, other := opened(t, address, Options{}), connected(t, address), connected(t, address)
	homes := [2]gotong.Stream{"group/a", "group/b"}
	if gotong.PartitionOf(homes[0]) > gotong.PartitionOf(homes[1]) {
		homes[0], homes[1] = homes[1], homes[0]
	}
	m := storetest.NewMaker(s.Epoch())
	for _, first := range []int{0, 1} {
		for _, blocked := range []int{0, 1} {
			exec(t, c, "BEGIN")
			_, err := c.Exec(t.Context(), "SELECT FROM partitions WHERE no = $1 FOR UPDATE", int16(gotong.PartitionOf(homes[blocked])))
			check(t, err)
			var batch []store.Commit
			for _, i := range []int{first, 1 - first} {
				stream := gotong.Stream("thread/" + string(homes[i][len("group/"):]))
				batch = append(batch, m.Next(storetest.Draft{Stream: stream, Home: homes[i], Events: 1}))
			}
			done := make(chan error, 1)
			go func() {
				_, err := store.CommitAll(context.WithoutCancel(t.Context()), s, batch)
				done <- err
			}()
			waitFor(t, other, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
			_, err = other.Exec(t.Context(), "SELECT FROM partitions WHERE no = $1 FOR UPDATE NOWAIT", int16(gotong.PartitionOf(homes[1-blocked])))
			if locked := codeOf(err) == "55P03"; locked != (blocked == 1) {
				t.Errorf("first %d, waiting for %d: the other partition is locked: %v (%v)", first, blocked, locked, err)
			}
			exec(t, c, "ROLLBACK")
			check(t, <-done)
		}
	}
}

// waitFor waits until a query returns true.
func waitFor(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	for done := false; !done; {
		check(t, c.QueryRow(t.Context(), sql).Scan(&done))
	}
}

// synced: no connection with synchronous_commit off writes a commit, also if it was
// set later.
func synced(t *testing.T, address string) {
	t.Helper()
	if _, err := Open(t.Context(), address+"&synchronous_commit=off", Options{}); !errors.Is(err, primary.ErrServer) {
		t.Errorf("opened: %v", err)
	}
	s := opened(t, address+"&pool_max_conns=1", Options{})
	m := storetest.NewMaker(s.Epoch())
	_, err := s.pool.Exec(t.Context(), "SET synchronous_commit = off")
	check(t, err)
	if _, err := store.CommitAll(t.Context(), s, []store.Commit{m.Peek(storetest.Draft{Stream: "thread/a", Events: 1})}); !errors.Is(err, primary.ErrServer) {
		t.Errorf("committed: %v", err)
	}
	if headOf(t, s, "thread/a").Exists() {
		t.Error("written")
	}
	_, err = s.pool.Exec(t.Context(), "SET synchronous_commit = local")
	check(t, err)
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
}

// isolated: a write that waited for a seal sees it, whatever isolation the role has by default.
func isolated(t *testing.T, address string) {
	t.Helper()
	s, c, other := opened(t, address+"&default_transaction_isolation=serializable", Options{}), connected(t, address), connected(t, address)
	m := storetest.NewMaker(s.Epoch())
	exec(t, c, "BEGIN")
	exec(t, c, "SELECT pg_advisory_xact_lock"+gate)
	done := make(chan error, 1)
	go func() {
		_, err := store.CommitAll(context.WithoutCancel(t.Context()), s, []store.Commit{m.Next(storetest.Draft{Stream: "thread/a", Events: 1})})
		done <- err
	}()
	waitFor(t, other, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")
	exec(t, c, "INSERT INTO meta VALUES ('sealed', 'elsewhere')")
	exec(t, c, "COMMIT")
	if err := <-done; !errors.Is(err, store.ErrSealed) {
		t.Errorf("the store is sealed; the write returned %v", err)
	}
}

// lostPartition: no position is assigned twice if somebody deletes the row of a partition.
func lostPartition(t *testing.T, address string) {
	t.Helper()
	s := opened(t, address, Options{})
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
	exec(t, connected(t, address), "DELETE FROM partitions")
	_, err := store.CommitAll(t.Context(), s, []store.Commit{m.Peek(storetest.Draft{Stream: "thread/b", Home: "thread/a", Events: 1})})
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("committed: %v", err)
	}
}

// forms: what the role has for the form of values changes none, also where nothing is prepared.
func forms(t *testing.T, address string) {
	t.Helper()
	s := opened(t, address+"&default_query_exec_mode=exec&array_nulls=off&bytea_output=escape&datestyle=SQL,DMY", Options{})
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 2})
	snap, err := s.Load(t.Context(), store.Need{Events: []store.EventRange{{Stream: "thread/a", To: 9}}})
	if err != nil || len(snap.Events[0]) != 2 {
		t.Errorf("%+v %v", snap.Events, err)
	}
	at, err := s.Time(t.Context())
	if err != nil || at.Time().Before(time.Now().Add(-time.Hour)) {
		t.Errorf("%v %v", at, err)
	}
}

// leftover: a stream that a commit named and did not write is no row of the log.
func leftover(t *testing.T, address string) {
	t.Helper()
	s := opened(t, address, Options{})
	m := storetest.NewMaker(s.Epoch())
	exec(t, connected(t, address), "INSERT INTO streams (name) VALUES ('thread/left')")
	state, err := s.State(t.Context())
	rows, rowsErr := s.Rows(t.Context(), store.AllStreams, "", 0)
	if err != nil || !state.Empty || rowsErr != nil || len(rows.Streams) != 0 {
		t.Errorf("%+v %v; %+v %v", state, err, rows, rowsErr)
	}
	commitOne(t, s, m, storetest.Draft{Stream: "thread/left", Events: 1})
}
