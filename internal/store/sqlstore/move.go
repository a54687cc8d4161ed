package sqlstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// ReadMeta reads the rows of meta.
func ReadMeta(b Batch, into map[string]string) {
	b.Ask(func(row Row) error {
		var name, value string
		err := row.Scan(&name, &value)
		into[name] = value
		return err
	}, "SELECT name, value FROM meta")
}

// writeMeta writes a row of meta; an empty value deletes it.
func writeMeta(b Batch, name, value string) {
	if value == "" {
		b.Write("DELETE FROM meta WHERE name = $1", name)
		return
	}
	b.Write("INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
}

// writeEras writes the epochs of the log. The present one stands there for people too.
func writeEras(b Batch, eras store.Eras) {
	text, _ := json.Marshal(eras) //nolint:errchkjson // names and numbers always have a JSON form
	writeMeta(b, "eras", string(text))
	writeMeta(b, "epoch", string(eras.Epoch()))
}

// ReadApplied counts the migrations that the database has. It fails if it has others.
func ReadApplied(b Batch, list []store.Migration, n *int) {
	b.Ask(func(row Row) error {
		var number int
		var name, checksum string
		if err := row.Scan(&number, &name, &checksum); err != nil {
			return err
		}
		*n++
		return store.CheckApplied(list, *n-1, number, name, checksum)
	}, "SELECT number, name, checksum FROM migrations ORDER BY number")
}

// OpenEras returns the epochs in meta, or begins those of a new log.
func OpenEras(b Batch, meta map[string]string) (store.Eras, error) {
	if text := meta["eras"]; text != "" {
		return store.ParseEras(text)
	}
	first := store.FirstEra(cmp.Or(gotong.Epoch(meta["epoch"]), store.NewEpoch()))
	writeEras(b, first)
	return first, nil
}

// State implements [store.Mover].
func (s *Store) State(ctx context.Context) (state store.State, err error) {
	err = s.db.Read(ctx, func(b Batch) {
		meta := map[string]string{}
		ReadMeta(b, meta)
		b.Ask(func(row Row) (err error) {
			if err = row.Scan(&state.Empty); err == nil {
				state.Sealed, state.Progress = meta["sealed"], meta["progress"]
				state.Eras, err = store.ParseEras(meta["eras"])
			}
			return err
		}, "SELECT "+s.db.Empty)
	})
	return state, err
}

// Seal implements [store.Mover]. It waits for the transactions that have begun.
func (s *Store) Seal(ctx context.Context, note string) error {
	return s.db.Write(ctx, How{Alone: true, Seals: true, Moves: true}, func(Batch) {}, func(b Batch) error {
		writeMeta(b, "sealed", note)
		return nil
	})
}

// Renew implements [store.Mover].
func (s *Store) Renew(ctx context.Context, epoch gotong.Epoch) error {
	var positions [gotong.Partitions]uint64
	var next store.Eras
	err := s.db.Write(ctx, How{Alone: true}, func(b Batch) { s.db.Positions(b, &positions) }, func(b Batch) error {
		next = s.base.Eras().Next(epoch, positions)
		writeEras(b, next)
		return next.Check()
	})
	if err == nil {
		s.base.SetEras(next)
	}
	return err
}

// Restore implements [store.Mover].
func (s *Store) Restore(ctx context.Context, step store.Restoring) error {
	return s.base.TakeStep(&step, func(eras store.Eras) error {
		progress, empty := "", false
		ask, tell := s.db.Restore(&step)
		return s.db.Write(ctx, How{Alone: true, Moves: true}, func(b Batch) {
			b.Ask(func(row Row) error { return row.Scan(&progress, &empty) },
				"SELECT coalesce((SELECT value FROM meta WHERE name = 'progress'), ''), "+s.db.Empty)
			ask(b)
		}, func(b Batch) error {
			if progress != step.From || step.From == "" && !empty {
				return store.ErrConflict
			}
			if step.From == "" {
				writeEras(b, eras)
			}
			writeMeta(b, "progress", step.To)
			restoreSide(b, &step.Rows)
			return tell(b)
		})
	})
}

// Rows implements [store.Mover].
func (s *Store) Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error) {
	p, err := newPage(section, after, limit, s.base.Collections)
	if err == nil {
		err = s.db.Read(ctx, func(b Batch) { p.read(b, &s.db, s.base.Now()) })
	}
	if err != nil {
		return store.Rows{}, err
	}
	return p.result()
}

// SelectRecords reads the records of no-ops after key $1.
const SelectRecords = "SELECT " + RecordColumns + `, s.name, e.key FROM events e JOIN streams s ON s.no = e.stream
	WHERE e.position IS NULL AND e.key > $1 ORDER BY e.key`

// page is a page of [store.Mover.Rows]: rows of one section in the order of its
// table's key, which is what a mark holds.
type page struct {
	section     store.Section
	collections []string
	most        int
	from, at    rowKey
	n           int
	rows        store.Rows
}

type rowKey struct {
	No   int64     `json:"no,omitempty"`
	Text [3]string `json:"text"`
}

