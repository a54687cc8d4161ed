package sqlite

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

const (
	selectRegister = `SELECT name, version, body, expires FROM registers
		WHERE collection = ? AND owner = ? AND name = ? AND (expires = 0 OR expires > +?)`
	findRegisters = `SELECT name, version, body, expires FROM registers
		WHERE collection = +? AND owner = +? AND name BETWEEN ? AND ? AND (expires = 0 OR expires > +?) ORDER BY name`
)

func scanRegister(row *sqlite.Stmt, collection, owner string) store.Register {
	return store.Register{
		Key:     gotong.Key{Collection: collection, Owner: owner, Name: row.ColumnText(0)},
		Version: unsigned(row, 1), Body: blob(row, 2), Expires: gotong.Instant(row.ColumnInt64(3)),
	}
}

func readRegister(c *conn, key gotong.Key, now gotong.Instant) (store.Register, error) {
	r := store.Register{Key: key}
	err := c.query(selectRegister, func(row *sqlite.Stmt) error {
		r = scanRegister(row, key.Collection, key.Owner)
		return nil
	}, key.Collection, key.Owner, key.Name, now)
	return r, err
}

// SetRegister implements [store.Registers]. Concurrent calls share a sync with
// each other and with commits.
func (s *Store) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	return s.write(ctx, len(body), func(w *writer) error {
		r, err := readRegister(w.conn, key, s.now())
		if err != nil {
			return err
		}
		if r.Version != expect {
			return store.ErrConflict
		}
		return w.setRegister(gotong.RegisterChange{Key: key, Expect: expect, Body: body, Expires: expires})
	})
}

func (w *writer) setRegister(r gotong.RegisterChange) error {
	w.rows++
	if r.Body == nil {
		return w.conn.exec("DELETE FROM registers WHERE collection = ? AND owner = ? AND name = ?",
			r.Key.Collection, r.Key.Owner, r.Key.Name)
	}
	return w.conn.exec("INSERT OR REPLACE INTO registers VALUES (?, ?, ?, ?, ?, ?)",
		r.Key.Collection, r.Key.Owner, r.Key.Name, r.Expect+1, r.Body, r.Expires)
}

// FindRegisters implements [store.Registers].
func (s *Store) FindRegisters(ctx context.Context, r store.KeyRange) (found []store.Register, err error) {
	sql := findRegisters
	if r.Descending {
		sql += " DESC"
	}
	err = s.read(ctx, func(c *reading) error {
		return c.query(sql, atMost(store.Bound(r.Limit), func(row *sqlite.Stmt) error {
			found = append(found, scanRegister(row, r.Collection, r.Owner))
			return nil
		}), r.Collection, r.Owner, r.From, r.To, s.now())
	})
	return found, err
}

func readCursor(c *conn, reader string, p gotong.Partition) (at uint64, err error) {
	err = c.query("SELECT position FROM cursors WHERE reader = ? AND partition = ?", func(row *sqlite.Stmt) error {
		at = unsigned(row, 0)
		return nil
	}, reader, p)
	return at, err
}
