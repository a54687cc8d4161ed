package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// changes are what must not be done to the log, as statements on the table
// events; each fails on its own.
func forbidden(columns []string) (list []string) {
	list = []string{
		"DELETE FROM events", "DELETE FROM events WHERE seq IS NULL",
		"UPDATE events SET data = '{}'", "UPDATE events SET content = '{}'", "UPDATE events SET at = at + 1",
		"UPDATE events SET erased = 1", "UPDATE events SET content = NULL, content_salt = NULL",
		"UPDATE events SET salt = NULL WHERE seq = 1", "UPDATE events SET salt = zeroblob(32) WHERE seq = 1",
		"UPDATE events SET content = NULL, content_salt = NULL, erased = 1, salt = NULL, fingerprint = NULL WHERE seq = 1",
		"UPDATE events SET content = NULL, content_salt = NULL, erased = 1 WHERE seq IS NULL",
		"PRAGMA ignore_check_constraints = ON; UPDATE events SET content = NULL, content_salt = NULL, erased = NULL WHERE seq = 1",
		"UPDATE OR REPLACE events SET key = 1 WHERE key = 2", "UPDATE OR REPLACE events SET seq = 1 WHERE seq = 2",
		"UPDATE OR REPLACE events SET request_id = (SELECT request_id FROM events WHERE key = 1)",
	}
	for _, replaced := range []string{"key", "seq, stream", "request_id, stream, actor"} { // what the new row shares with an old one
		var values []string
		for _, column := range columns {
			value := column
			if !strings.Contains(", "+replaced+",", ", "+column+",") {
				switch column {
				case "key":
					value = "NULL"
				case "seq":
					value = "77"
				case "request_id":
					value = "'another'"
				}
			}
			values = append(values, value)
		}
		list = append(list, "INSERT OR REPLACE INTO events SELECT "+strings.Join(values, ", ")+" FROM events WHERE key = 1",
			"REPLACE INTO events SELECT "+strings.Join(values, ", ")+" FROM events WHERE key = 1")
	}
	for _, column := range columns {
		for _, other := range []string{"-1", "'x'", "randomblob(32)"} { // the type that fits is among them
			if !slices.Contains([]string{"content", "content_salt", "erased"}, column) {
				list = append(list, fmt.Sprintf("UPDATE events SET content = NULL, content_salt = NULL, erased = 1, %s = %s WHERE seq = 1", column, other))
			}
			if !slices.Contains([]string{"salt", "fingerprint"}, column) {
				list = append(list, fmt.Sprintf("UPDATE events SET salt = NULL, fingerprint = NULL, %s = %s WHERE seq = 1", column, other))
			}
		}
	}
	return list
}

// TestAppendOnly: the database itself refuses to change the log, whoever asks: a
// connection of ours, or a fresh one of another program. Only an event can be
// erased, and a request blinded.
func TestAppendOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 2})
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a"})
	columns := columnsOf(t, s, "events")
	rows := func() (n int, all string) {
		check(t, s.read(t.Context(), func(c *reading) error {
			return c.query("SELECT count(*), group_concat(quote(key) || quote(seq) || quote(data) || quote(content) || "+
				"quote(content_salt) || quote(chain) || quote(request_id) || quote(fingerprint)) FROM events", func(row *sqlite.Stmt) error {
				n, all = row.ColumnInt(0), row.ColumnText(1)
				return nil
			})
		}))
		return n, all
	}
	n, was := rows()
	if n != 3 || len(columns) != 24 {
		t.Fatalf("%d rows of %d columns", n, len(columns))
	}
	ours := func(sql string) error {
		c, err := openConn(path)
		check(t, err)
		defer func() { check(t, c.db.Close()) }()
		return sqlitex.ExecuteScript(c.db, sql, nil)
	}
	for who, run := range map[string]func(sql string) error{
		"a connection of ours": ours, "another program": func(sql string) error { return outside(t, path, sql) },
	} {
		for _, sql := range forbidden(columns) {
			err := run(sql)
			reason := err != nil && (strings.Contains(err.Error(), "append-only") || strings.Contains(err.Error(), "only gotong appends") ||
				strings.Contains(err.Error(), "cannot store") || strings.Contains(err.Error(), "datatype mismatch"))
			if !reason {
				t.Errorf("%s: %s: %v", who, sql, err)
			}
		}
		if _, now := rows(); now != was {
			t.Errorf("%s has changed the log to\n%s\nfrom\n%s", who, now, was)
		}
	}
	if err := outside(t, path, "INSERT INTO events (partition, stream, request_id, actor, decided) VALUES (1, 1, 'r', 'a', 1)"); err == nil {
		t.Error("another program can append to the log")
	}
	check(t, outside(t, path, "UPDATE events SET content = NULL, content_salt = NULL, erased = 1 WHERE seq = 2"))
	check(t, outside(t, path, "UPDATE events SET salt = NULL, fingerprint = NULL WHERE seq = 1 OR seq IS NULL"))
}

