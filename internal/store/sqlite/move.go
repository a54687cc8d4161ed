package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

// The rows of meta. The epoch stands there for people.
const (
	metaEpoch    = "epoch"
	metaEras     = "eras"
	metaSealed   = "sealed"
	metaProgress = "progress"
)

func readMeta(c *conn, name string) (value string, err error) {
	err = c.query("SELECT value FROM meta WHERE name = ?", func(row *sqlite.Stmt) error {
		value = row.ColumnText(0)
		return nil
	}, name)
	return value, err
}

// writeMeta keeps a value; an empty one is no row.
func writeMeta(c *conn, name, value string) error {
	if value == "" {
		return c.exec("DELETE FROM meta WHERE name = ?", name)
	}
	return c.exec("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)
}

// erasOf reads the epochs of this history, or begins one.
func erasOf(c *conn) (store.Eras, error) {
	text, err := readMeta(c, metaEras)
	if err != nil {
		return nil, err
	}
	if text != "" {
		var eras store.Eras
		if err := json.Unmarshal([]byte(text), &eras); err != nil || len(eras) == 0 {
			return nil, fmt.Errorf("%w: the list of epochs cannot be read", store.ErrFailed)
		}
		return eras, nil
	}
	epoch, err := readMeta(c, metaEpoch)
	if err != nil {
		return nil, err
	}
	if epoch == "" {
		epoch = string(store.NewEpoch())
	}
	eras := store.FirstEra(gotong.Epoch(epoch))
	return eras, writeEras(c, eras)
}

// writeEras keeps the list first: where it is there, the epoch is not read.
func writeEras(c *conn, eras store.Eras) error {
	text, err := json.Marshal(eras)
	if err != nil {
		return err
	}
	return errors.Join(writeMeta(c, metaEras, string(text)), writeMeta(c, metaEpoch, string(eras.Epoch())))
}

// gate is why the file takes no writes now; nil where it does.
func (w *writer) gate() error {
	switch {
	case w.sealed != "":
		return store.ErrSealed
	case w.progress != "":
		return store.ErrUnfinished
	default:
		return nil
	}
}

// harmless reports whether an op that failed with this error has written nothing.
func harmless(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrSealed) || errors.Is(err, store.ErrUnfinished) ||
		errors.Is(err, errBadHead)
}

// State implements [store.Mover].
func (s *Store) State(ctx context.Context) (state store.State, err error) {
	err = s.read(ctx, func(r *reading) (err error) {
		if state.Eras, err = erasOf(r.conn); err != nil {
			return err
		}
		if state.Sealed, err = readMeta(r.conn, metaSealed); err != nil {
			return err
		}
		if state.Progress, err = readMeta(r.conn, metaProgress); err != nil {
			return err
		}
		state.Empty, err = isEmpty(r.conn)
		return err
	})
	return state, err
}

func isEmpty(c *conn) (empty bool, err error) {
	err = c.query(`SELECT NOT (EXISTS (SELECT 1 FROM streams) OR EXISTS (SELECT 1 FROM claims)
		OR EXISTS (SELECT 1 FROM registers) OR EXISTS (SELECT 1 FROM cursors) OR EXISTS (SELECT 1 FROM jobs))`,
		func(row *sqlite.Stmt) error {
			empty = row.ColumnBool(0)
			return nil
		})
	return empty, err
}

// Seal implements [store.Mover].
func (s *Store) Seal(ctx context.Context, note string) error {
	return s.perform(ctx, 0, func(w *writer) error {
		w.sealed = note
		return writeMeta(w.conn, metaSealed, note)
	})
}

// Renew implements [store.Mover].
func (s *Store) Renew(ctx context.Context, epoch gotong.Epoch) error {
	var next store.Eras
	err := s.write(ctx, 0, func(w *writer) error {
		if next = s.eras.Load().Next(epoch, w.ends.positions); next.Check() != nil {
			return next.Check()
		}
		return writeEras(w.conn, next)
	})
	if err == nil {
		s.eras.Store(&next)
	}
	return err
}
