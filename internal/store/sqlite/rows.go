package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

// The statements of the sections, each in the order of its table's key, which
// is what a mark holds.
const (
	selectStreams = `SELECT name, home, seq, chain, at, count, no FROM streams WHERE no > ? AND seq > 0 ORDER BY no`
	selectRecords = `SELECT s.name, c.actor, c.request_id, c.salt, c.fingerprint, c.partition, c.position, c.first, c.last, c.at, c.stream
		FROM commits c JOIN streams s ON s.no = c.stream
		WHERE (c.request_id, c.stream, c.actor) > (?, ?, ?) ORDER BY c.request_id, c.stream, c.actor`
	selectClaims = `SELECT c.space, c.name, s.name FROM claims c JOIN streams s ON s.no = c.stream
		WHERE (c.space, c.name) > (?, ?) ORDER BY c.space, c.name`
	selectRegisters = `SELECT name, version, body, expires, collection, owner FROM registers
		WHERE (collection, owner, name) > (?, ?, ?) AND (expires = 0 OR expires > ?) ORDER BY collection, owner, name`
	selectCursors = `SELECT reader, partition, position FROM cursors
		WHERE (reader, partition) > (?, ?) AND position > 0 ORDER BY reader, partition`
	selectJobs = `SELECT queue, id, due, attempt, lease, body FROM jobs WHERE (queue, id) > (?, ?) ORDER BY queue, id`
)

// rowKey is the key of the last row of a page, as a mark holds it.
type rowKey struct {
	No   int64     `json:"no,omitempty"`
	Text [3]string `json:"text"`
}

// Rows implements [store.Mover].
func (s *Store) Rows(ctx context.Context, section store.Section, after string, limit int) (rows store.Rows, err error) {
	var at rowKey
	if after != "" {
		if err := json.Unmarshal([]byte(after), &at); err != nil {
			return rows, fmt.Errorf("sqlite: a mark that cannot be read: %w", err)
		}
	}
	n, most := 0, store.Bound(limit)
	err = s.read(ctx, func(c *conn) error {
		if section == store.AllDocuments {
			more, err := s.documentRows(c, &at, most, &rows)
			if more {
				n = most
			}
			return err
		}
		sql, args, scan := s.section(section, &at, &rows)
		if scan == nil {
			return fmt.Errorf("sqlite: no section %d", section)
		}
		return c.query(sql, atMost(most, func(row *sqlite.Stmt) error {
			n++
			scan(row)
			return nil
		}), args...)
	})
	if err != nil || n < most {
		return rows, err
	}
	mark, err := json.Marshal(at)
	rows.Next = string(mark)
	return rows, err
}

// section is how to read the rows after a key; the scanner moves the key on.
func (s *Store) section(section store.Section, at *rowKey, rows *store.Rows) (sql string, args []any, scan func(*sqlite.Stmt)) {
	switch section {
	case store.AllStreams:
		return selectStreams, []any{int(at.No)}, func(row *sqlite.Stmt) {
			rows.Streams = append(rows.Streams, scanMovedStream(row))
			at.No = row.ColumnInt64(6)
		}
	case store.AllRecords:
		return selectRecords, []any{at.Text[0], int(at.No), at.Text[1]}, func(row *sqlite.Stmt) {
			r := scanMovedRecord(row)
			rows.Records = append(rows.Records, r)
			at.No, at.Text = row.ColumnInt64(10), [3]string{r.Request.RequestID, r.Request.Actor}
		}
	case store.AllClaims:
		return selectClaims, []any{at.Text[0], at.Text[1]}, func(row *sqlite.Stmt) {
			r := store.ClaimRow{Claim: gotong.Claim{Space: row.ColumnText(0), Name: row.ColumnText(1)}}
			r.Stream = gotong.Stream(row.ColumnText(2))
			rows.Claims = append(rows.Claims, r)
			at.Text = [3]string{r.Claim.Space, r.Claim.Name}
		}
	case store.AllRegisters:
		return selectRegisters, []any{at.Text[0], at.Text[1], at.Text[2], s.now()}, func(row *sqlite.Stmt) {
			r := scanRegister(row, row.ColumnText(4), row.ColumnText(5))
			rows.Registers = append(rows.Registers, r)
			at.Text = [3]string{r.Key.Collection, r.Key.Owner, r.Key.Name}
		}
	case store.AllCursors:
		return selectCursors, []any{at.Text[0], int(at.No)}, func(row *sqlite.Stmt) {
			r := store.CursorRow{Reader: row.ColumnText(0), Position: unsigned(row, 2)}
			r.Partition = gotong.Partition(unsigned(row, 1)) //nolint:gosec // written as one
			rows.Cursors = append(rows.Cursors, r)
			at.Text, at.No = [3]string{r.Reader}, row.ColumnInt64(1)
		}
	case store.AllJobs:
		return selectJobs, []any{at.Text[0], at.Text[1]}, func(row *sqlite.Stmt) {
			r := store.Job{
				Queue: row.ColumnText(0), ID: row.ColumnText(1), Due: gotong.Instant(row.ColumnInt64(2)),
				Attempt: row.ColumnInt(3), Lease: gotong.Instant(row.ColumnInt64(4)), Body: blob(row, 5),
			}
			rows.Jobs = append(rows.Jobs, r)
			at.Text = [3]string{r.Queue, r.ID}
		}
	default:
		return "", nil, nil
	}
}

func scanMovedStream(row *sqlite.Stmt) store.StreamRow {
	r := store.StreamRow{Stream: gotong.Stream(row.ColumnText(0))}
	r.Head.Home, r.Head.Seq = gotong.Stream(row.ColumnText(1)), unsigned(row, 2)
	row.ColumnBytes(3, r.Head.Chain[:])
	r.Head.At, r.Head.Count = gotong.Instant(row.ColumnInt64(4)), unsigned(row, 5)
	return r
}

func scanMovedRecord(row *sqlite.Stmt) store.Record {
	return store.Record{
		Request: gotong.RequestKey{Stream: gotong.Stream(row.ColumnText(0)), Actor: row.ColumnText(1), RequestID: row.ColumnText(2)},
		Salt:    blob(row, 3), Fingerprint: blob(row, 4),
		Partition: gotong.Partition(unsigned(row, 5)), //nolint:gosec // written as one
		Position:  unsigned(row, 6), First: unsigned(row, 7), Last: unsigned(row, 8), At: gotong.Instant(row.ColumnInt64(9)),
	}
}
