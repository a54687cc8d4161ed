// Package bare is the limit that the write path is measured against: the same
// rows by the same driver in the same tables, in one transaction per batch with
// a sync, without the port, its checks, its caches and its trigger on INSERT.
//
// # Caveats
//
// It knows the tables of the sqlite adapter and must follow them. One caller at
// a time.
package bare

import (
	"context"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
)

// DB writes commits of one event each.
type DB struct {
	Writes int // rows of tables and entries of indexes
	Posts  int

	db        *zombiezen.Conn
	streams   map[gotong.Stream]int64
	positions [gotong.Partitions]int64
}

// Open makes the tables at path and opens them.
func Open(ctx context.Context, path string) (*DB, error) {
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	db, err := zombiezen.OpenConn(path, zombiezen.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	for _, q := range []string{"PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 4000", "PRAGMA cache_size = -65536",
		"DROP TRIGGER events_only_by_gotong"} {
		if err := sqlitex.ExecuteTransient(db, q, nil); err != nil {
			return nil, err
		}
	}
	return &DB{db: db, streams: map[gotong.Stream]int64{}}, nil
}

// Close closes the file.
func (w *DB) Close() error { return w.db.Close() }

func (w *DB) run(sql string, args ...any) error {
	stmt, err := w.db.Prepare(sql)
	if err != nil {
		return err
	}
	for i, arg := range args {
		switch v := arg.(type) {
		case int64:
			stmt.BindInt64(i+1, v)
		case string:
			stmt.BindText(i+1, v)
		case []byte:
			stmt.BindBytes(i+1, v)
		}
	}
	if _, err := stmt.Step(); err != nil {
		return err
	}
	return stmt.Reset()
}

// Write puts a batch into one transaction.
func (w *DB) Write(batch []store.Commit) error {
	if err := w.run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for i := range batch {
		if err := w.commit(&batch[i]); err != nil {
			return err
		}
	}
	w.Writes += 4 * len(batch)
	w.Posts += len(batch)
	return w.run("COMMIT")
}

func (w *DB) commit(c *store.Commit) error {
	e := &c.Events[0]
	no := w.streams[e.Stream]
	if no == 0 {
		no = int64(len(w.streams) + 1)
		w.streams[e.Stream] = no
		if err := w.run("INSERT INTO streams VALUES (?, ?, ?)", no, string(e.Stream), string(c.Home)); err != nil {
			return err
		}
	}
	p := int64(e.Partition)
	w.positions[p]++
	return w.run("INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)",
		p, w.positions[p], no, int64(e.Seq), e.ID[:], e.Type, int64(e.At), string(e.Audience), int64(e.Count),
		string(e.Data), string(e.Content), e.DataSalt[:], e.ContentSalt[:], e.ContentCommit[:], e.Prev[:], e.Chain[:],
		c.Request.RequestID, c.Request.Actor, c.Salt, c.Fingerprint, int64(e.Seq), int64(c.At))
}
