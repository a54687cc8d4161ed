package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"zombiezen.com/go/sqlite"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
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

// The statements of the sections, each in the order of its table's key, which
// is what a mark holds.
const (
	selectStreams = "SELECT name, home, no FROM streams WHERE no > ? ORDER BY no"
	selectRecords = "SELECT " + recordColumns + `, s.name, e.key FROM events e JOIN streams s ON s.no = e.stream
		WHERE e.position IS NULL AND e.key > ? ORDER BY e.key`
	selectClaims = `SELECT c.space, c.name, s.name FROM claims c JOIN streams s ON s.no = c.stream
		WHERE (c.space, c.name) > (?, ?) ORDER BY c.space, c.name`
	selectRegisters = `SELECT name, version, body, expires, collection, owner FROM registers
		WHERE (collection, owner, name) > (?, ?, ?) AND (expires = 0 OR expires > +?) ORDER BY collection, owner, name`
	selectCursors = `SELECT reader, partition, position FROM cursors
		WHERE (reader, partition) > (?, ?) AND position > 0 ORDER BY reader, partition`
	selectJobs = `SELECT ` + jobColumns + ` FROM jobs WHERE (queue, id) > (?, ?) ORDER BY queue, id`
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
	err = s.read(ctx, func(r *reading) error {
		if section == store.AllDocuments {
			more, err := s.documentRows(r.conn, &at, most, &rows)
			if more {
				n = most
			}
			return err
		}
		sql, args, scan := s.section(r, section, &at, &rows)
		if scan == nil {
			return fmt.Errorf("sqlite: no section %d", section)
		}
		return r.query(sql, atMost(most, func(row *sqlite.Stmt) error {
			n++
			return scan(row)
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
func (s *Store) section(
	r *reading, section store.Section, at *rowKey, rows *store.Rows,
) (sql string, args []any, scan func(*sqlite.Stmt) error) {
	switch section {
	case store.AllStreams:
		return selectStreams, []any{int(at.No)}, func(row *sqlite.Stmt) error {
			at.No = row.ColumnInt64(2)
			stream := gotong.Stream(row.ColumnText(0))
			h, err := r.headOf(stream, at.No, gotong.Stream(row.ColumnText(1)))
			if h.Seq > 0 {
				rows.Streams = append(rows.Streams, store.StreamRow{Stream: stream, Head: h.Head})
			}
			return err
		}
	case store.AllRecords:
		return selectRecords, []any{int(at.No)}, func(row *sqlite.Stmt) error {
			rows.Records = append(rows.Records, scanRecord(row, 0, gotong.Stream(row.ColumnText(9))))
			at.No = row.ColumnInt64(10)
			return nil
		}
	case store.AllClaims:
		return selectClaims, []any{at.Text[0], at.Text[1]}, func(row *sqlite.Stmt) error {
			r := store.ClaimRow{Claim: gotong.Claim{Space: row.ColumnText(0), Name: row.ColumnText(1)}}
			r.Stream = gotong.Stream(row.ColumnText(2))
			rows.Claims = append(rows.Claims, r)
			at.Text = [3]string{r.Claim.Space, r.Claim.Name}
			return nil
		}
	case store.AllRegisters:
		return selectRegisters, []any{at.Text[0], at.Text[1], at.Text[2], s.now()}, func(row *sqlite.Stmt) error {
			r := scanRegister(row, row.ColumnText(4), row.ColumnText(5))
			rows.Registers = append(rows.Registers, r)
			at.Text = [3]string{r.Key.Collection, r.Key.Owner, r.Key.Name}
			return nil
		}
	case store.AllCursors:
		return selectCursors, []any{at.Text[0], int(at.No)}, func(row *sqlite.Stmt) error {
			r := store.CursorRow{Reader: row.ColumnText(0), Position: unsigned(row, 2)}
			r.Partition = gotong.Partition(unsigned(row, 1)) //nolint:gosec // written as one
			rows.Cursors = append(rows.Cursors, r)
			at.Text, at.No = [3]string{r.Reader}, row.ColumnInt64(1)
			return nil
		}
	case store.AllJobs:
		return selectJobs, []any{at.Text[0], at.Text[1]}, func(row *sqlite.Stmt) error {
			r := scanJob(row)
			rows.Jobs = append(rows.Jobs, r)
			at.Text = [3]string{r.Queue, r.ID}
			return nil
		}
	default:
		return "", nil, nil
	}
}
