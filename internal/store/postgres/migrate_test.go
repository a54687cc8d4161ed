package postgres

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

// TestMain keeps the model's runs few unless told otherwise: each makes a schema.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("10") // a number
	}
	os.Exit(postgrestest.Main(m))
}

func connected(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(t.Context()) })
	return c
}

func exec(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// TestSchema is one server for all that is asked about the schema.
func TestSchema(t *testing.T) {
	server := postgrestest.Start(t)
	migrated := func(t *testing.T) *pgx.Conn {
		t.Helper()
		c := connected(t, server.Fresh())
		for range 2 { // the second time does nothing
			if err := migrateOn(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	t.Run("rejects", func(t *testing.T) {
		for change, want := range map[string]error{
			"UPDATE migrations SET checksum = 'other'":                    store.ErrChangedSchema,
			"INSERT INTO migrations VALUES (9999, '9999_later.sql', 'x')": store.ErrNewerSchema,
			"UPDATE meta SET value = '1' WHERE name = 'header'":           store.ErrHeader,
			"DELETE FROM meta":      store.ErrHeader,
			"DROP TABLE migrations": store.ErrForeign,
			"ALTER TABLE meta RENAME TO other; CREATE TABLE meta (n text)": store.ErrForeign,
		} {
			c := migrated(t)
			exec(t, c, change)
			if err := migrateOn(t.Context(), c); !errors.Is(err, want) {
				t.Errorf("%s: %v", change, err)
			}
		}
	})
	t.Run("nodes", func(t *testing.T) {
		url, done := server.Fresh(), make(chan error)
		for range 4 {
			c := connected(t, url)
			go func() { done <- migrateOn(t.Context(), c) }()
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("isolation", func(t *testing.T) { secondStart(t, server.Fresh()) })
	t.Run("a schema before it", func(t *testing.T) { hidden(t, server.Fresh()) })
	t.Run("append-only", func(t *testing.T) { appendOnly(t, migrated(t)) })
}

// hidden: a schema that was made later and comes first in the search_path does not hide the
// log, and connections that reach its tables by either path have the same gate.
func hidden(t *testing.T, address string) {
	t.Helper()
	opened(t, address, Options{})
	c, other := connected(t, address), connected(t, address+"&search_path=first,public")
	exec(t, c, "CREATE SCHEMA first")
	if _, err := Open(t.Context(), address+"&search_path=first,public", Options{}); !errors.Is(err, primary.ErrServer) {
		t.Errorf("opened: %v", err)
	}
	exec(t, c, "SELECT pg_advisory_lock"+gate)
	free := false
	check(t, other.QueryRow(t.Context(), "SELECT pg_try_advisory_lock_shared"+gate).Scan(&free))
	if free {
		t.Error("the gate is another one")
	}
}

// secondStart: a node that waited for the first one to make the schema sees it, whatever
// isolation the role has by default.
func secondStart(t *testing.T, address string) {
	t.Helper()
	c, other := connected(t, address), connected(t, address)
	tx, err := c.Begin(t.Context())
	check(t, err)
	check(t, migrate(t.Context(), tx))
	done := make(chan error, 1)
	go func() {
		s, err := Open(t.Context(), address+"&default_transaction_isolation=serializable", Options{})
		if err == nil {
			err = s.Close()
		}
		done <- err
	}()
	waitFor(t, other, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")
	check(t, tx.Commit(t.Context()))
	check(t, <-done)
}

const insertEvent = `INSERT INTO streams (name) VALUES ('thread/a');
	INSERT INTO events (partition, position, stream, seq, id, type, at, audience, count, data, content, data_salt,
		content_salt, content_commit, prev, chain, erased, request_id, actor, salt, fingerprint, last, decided)
	VALUES (0, 1, 1, 1, gen_random_uuid(), 'message.posted', 1764000000000001, '', 1, '{"actor":{"user_id":"u1"}}', '{}',
		'd', 's', 'c', '', 'ab', false, 'r', 'u1', 'salt', 'print', 1, 1764000000000001)`

// appendOnly: everything but erasing content and blinding a request is rejected, also
// for a superuser, and also a change beside an allowed one.
func appendOnly(t *testing.T, c *pgx.Conn) {
	t.Helper()
	exec(t, c, insertEvent)
	rejected := func(sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	const erase = "UPDATE events SET content = NULL, content_salt = NULL, erased = true"
	rejected("DELETE FROM events")
	rejected("TRUNCATE events")
	rejected("UPDATE events SET content = 'other'")
	rejected("UPDATE events SET erased = true")
	rejected("UPDATE events SET fingerprint = 'other'")
	rejected(erase + ", salt = 'other'")
	for _, column := range []string{
		"position = 2", "seq = 2", "id = gen_random_uuid()", "type = 'x'", "at = 2", "audience = 'x'", "count = 2",
		"data = '{}'", "data_salt = 'x'", "content_commit = 'x'", "prev = 'x'", "chain = 'x'", "request_id = 'x'",
		"actor = 'x'", "last = 2", "decided = 2", "last = NULL",
	} {
		rejected("UPDATE events SET " + column)
		rejected(erase + ", " + column)
	}
	exec(t, c, erase)
	exec(t, c, "UPDATE events SET salt = NULL, fingerprint = NULL")
	var at, actor string
	err := c.QueryRow(t.Context(), "SELECT l.at, l.actor FROM log l JOIN requests r ON r.stream = l.stream AND r.at = l.at").
		Scan(&at, &actor)
	if err != nil || at != "2025-11-24T16:00:00.000001Z" || actor != "u1" {
		t.Errorf("%s %s %v", at, actor, err)
	}
	ordinary(t, c)
}

// ordinary: an owner that is no superuser lacks the privileges too.
func ordinary(t *testing.T, c *pgx.Conn) {
	t.Helper()
	exec(t, c, "CREATE ROLE app; CREATE SCHEMA app AUTHORIZATION app; SET ROLE app; SET search_path = app")
	if err := migrateOn(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"DELETE FROM events", "TRUNCATE events", "UPDATE events SET data = ''"} {
		if _, err := c.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	exec(t, c, "UPDATE events SET content = NULL, content_salt = NULL, erased = true")
}

func migrateOn(ctx context.Context, c *pgx.Conn) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error { return migrate(ctx, tx) })
}
