package postgres

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// isEmpty is true if there are no rows but those of meta. A stream without an event
// is none: a commit that was not written can leave it.
const isEmpty = `NOT (EXISTS (SELECT FROM events) OR EXISTS (SELECT FROM streams WHERE seq > 0) OR EXISTS (SELECT FROM claims)
	OR EXISTS (SELECT FROM registers) OR EXISTS (SELECT FROM cursors WHERE position > 0) OR EXISTS (SELECT FROM jobs))`

// State implements [store.Mover].
func (s *Store) State(ctx context.Context) (state store.State, err error) {
	err = s.read(ctx, func(b *batch) { sqlstore.ReadState(b, isEmpty, &state) })
	return state, err
}

// Seal implements [store.Mover]. It waits for the transactions that have begun.
func (s *Store) Seal(ctx context.Context, note string) error {
	return s.write(ctx, mode{alone: true, seals: true, moves: true}, func(*batch) {}, func(b *batch) error {
		sqlstore.WriteMeta(b, "sealed", note)
		return nil
	})
}

// Renew implements [store.Mover].
func (s *Store) Renew(ctx context.Context, epoch gotong.Epoch) error {
	var positions [gotong.Partitions]uint64
	var next store.Eras
	err := s.write(ctx, mode{alone: true}, func(b *batch) {
		readPositions(b, &positions)
	}, func(b *batch) error {
		next = s.Eras().Next(epoch, positions)
		sqlstore.WriteEras(b, next)
		return next.Check()
	})
	if err == nil {
		s.SetEras(next)
	}
	return err
}

var tables = sqlstore.Tables{
	Streams: "SELECT " + headColumns + " FROM streams WHERE no > $1 AND seq > 0 ORDER BY no",
	Claims:  "SELECT space, name, stream FROM claims WHERE (space, name) > ($1, $2) ORDER BY space, name",
	Stream:  scanHead,
}

// Rows implements [store.Mover].
func (s *Store) Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error) {
	page, err := sqlstore.NewPage(section, after, limit, s.Collections)
	if err == nil {
		err = s.read(ctx, func(b *batch) { page.Read(b, tables, s.Now()) })
	}
	if err != nil {
		return store.Rows{}, err
	}
	return page.Rows()
}
