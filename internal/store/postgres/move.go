package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// isEmpty is true if there are no rows but those of meta. A stream without an event
// is none: a commit that was not written can leave it.
const isEmpty = `NOT (EXISTS (SELECT FROM events) OR EXISTS (SELECT FROM streams WHERE seq > 0) OR EXISTS (SELECT FROM claims)
	OR EXISTS (SELECT FROM registers) OR EXISTS (SELECT FROM cursors WHERE position > 0) OR EXISTS (SELECT FROM jobs))`

// State implements [store.Mover].
func (s *Store) State(ctx context.Context) (state store.State, err error) {
	var meta map[string]string
	err = s.read(ctx, func(b *pgx.Batch) {
		meta = map[string]string{}
		each(b, func(row pgx.Rows) error {
			var name, value string
			err := row.Scan(&name, &value)
			meta[name] = value
			return err
		}, "SELECT name, value FROM meta")
		each(b, func(row pgx.Rows) error { return row.Scan(&state.Empty) }, "SELECT "+isEmpty)
	})
	if err != nil {
		return store.State{}, err
	}
	state.Sealed, state.Progress = meta["sealed"], meta["progress"]
	state.Eras, err = erasOf(meta["eras"])
	return state, err
}

// writeMeta queues a value; an empty one deletes the row.
func writeMeta(b *pgx.Batch, name, value string) {
	if value == "" {
		b.Queue("DELETE FROM meta WHERE name = $1", name)
		return
	}
	b.Queue("INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
}

func writeEras(b *pgx.Batch, eras store.Eras) {
	text, _ := json.Marshal(eras) //nolint:errchkjson // names and numbers always have a JSON form
	writeMeta(b, "eras", string(text))
	writeMeta(b, "epoch", string(eras.Epoch()))
}

// Seal implements [store.Mover]. It waits for the transactions that have begun.
func (s *Store) Seal(ctx context.Context, note string) error {
	return s.write(ctx, mode{alone: true, seals: true, moves: true}, func(*pgx.Batch) {}, func(b *pgx.Batch) error {
		writeMeta(b, "sealed", note)
		return nil
	})
}

// Renew implements [store.Mover].
func (s *Store) Renew(ctx context.Context, epoch gotong.Epoch) error {
	var positions [gotong.Partitions]uint64
	var next store.Eras
	err := s.write(ctx, mode{alone: true}, func(b *pgx.Batch) {
		each(b, func(row pgx.Rows) error { return scanPosition(row, &positions) }, selectPositions)
	}, func(b *pgx.Batch) error {
		next = s.eras.Load().Next(epoch, positions)
		writeEras(b, next)
		return next.Check()
	})
	if err == nil {
		s.eras.Store(&next)
	}
	return err
}

// rowKey is the key of the last row of a page, as a mark holds it.
type rowKey struct {
	No   int64     `json:"no,omitempty"`
	Text [3]string `json:"text"`
}

// Rows implements [store.Mover].
func (s *Store) Rows(ctx context.Context, section store.Section, after string, limit int) (rows store.Rows, err error) {
	var from rowKey
	if after != "" {
		if err := json.Unmarshal([]byte(after), &from); err != nil {
			return rows, fmt.Errorf("postgres: a mark that cannot be read: %w", err)
		}
	}
	at, n, most := from, 0, store.Bound(limit)
	sql, args := s.section(section, &at)
	if sql == "" {
		if section == store.AllDocuments { // there are no collections
			return rows, nil
		}
		return rows, fmt.Errorf("postgres: no section %d", section)
	}
	err = s.read(ctx, func(b *pgx.Batch) {
		rows, n = store.Rows{}, 0
		each(b, func(row pgx.Rows) error {
			n++
			return s.takeRow(row, section, &at, &rows)
		}, sql+fmt.Sprintf(" LIMIT %d", most), args...)
	})
	more := n == most
	if section == store.AllDocuments && !more {
		more = s.nextCollection(&at)
	}
	if err != nil || !more {
		return rows, err
	}
	mark, err := json.Marshal(at)
	rows.Next = string(mark)
	return rows, err
}

// section returns the query for the rows of a section after a key, in the order of
// its table's key.
func (s *Store) section(section store.Section, at *rowKey) (sql string, args []any) {
	t := at.Text
	switch section {
	case store.AllStreams:
		return "SELECT " + headColumns + " FROM streams WHERE no > $1 AND seq > 0 ORDER BY no", []any{at.No}
	case store.AllRecords:
		return "SELECT " + recordColumns + `, s.name, e.key FROM events e JOIN streams s ON s.no = e.stream
			WHERE e.position IS NULL AND e.key > $1 ORDER BY e.key`, []any{at.No}
	case store.AllClaims:
		return "SELECT space, name, stream FROM claims WHERE (space, name) > ($1, $2) ORDER BY space, name", []any{t[0], t[1]}
	case store.AllRegisters:
		return "SELECT " + registerColumns + ` FROM registers WHERE (collection, owner, name) > ($1, $2, $3)
			AND (expires = 0 OR expires > $4) ORDER BY collection, owner, name`, []any{t[0], t[1], t[2], int64(s.now())}
	case store.AllCursors:
		return `SELECT reader, partition, position FROM cursors WHERE (reader, partition) > ($1, $2) AND position > 0
			ORDER BY reader, partition`, []any{t[0], int16(at.No)} //nolint:gosec // a partition
	case store.AllJobs:
		return "SELECT " + jobColumns + " FROM jobs WHERE (queue, id) > ($1, $2) ORDER BY queue, id", []any{t[0], t[1]}
	case store.AllDocuments:
		if !s.docs[t[0]] && !s.nextCollection(at) {
			return "", nil
		}
		return "SELECT owner, name, body FROM doc_" + at.Text[0] + " WHERE (owner, name) > ($1, $2) ORDER BY owner, name",
			[]any{at.Text[1], at.Text[2]}
	default:
		return "", nil
	}
}

// nextCollection moves a key to the beginning of the next collection; false if there
// is none.
func (s *Store) nextCollection(at *rowKey) bool {
	for _, name := range slices.Sorted(maps.Keys(s.docs)) {
		if name > at.Text[0] {
			at.Text = [3]string{name}
			return true
		}
	}
	return false
}

// takeRow adds a row and moves the key on to it.
func (s *Store) takeRow(row pgx.Rows, section store.Section, at *rowKey, rows *store.Rows) (err error) {
	switch section {
	case store.AllStreams:
		var r store.StreamRow
		r, at.No, err = scanHead(row)
		rows.Streams = append(rows.Streams, r)
	case store.AllRecords:
		var r store.Record
		err = row.Scan(append(recordInto(&r), &r.Request.Stream, &at.No)...)
		rows.Records = append(rows.Records, r)
	case store.AllClaims:
		var r store.ClaimRow
		err = row.Scan(&r.Claim.Space, &r.Claim.Name, &r.Stream)
		rows.Claims, at.Text = append(rows.Claims, r), [3]string{r.Claim.Space, r.Claim.Name}
	case store.AllRegisters:
		var r store.Register
		r, err = scanRegister(row)
		rows.Registers, at.Text = append(rows.Registers, r), [3]string{r.Key.Collection, r.Key.Owner, r.Key.Name}
	case store.AllCursors:
		var r store.CursorRow
		r, err = scanCursor(row)
		rows.Cursors, at.Text, at.No = append(rows.Cursors, r), [3]string{r.Reader}, int64(r.Partition)
	case store.AllJobs:
		var r store.Job
		r, err = scanJob(row)
		rows.Jobs, at.Text = append(rows.Jobs, r), [3]string{r.Queue, r.ID}
	case store.AllDocuments:
		var r store.Document
		r, err = scanDocument(row, at.Text[0])
		rows.Documents, at.Text = append(rows.Documents, r), [3]string{r.Key.Collection, r.Key.Owner, r.Key.Name}
	}
	return err
}
