package sqlite

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

const (
	eventColumns = `e.key & 0xffffffff, e.partition, e.position, e.id, e.type, e.at, e.audience, e.count,
		e.data, e.content, e.data_salt, e.content_salt, e.content_commit, e.prev, e.chain, e.erased`
	selectUp      = "SELECT " + eventColumns + " FROM events e WHERE e.key > ? AND e.key <= ? ORDER BY e.key"
	selectDown    = "SELECT " + eventColumns + " FROM events e WHERE e.key > ? AND e.key <= ? ORDER BY e.key DESC"
	selectCommits = "SELECT " + eventColumns + `, s.name FROM events e JOIN streams s ON s.no = e.key >> 32
		WHERE e.partition = ? AND e.position > ? AND e.position <= ? ORDER BY e.position, e.key`
)

// eventsIn reads a range of a stream's events.
func (s *Store) eventsIn(c *conn, r store.EventRange) (found []store.Event, err error) {
	h, err := readHead(c, r.Stream)
	if err != nil || h.no == 0 || r.From >= min(r.To, h.Seq) {
		return nil, err
	}
	sql := selectUp
	if r.Descending {
		sql = selectDown
	}
	size, most := 0, store.ByteBound(r.MaxBytes)
	err = c.query(sql, atMost(store.Bound(r.Limit), func(row *sqlite.Stmt) error {
		size += row.ColumnLen(8) + row.ColumnLen(9)
		if len(found) > 0 && size > most {
			return errEnough
		}
		found = append(found, store.Event{Stream: r.Stream})
		return s.scan(row, &found[len(found)-1])
	}), int(eventKey(h.no, r.From)), int(eventKey(h.no, r.To)))
	if err != nil {
		return nil, err
	}
	return found, nil
}

// scan reads a row and verifies it: what does not match its commitments is
// never handed out, nor is what only looks like it once it is read.
func (s *Store) scan(row *sqlite.Stmt, e *store.Event) error {
	e.Seq = unsigned(row, 0)
	e.Partition = gotong.Partition(unsigned(row, 1)) //nolint:gosec // compared below
	e.Position = unsigned(row, 2)
	e.Type = row.ColumnText(4)
	e.At = gotong.Instant(row.ColumnInt64(5))
	e.Audience = gotong.Audience(row.ColumnText(6))
	e.Count = unsigned(row, 7)
	e.Data, e.Content = blob(row, 8), blob(row, 9)
	e.Erased = row.ColumnBool(15)
	exact := row.ColumnInt64(1) == int64(e.Partition) && row.ColumnInt64(7) == int64(e.Count) && //nolint:gosec // back again
		row.ColumnInt64(15)&^1 == 0 && row.ColumnIsNull(11) == e.Erased &&
		fixed(row, 3, e.ID[:]) && fixed(row, 10, e.DataSalt[:]) && (e.Erased || fixed(row, 11, e.ContentSalt[:])) &&
		fixed(row, 12, e.ContentCommit[:]) && fixed(row, 13, e.Prev[:]) && fixed(row, 14, e.Chain[:])
	if !exact {
		return store.ErrCorrupt
	}
	return e.Verify(s.eras.Load().At(e.Partition, e.Position))
}

// ReadPartition implements [store.Log].
func (s *Store) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) (found []store.Event, err error) {
	most := store.Bound(limit)
	err = s.read(ctx, func(c *conn) error {
		return c.query(selectCommits, func(row *sqlite.Stmt) error {
			if n := len(found); n >= most && unsigned(row, 2) != found[n-1].Position {
				return errEnough
			}
			found = append(found, store.Event{Stream: gotong.Stream(row.ColumnText(16))})
			return s.scan(row, &found[len(found)-1])
		}, p, from, to)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
