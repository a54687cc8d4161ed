package postgres

import (
	"errors"
	"strings"
	"testing"

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
	var kept string
	n := opened(t, both, Options{Keep: func(primary string) error { kept = primary; return nil }})
	var port string
	check(t, n.pool.QueryRow(t.Context(), "SELECT current_setting('port')").Scan(&port))
	if port != second.Port {
		t.Errorf("the node uses %s, the old primary", port)
	}
	commitOne(t, n, m, storetest.Draft{Stream: "thread/a", Events: 1})
	second.Kill()
	if _, err := Open(t.Context(), schema, Options{Primary: kept}); !errors.Is(err, ErrTimeline) {
		t.Errorf("started on the old primary: %v", err)
	}
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
