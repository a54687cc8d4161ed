package sqlite

import (
	"cmp"
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

// openEras reads the epochs of this history, or begins one.
func openEras(c *conn) (eras store.Eras, err error) {
	meta, err := readMeta(c)
	if err != nil {
		return nil, err
	}
	b := batch{conn: c}
	eras, err = sqlstore.OpenEras(&b, meta)
	return eras, cmp.Or(err, b.err)
}

// gate is why the file takes no such writes now; nil where it does.
func (w *writer) gate(how sqlstore.How) error {
	switch {
	case w.sealed != "" && !how.Seals:
		return store.ErrSealed
	case w.progress != "" && !how.Moves:
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

const isEmpty = `NOT (EXISTS (SELECT 1 FROM streams) OR EXISTS (SELECT 1 FROM claims)
	OR EXISTS (SELECT 1 FROM registers) OR EXISTS (SELECT 1 FROM cursors) OR EXISTS (SELECT 1 FROM jobs))`

// streamOf returns the stream of a row, and its number.
func streamOf(b sqlstore.Batch, row sqlstore.Row) (stream store.StreamRow, no int64, err error) {
	var home gotong.Stream
	if err := row.Scan(&stream.Stream, &home, &no); err != nil {
		return stream, 0, err
	}
	h, err := own(b).reading.headOf(stream.Stream, no, home)
	stream.Head = h.Head
	return stream, no, err
}