// TestOtherTools: what an operator does with the tools of SQLite works on the
// file, although a trigger names a collation that they lack.
func TestOtherTools(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	backup := filepath.Join(t.TempDir(), "backup.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 2})
	each := func(path string, statements ...string) {
		t.Helper()
		db, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
		check(t, err)
		defer func() { check(t, db.Close()) }()
		for _, sql := range statements {
			check(t, sqlitex.ExecuteTransient(db, sql, nil))
		}
	}
	each(path, "PRAGMA integrity_check", "SELECT count(*) FROM log", "SELECT count(*) FROM requests", "VACUUM INTO '"+backup+"'")
	each(backup, "VACUUM", "REINDEX")
	restored := opened(t, backup)
	commitOne(t, restored, m, storetest.Draft{Stream: "thread/a", Events: 1})
	if err := outside(t, backup, "DELETE FROM events"); err == nil {
		t.Error("a backup can be changed")
	}
}

func columnsOf(t *testing.T, s *Store, table string) (names []string) {
	t.Helper()
	check(t, s.read(t.Context(), func(c *reading) error {
		return c.query("SELECT name FROM pragma_table_info(?)", func(row *sqlite.Stmt) error {
			names = append(names, row.ColumnText(0))
			return nil
		}, table)
	}))
	return names
}

// TestCorruptEvent: a row that was changed under the store's feet is not handed
// out; what is beside it still is.
func TestCorruptEvent(t *testing.T) {
	for name, change := range map[string]string{
		"data":    "data = replace(data, 'u1', 'u2')",
		"content": "content = '{\"body\":\"forged\"}'",
		"at":      "at = at + 1",
		"type":    "type = 'message.edited'",
		"prev":    "prev = zeroblob(32)",
		"chain":   "chain = zeroblob(32)",
		"commit":  "content_commit = zeroblob(32)",
		"hidden":  "content = NULL, content_salt = NULL, erased = 1, content_commit = zeroblob(32)",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gotong.db")
			s := opened(t, path)
			m := storetest.NewMaker(s.Epoch())
			commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
			commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
			check(t, outside(t, path, "DROP TRIGGER events_never_changed; UPDATE events SET "+change+" WHERE seq = 2"))
			for from := range uint64(2) {
				snap, err := s.Load(t.Context(), store.Need{Events: []store.EventRange{{Stream: "thread/a", From: from, To: 9}}})
				rows, err2 := s.ReadPartition(t.Context(), gotong.PartitionOf("thread/a"), from, 9, 9)
				for read, err := range map[string]error{"Load": err, "ReadPartition": err2} {
					if corrupt := errors.Is(err, store.ErrCorrupt); corrupt != (from == 1) {
						t.Errorf("%s after %d: %v", read, from, err)
					}
				}
				if from == 0 && (len(snap.Events[0]) != 1 || len(rows) != 1) {
					t.Errorf("the good event: %d, %d", len(snap.Events[0]), len(rows))
				}
			}
		})
	}
}

// TestErasedBytes: erased content is in none of the store's files, although
// pages were split and rewritten around it before.
func TestErasedBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	const secret = "sangat-rahasia-sekali"
	doc := func(i int) gotong.Key {
		return gotong.Key{Collection: "things", Owner: "o", Name: fmt.Sprint(i * 7 % 60)}
	}
	var erase []uint64
	for i := range 60 {
		for n := range 4 { // neighbours in the middle of the tree, so that pages split
			commitOne(t, s, m, storetest.Draft{Stream: gotong.Stream(fmt.Sprint("thread/", n)), Events: 1 + i%3})
		}
		commitOne(t, s, m, storetest.Draft{
			Stream: "thread/a", Events: 1, Body: fmt.Sprint(secret, i, strings.Repeat("x", i*37%900)),
			Changes: []store.Change{{Key: doc(i), Body: []byte(`{"b":"` + secret + `"}`)}},
		})
		erase = append(erase, uint64(i+1))
	}
	if !inFiles(t, path, secret) {
		t.Fatal("the test finds nothing to erase")
	}
	var changes []store.Change
	for i := range 60 {
		changes = append(changes, store.Change{Key: doc(i)})
	}
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1, Erase: erase, Changes: changes})
	if inFiles(t, path, secret) {
		t.Error("erased content is still in a file")
	}
}