// newPage returns a page after a mark. Documents are those of these collections.
func newPage(section store.Section, after string, limit int, collections map[string]bool) (*page, error) {
	p := &page{section: section, most: store.Bound(limit), collections: slices.Sorted(maps.Keys(collections))}
	if after != "" {
		if err := json.Unmarshal([]byte(after), &p.from); err != nil {
			return nil, fmt.Errorf("store: a mark that cannot be read: %w", err)
		}
	}
	if section == 0 || section > store.AllDocuments {
		return nil, fmt.Errorf("store: there is no section %d", section)
	}
	if _, found := slices.BinarySearch(p.collections, p.from.Text[0]); section == store.AllDocuments && !found {
		p.from = rowKey{Text: [3]string{p.next(p.from.Text[0])}}
	}
	return p, nil
}

// next returns the collection after this one; "" if there is none.
func (p *page) next(collection string) string {
	for _, name := range p.collections {
		if name > collection {
			return name
		}
	}
	return ""
}

// read reads the page; now is the instant by which registers expire.
func (p *page) read(b Batch, of *DB, now gotong.Instant) {
	p.at, p.n, p.rows = p.from, 0, store.Rows{}
	t, sql, args := p.at.Text, "", []any(nil)
	switch p.section {
	case store.AllStreams:
		sql, args = of.Streams, []any{p.at.No}
	case store.AllRecords:
		sql, args = SelectRecords, []any{p.at.No}
	case store.AllClaims:
		sql, args = of.Claims+" WHERE (space, name) > ($1, $2) ORDER BY space, name", []any{t[0], t[1]}
	case store.AllRegisters: // no column is compared with $4, so that SQLite does not prepare the statement for each value
		sql, args = "SELECT "+RegisterColumns+` FROM registers WHERE (collection, owner, name) > ($1, $2, $3)
			AND (expires = 0 OR expires - $4 > 0) ORDER BY collection, owner, name`, []any{t[0], t[1], t[2], int64(now)}
	case store.AllCursors:
		sql, args = `SELECT reader, partition, position FROM cursors WHERE (reader, partition) > ($1, $2) AND position > 0
			ORDER BY reader, partition`, []any{t[0], p.at.No}
	case store.AllJobs:
		sql, args = "SELECT "+JobColumns+" FROM jobs WHERE (queue, id) > ($1, $2) ORDER BY queue, id", []any{t[0], t[1]}
	case store.AllDocuments:
		if t[0] == "" {
			return
		}
		sql, args = "SELECT owner, name, body FROM doc_"+t[0]+" WHERE (owner, name) > ($1, $2) ORDER BY owner, name", []any{t[1], t[2]}
	}
	b.Ask(func(row Row) error {
		p.n++
		return p.take(b, row, of)
	}, fmt.Sprintf("%s LIMIT %d", sql, p.most), args...)
}

// take adds a row and moves the key on to it.
func (p *page) take(b Batch, row Row, of *DB) (err error) {
	switch rows := &p.rows; p.section {
	case store.AllStreams:
		var r store.StreamRow
		if r, p.at.No, err = of.Stream(b, row); r.Head.Seq > 0 {
			rows.Streams = append(rows.Streams, r)
		}
	case store.AllRecords:
		var r store.Record
		var stream gotong.Stream
		r, err = ScanRecord(row, &stream, &p.at.No)
		r.Request.Stream = stream
		rows.Records = append(rows.Records, r)
	case store.AllClaims:
		var r store.ClaimRow
		err = row.Scan(&r.Claim.Space, &r.Claim.Name, &r.Stream)
		rows.Claims, p.at.Text = append(rows.Claims, r), [3]string{r.Claim.Space, r.Claim.Name}
	case store.AllRegisters:
		var r store.Register
		r, err = ScanRegister(row)
		rows.Registers, p.at.Text = append(rows.Registers, r), [3]string{r.Key.Collection, r.Key.Owner, r.Key.Name}
	case store.AllCursors:
		var r store.CursorRow
		r, err = ScanCursor(row)
		rows.Cursors, p.at = append(rows.Cursors, r), rowKey{No: int64(r.Partition), Text: [3]string{r.Reader}}
	case store.AllJobs:
		var r store.Job
		r, err = ScanJob(row)
		rows.Jobs, p.at.Text = append(rows.Jobs, r), [3]string{r.Queue, r.ID}
	case store.AllDocuments:
		var r store.Document
		r, err = ScanDocument(row, p.at.Text[0])
		rows.Documents, p.at.Text = append(rows.Documents, r), [3]string{r.Key.Collection, r.Key.Owner, r.Key.Name}
	}
	return err
}

// result returns the rows of the page, after read.
func (p *page) result() (store.Rows, error) {
	if p.n < p.most {
		next := ""
		if p.section == store.AllDocuments {
			next = p.next(p.at.Text[0])
		}
		if next == "" {
			return p.rows, nil
		}
		p.at.Text = [3]string{next}
	}
	mark, err := json.Marshal(p.at)
	p.rows.Next = string(mark)
	return p.rows, err
}
