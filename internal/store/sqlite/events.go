package sqlite

import (
	"context"
	"encoding/json"
	"errors"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

const (
	eventColumns = `e.key & 0xffffffff, e.partition, e.position, e.id, e.type, e.at, e.audience, e.count,
		e.data, e.content, e.data_salt, e.content_salt, e.content_commit, e.prev, e.chain, e.erased`
	selectUp   = "SELECT " + eventColumns + " FROM events e WHERE e.key > ? AND e.key <= ? ORDER BY e.key"
	selectDown = "SELECT " + eventColumns + " FROM events e WHERE e.key > ? AND e.key <= ? ORDER BY e.key DESC"
	// LEFT: an event of no stream is not passed over, its commit is then not what
	// its record says.
	selectCommits = "SELECT " + eventColumns + `, s.name, s.no FROM events e LEFT JOIN streams s ON s.no = e.key >> 32
		WHERE e.partition = ? AND e.position > ? AND e.position <= ? ORDER BY e.position, e.key`
)

// eventsIn reads a range of a stream's events.
func (s *Store) eventsIn(c *conn, r store.EventRange) ([]store.Event, error) {
	h, err := readHead(c, r.Stream)
	if err != nil {
		return nil, err
	}
	page := store.NewStreamPage(r, h.Seq, *s.eras.Load())
	if !page.Wants() {
		return nil, nil
	}
	sql := selectUp
	if r.Descending {
		sql = selectDown
	}
	err = c.query(sql, func(row *sqlite.Stmt) error {
		if e := scan(row, r.Stream); !page.Add(&e) {
			return errEnough
		}
		return nil
	}, int(eventKey(h.no, r.From)), int(eventKey(h.no, min(r.To, h.Seq))))
	if err != nil {
		return nil, err
	}
	return page.Events()
}

// scan reads a row, which its page verifies. Of one that only looks like an
// event once it is read, nothing is left but its place.
func scan(row *sqlite.Stmt, stream gotong.Stream) store.Event {
	e := store.Event{
		Stream: stream, Seq: unsigned(row, 0),
		Partition: gotong.Partition(unsigned(row, 1)), //nolint:gosec // compared below
		Position:  unsigned(row, 2), Type: row.ColumnText(4), At: gotong.Instant(row.ColumnInt64(5)),
		Audience: gotong.Audience(row.ColumnText(6)), Count: unsigned(row, 7),
		Data: blob(row, 8), Content: blob(row, 9), Erased: row.ColumnBool(15),
	}
	exact := row.ColumnInt64(1) == int64(e.Partition) && row.ColumnInt64(7) == int64(e.Count) && //nolint:gosec // back again
		row.ColumnInt64(15)&^1 == 0 && row.ColumnIsNull(11) == e.Erased &&
		fixed(row, 3, e.ID[:]) && fixed(row, 10, e.DataSalt[:]) && (e.Erased || fixed(row, 11, e.ContentSalt[:])) &&
		fixed(row, 12, e.ContentCommit[:]) && fixed(row, 13, e.Prev[:]) && fixed(row, 14, e.Chain[:])
	if !exact {
		return store.Event{Stream: stream, Seq: e.Seq, Partition: e.Partition, Position: e.Position}
	}
	return e
}

// ReadPartition implements [store.Log].
func (s *Store) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) (found []store.Event, err error) {
	err = s.read(ctx, func(c *conn) error {
		heads, err := readPositions(c)
		if err != nil {
			return err
		}
		to := min(to, heads[p])
		page := store.NewPartitionPage(p, from, to, heads[p], limit, *s.eras.Load())
		var commit []store.Event // read so far of one position
		var no int64             // of its stream
		add := func() error {
			r, err := recordOf(c, no, &commit[0])
			if err == nil && !page.Add(commit, r) {
				err = errEnough
			}
			commit = nil
			return err
		}
		err = c.query(selectCommits, func(row *sqlite.Stmt) error {
			if len(commit) > 0 && unsigned(row, 2) != commit[0].Position {
				if err := add(); err != nil {
					return err
				}
			}
			commit, no = append(commit, scan(row, gotong.Stream(row.ColumnText(16)))), row.ColumnInt64(17)
			return nil
		}, p, from, to)
		if err == nil && len(commit) > 0 {
			err = add()
		}
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		found, err = page.Events()
		return err
	})
	return found, err
}

// recordOf is the record of the commit that brought an event, as far as the
// event says which one that is; the zero Record where there is none.
func recordOf(c *conn, no int64, e *store.Event) (store.Record, error) {
	var env store.Envelope[json.RawMessage]
	if json.Unmarshal(e.Data, &env) != nil {
		return store.Record{}, nil //nolint:nilerr // the page finds that the event is damaged
	}
	key := gotong.RequestKey{Stream: e.Stream, Actor: env.Actor.UserID, RequestID: env.RequestID}
	r, _, err := readRecord(c, no, key)
	return r, err
}