func inFiles(t *testing.T, path, text string) bool {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		check(t, err)
		if n := bytes.Count(data, []byte(text)); n > 0 {
			t.Logf("%d times in %s", n, filepath.Base(path+suffix))
			return true
		}
	}
	return false
}

// TestViews: what an operator sees in the shell.
func TestViews(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	m := storetest.NewMaker(s.Epoch())
	c := m.Next(storetest.Draft{
		Stream: "thread/a", Events: 1, Actor: "budi", RequestID: "r1", Body: "halo", At: 1_764_000_000_000_042,
	})
	_, err := store.CommitAll(t.Context(), s, []store.Commit{c})
	check(t, err)
	e := c.Events[0]
	for sql, want := range map[string]string{
		`SELECT stream || ' ' || seq || ' ' || position || ' ' || id || ' ' || type || ' ' || at || ' ' || actor
			|| ' ' || json_extract(content, '$.body') || ' ' || chain FROM log`: fmt.Sprintf(
			"thread/a 1 1 %s message.posted %s budi halo %s", e.ID, e.At, e.Chain),
		"SELECT stream || ' ' || actor || ' ' || request_id || ' ' || at FROM requests": fmt.Sprintf("thread/a budi r1 %s", e.At),
	} {
		got := ""
		check(t, s.read(t.Context(), func(cn *reading) error {
			return cn.query(sql, func(row *sqlite.Stmt) error { got = row.ColumnText(0); return nil })
		}))
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", sql, got, want)
		}
	}
}

// TestErasedWhileRead: somebody who reads old pages delays only that erased
// content leaves the WAL, and not the erasure or other writes.
func TestErasedWhileRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	const secret = "sangat-rahasia-sekali"
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1, Body: secret})
	shell, err := openConn(path)
	check(t, err)
	check(t, shell.once("BEGIN"))
	check(t, shell.once("SELECT count(*) FROM events"))
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1, Erase: []uint64{1}})
	if !s.writer.erased || !inFiles(t, path, secret) {
		t.Error("the reader held up nothing: the test proves nothing")
	}
	rows := s.events(t, "thread/a")
	if !rows[0].Erased || rows[0].Content != nil {
		t.Errorf("%+v", rows[0])
	}
	check(t, shell.once("ROLLBACK"))
	check(t, shell.db.Close())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: wakeRows, Bare: true})
	if s.writer.erased || inFiles(t, path, secret) {
		t.Error("erased content is still in a file")
	}
}

func (s *Store) events(t *testing.T, stream gotong.Stream) []store.Event {
	t.Helper()
	snap, err := s.Load(t.Context(), store.Need{Events: []store.EventRange{{Stream: stream, To: 1000}}})
	check(t, err)
	return snap.Events[0]
}

// TestRowPastTheHead: a stream with a row where its head says that none is takes
// no writes, and that is no reason to try again; other streams do.
func TestRowPastTheHead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/b", Events: 1})
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 1})
	check(t, outside(t, path, `DROP TRIGGER events_only_by_gotong;
		INSERT INTO events SELECT key + 1, partition, position + 7, stream, seq + 1, id,
		type, at, audience, count, data, content, data_salt, content_salt, content_commit, prev, chain, erased, 'r', 'a', salt, fingerprint, last, decided
		FROM events ORDER BY key DESC LIMIT 1`))
	out, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(storetest.Draft{Stream: "thread/a", Events: 1})})
	if !errors.Is(err, store.ErrCorrupt) || gotong.CodeOf(store.CodedWrite(err)) != gotong.CodeCorruptEvent {
		t.Errorf("%+v, %v", out, err)
	}
	commitOne(t, s, m, storetest.Draft{Stream: "thread/b", Events: 1})
}
