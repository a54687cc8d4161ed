package sqlite

import (
	"context"
	"encoding/json"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

const (
	eventColumns = `e.seq, e.partition, e.position, e.id, e.type, e.at, e.audience, e.count,
		e.data, e.content, e.data_salt, e.content_salt, e.content_commit, e.prev, e.chain, e.erased`
	selectUp   = "SELECT " + eventColumns + " FROM events e WHERE e.stream = +? AND e.seq > ? AND e.seq <= ? ORDER BY e.seq"
	selectDown = selectUp + " DESC"
	// LEFT: an event of no stream is not passed over, its commit is then not what
	// its record says.
	selectCommits = "SELECT " + eventColumns + ", s.name, " + recordColumns + ` FROM events e LEFT JOIN streams s ON s.no = e.stream
		WHERE e.partition = +? AND e.position > ? AND e.position <= ? ORDER BY e.position, e.key`
)

func (r *reading) eventsIn(of store.EventRange) ([]store.Event, error) {
	h, err := r.head(of.Stream)
	if err != nil {
		return nil, err
	}
	page := store.NewStreamPage(of, h.Seq, r.eras)
	if !page.Wants() {
		return nil, nil
	}
	sql := selectUp
	if of.Descending {
		sql = selectDown
	}
	err = r.query(sql, func(row *sqlite.Stmt) error {
		if e := scan(row, of.Stream); !page.Add(&e) {
			return errEnough
		}
		return nil
	}, int(h.no), of.From, min(of.To, h.Seq))
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
	err = s.read(ctx, func(r *reading) error {
		end := r.positions[p]
		page := store.NewPartitionPage(p, from, to, end, limit, r.eras)
		var commit commitRows
		err := r.query(selectCommits, func(row *sqlite.Stmt) error {
			if len(commit.events) > 0 && unsigned(row, 2) != commit.events[0].Position {
				if !commit.addTo(page) {
					return errEnough
				}
				commit = commitRows{}
			}
			commit.scan(row)
			return nil
		}, p, from, min(to, end))
		if err != nil {
			return err
		}
		if len(commit.events) > 0 {
			commit.addTo(page)
		}
		found, err = page.Events()
		return err
	})
	return found, err
}

// commitRows are the rows at one position, and the request that the first of
// them holds.
type commitRows struct {
	events []store.Event
	record store.Record
}

func (c *commitRows) scan(row *sqlite.Stmt) {
	e, named := scan(row, gotong.Stream(row.ColumnText(16))), !row.ColumnIsNull(17)
	switch {
	case len(c.events) == 0 && named:
		c.record = scanRecord(row, 17, e.Stream)
	case named: // it is the first row of another commit
		c.record = store.Record{}
	}
	c.events = append(c.events, e)
}

// addTo adds the commit to a page, with its record as far as its first event
// names the same request. It reports whether the page wants another one.
func (c *commitRows) addTo(page *store.PartitionPage) bool {
	var env store.Envelope[json.RawMessage]
	if json.Unmarshal(c.events[0].Data, &env) != nil || env.RequestID != c.record.Request.RequestID ||
		env.Actor.UserID != c.record.Request.Actor {
		c.record = store.Record{}
	}
	return page.Add(c.events, c.record)
}
