package sqlite

import (
	"zombiezen.com/go/sqlite"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// project writes what steps change, in their order.
func (w *writer) project(steps []store.Step) error {
	for i := range steps {
		if steps[i].Erases {
			w.erased, w.putOff = true, false
		}
		w.rows += len(steps[i].Changes)
		if err := w.change(steps[i].Changes, steps[i].Clears); err != nil {
			return err
		}
	}
	return nil
}

const (
	selectRegister = "SELECT " + sqlstore.RegisterColumns + ` FROM registers
		WHERE collection = ? AND owner = ? AND name = ? AND (expires = 0 OR expires > +?)`
)

func readRegister(c *conn, key gotong.Key, now gotong.Instant) (store.Register, error) {
	r := store.Register{Key: key}
	err := c.ask(selectRegister, func(row sqlstore.Row) (err error) {
		r, err = sqlstore.ScanRegister(row)
		return err
	}, key.Collection, key.Owner, key.Name, now)
	return r, err
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

func readCursor(c *conn, reader string, p gotong.Partition) (at uint64, err error) {
	err = c.query("SELECT position FROM cursors WHERE reader = ? AND partition = ?", func(row *sqlite.Stmt) error {
		at = unsigned(row, 0)
		return nil
	}, reader, p)
	return at, err
}
