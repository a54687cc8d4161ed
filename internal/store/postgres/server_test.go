package postgres

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
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
	n := opened(t, both, Options{Servers: primary.Options{Keep: func(name string) error { kept = name; return nil }}})
	var port string
	check(t, n.pool.QueryRow(t.Context(), "SELECT current_setting('port')").Scan(&port))
	if port != second.Port {
		t.Errorf("the node uses %s, the old primary", port)
	}
	commitOne(t, n, m, storetest.Draft{Stream: "thread/a", Events: 1})
	second.Kill()
	if _, err := Open(t.Context(), schema, Options{Servers: primary.Options{Kept: kept}}); !errors.Is(err, primary.ErrTimeline) {
		t.Errorf("started on the old primary: %v", err)
	}
	n.pool.Reset()
	if c, err := n.pool.Acquire(t.Context()); err == nil {
		c.Release()
		t.Error("connected to the old primary")
	} else if !errors.Is(err, primary.ErrTimeline) {
		t.Error(err)
	}

	// The first node stays on the old one, which alone it knows, until it sees the
	// new timeline. Then no transaction goes there, on an open connection neither.
	headOf(t, s, "thread/a")
	check(t, s.guard.See("00000002"))
	if _, err := store.CommitAll(t.Context(), s, []store.Commit{m.Peek(storetest.Draft{Stream: "thread/a", Events: 1})}); !errors.Is(err, primary.ErrTimeline) {
		t.Errorf("committed: %v", err)
	}
}

// TestCancelledWait: a commit whose wait for the standby is cancelled stays on the primary
// alone. It is not acknowledged before a later one is on the standby.
func TestCancelledWait(t *testing.T) {
	first, standby := postgrestest.Pair(t)
	s := opened(t, first.Schema(), Options{})
	m := storetest.NewMaker(s.Epoch())
	ctx, cancel := context.WithCancel(t.Context())
	var acknowledged atomic.Int64
	more := make(chan struct{}, 1)
	var committing sync.WaitGroup
	committing.Go(func() {
		defer close(more)
		for ctx.Err() == nil {
			_, err := store.CommitAll(ctx, s, []store.Commit{m.Next(storetest.Draft{Stream: "thread/a", Events: 1})})
			if ctx.Err() == nil && err != nil {
				t.Error(err)
				return
			}
			acknowledged.Add(1)
			select {
			case more <- struct{}{}:
			default:
			}
		}
	})
	defer committing.Wait()
	defer cancel()
	end := standby.Lag(first)
	before := acknowledged.Load()
	c := connected(t, first.URL("postgres"))
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for last := ""; ; <-again.C { // cancels the wait of the commit, and waits until another one waits
		var pid int
		var since string
		err := c.QueryRow(ctx, `SELECT pid, xact_start::text FROM pg_stat_activity
			WHERE wait_event = 'SyncRep' AND xact_start::text <> $1`, last).Scan(&pid, &since)
		if n := acknowledged.Load(); n != before {
			t.Fatalf("%d commits were acknowledged without the standby", n-before)
		}
		switch {
		case t.Failed():
			return // nothing commits any more
		case errors.Is(err, pgx.ErrNoRows):
			continue
		case err != nil:
			t.Fatal(err)
		case last == "":
			last = since
			if _, err := c.Exec(ctx, "SELECT pg_cancel_backend($1)", pid); err != nil {
				t.Fatal(err)
			}
			continue
		}
		break
	}
	select {
	case <-more: // of before
	default:
	}
	end()
	<-more
}

// TestSettings: a server that may lose what it has acknowledged is rejected, and what
// an acknowledgement survives is reported.
func TestSettings(t *testing.T) {
	server := postgrestest.Start(t, "-c", "fsync=off")
	if _, err := Open(t.Context(), server.Schema(), Options{}); !errors.Is(err, primary.ErrServer) {
		t.Errorf("opened with fsync off: %v", err)
	}
	address, c := server.Schema(), connected(t, server.URL("postgres"))
	notes := func(parameter string) string {
		s, err := Open(t.Context(), address+parameter, Options{Servers: primary.Options{Unsafe: true}})
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
	changedRole(t, address)
}

// changedRole: when new connections acknowledge less than earlier ones, or more, it is logged
// once. Nothing is written where it would wait for a standby, which is not there.
func changedRole(t *testing.T, address string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(address)
	check(t, err)
	var log bytes.Buffer
	guard, err := primary.New(&cfg.Config, primary.Options{Unsafe: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	check(t, err)
	guard.Watch(&cfg.Config)
	super := connected(t, address+"&synchronous_commit=local")
	for _, c := range []struct {
		change, now string
	}{
		{"SELECT", ""},
		{"ALTER ROLE gotong SET synchronous_commit = local", `now="[^"]*is local, so no write waits for the standbys b" before="[^"]*on a standby too`},
		{"ALTER ROLE gotong SET synchronous_commit = remote_write", `now="[^"]*\(remote_write\)" before="[^"]* is local`},
	} {
		exec(t, super, c.change)
		for range 2 {
			conn, err := pgx.ConnectConfig(t.Context(), cfg)
			check(t, err)
			check(t, conn.Close(t.Context()))
		}
		text := log.String()
		log.Reset()
		if ok, err := regexp.MatchString(`^[^\n]*level=WARN [^\n]*`+c.now+`[^\n]*\n$`, text); c.now != "" && !ok || err != nil || c.now == "" && text != "" {
			t.Errorf("after %s: %q", c.change, text)
		}
	}
}

// TestEncoding: nodes read the texts of each other, whatever encoding their roles have by
// default. A database that cannot hold each text is rejected.
func TestEncoding(t *testing.T) {
	server := postgrestest.Start(t)
	address := server.Schema()
	key := gotong.Key{Collection: "things", Owner: "o", Name: "rukun tetangga é 日本"}
	s := opened(t, address+"&client_encoding=LATIN1", Options{})
	commitOne(t, s, storetest.NewMaker(s.Epoch()), storetest.Draft{
		Stream: "thread/a", Events: 1, Changes: []store.Change{{Key: key, Body: []byte("{}")}},
	})
	snap, err := opened(t, address, Options{}).Load(t.Context(), store.Need{Documents: []gotong.Key{key}})
	if err != nil || len(snap.Documents) != 1 {
		t.Errorf("%+v, %v", snap.Documents, err)
	}
	exec(t, connected(t, server.URL("postgres")), "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
	if _, err := Open(t.Context(), server.URL("latin"), Options{}); !errors.Is(err, primary.ErrServer) {
		t.Errorf("opened: %v", err)
	}
}
