package sqlite

import (
	"cmp"
	"context"
	"errors"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

func readMeta(c *conn) (meta map[string]string, err error) {
	meta = map[string]string{}
	err = c.run(func(b *batch) { sqlstore.ReadMeta(b, meta) })
	return meta, err
}

func writeMeta(c *conn, name, value string) error {
	return c.run(func(b *batch) { sqlstore.WriteMeta(b, name, value) })
}

func writeEras(c *conn, eras store.Eras) error {
	return c.run(func(b *batch) { sqlstore.WriteEras(b, eras) })
}

// openEras reads the epochs of this history, or begins one.
func openEras(c *conn) (store.Eras, error) {
	meta, err := readMeta(c)
	if err != nil || meta["eras"] != "" {
		eras, bad := store.ParseEras(meta["eras"])
		return eras, cmp.Or(err, bad)
	}
	first := store.FirstEra(cmp.Or(gotong.Epoch(meta["epoch"]), store.NewEpoch()))
	return first, writeEras(c, first)
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
	err = s.read(ctx, func(r *reading) error {
		return r.run(func(b *batch) { sqlstore.ReadState(b, isEmpty, &state) })
	})
	return state, err
}

const isEmpty = `NOT (EXISTS (SELECT 1 FROM streams) OR EXISTS (SELECT 1 FROM claims)
	OR EXISTS (SELECT 1 FROM registers) OR EXISTS (SELECT 1 FROM cursors) OR EXISTS (SELECT 1 FROM jobs))`

// Seal implements [store.Mover].
func (s *Store) Seal(ctx context.Context, note string) error {
	return s.perform(ctx, 0, func(w *writer) error {
		w.sealed = note
		return writeMeta(w.conn, "sealed", note)
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

const (
	selectStreams = "SELECT name, home, no FROM streams WHERE no > $1 ORDER BY no"
	selectClaims  = `SELECT c.space, c.name, s.name FROM claims c JOIN streams s ON s.no = c.stream
		WHERE (c.space, c.name) > ($1, $2) ORDER BY c.space, c.name`
)

// Rows implements [store.Mover].
func (s *Store) Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error) {
	page, err := sqlstore.NewPage(section, after, limit, s.collections)
	if err != nil {
		return store.Rows{}, err
	}
	err = s.read(ctx, func(r *reading) error {
		of := sqlstore.Tables{Streams: selectStreams, Claims: selectClaims, Stream: r.stream}
		return r.run(func(b *batch) { page.Read(b, of, s.now()) })
	})
	if err != nil {
		return store.Rows{}, err
	}
	return page.Rows()
}

// stream returns the stream of a row, and its number.
func (r *reading) stream(row sqlstore.Row) (stream store.StreamRow, no int64, err error) {
	var home gotong.Stream
	if err := row.Scan(&stream.Stream, &home, &no); err != nil {
		return stream, 0, err
	}
	h, err := r.headOf(stream.Stream, no, home)
	stream.Head = h.Head
	return stream, no, err
}
