package postgres

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

const (
	selectRegisters = "SELECT " + sqlstore.RegisterColumns + ` FROM registers WHERE (collection, owner, name) IN
		(SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[])) AND (expires = 0 OR expires > $4)`
)

func (s *Store) readRegisters(b sqlstore.Batch, list []gotong.Key, into map[gotong.Key]store.Register) {
	if len(list) == 0 {
		return
	}
	b.Ask(func(row sqlstore.Row) error {
		r, err := sqlstore.ScanRegister(row)
		into[r.Key] = r
		return err
	}, selectRegisters, append(keyArgs(list), int64(s.Now()))...)
}

// purgeAtOnce is how many expired registers one transaction deletes.
const purgeAtOnce = 500

// clear deletes registers that have expired.
func (s *Store) clear(ctx context.Context) error {
	for gone := purgeAtOnce; gone == purgeAtOnce; {
		err := s.write(ctx, sqlstore.How{Lazy: true}, func(b sqlstore.Batch) {
			gone = 0
			b.Ask(func(sqlstore.Row) error { gone++; return nil },
				`DELETE FROM registers WHERE (collection, owner, name) IN (SELECT collection, owner, name FROM registers
				WHERE expires > 0 AND expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1`, int64(s.Now()), purgeAtOnce)
		}, func(sqlstore.Batch) error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

const selectCursor = "SELECT reader, partition, position FROM cursors WHERE reader = $1 AND partition = $2"

func readCursor(b sqlstore.Batch, sql string, key store.CursorKey, into map[store.CursorKey]uint64) {
	b.Ask(func(row sqlstore.Row) error {
		r, err := sqlstore.ScanCursor(row)
		into[key] = r.Position
		return err
	}, sql, key.Reader, int16(key.Partition))
}
