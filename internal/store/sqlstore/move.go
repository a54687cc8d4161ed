package sqlstore

import (
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

// WriteMeta writes a row of meta; an empty value deletes it.
func WriteMeta(b Batch, name, value string) {
	if value == "" {
		b.Write("DELETE FROM meta WHERE name = $1", name)
		return
	}
	b.Write("INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
}

// WriteEras writes the epochs of the log. The present one stands there for people too.
func WriteEras(b Batch, eras store.Eras) {
	text, _ := json.Marshal(eras) //nolint:errchkjson // names and numbers always have a JSON form
	WriteMeta(b, "eras", string(text))
	WriteMeta(b, "epoch", string(eras.Epoch()))
}

// ReadState reads the state of a store. empty is the condition that there are no rows
// but those of meta.
func ReadState(b Batch, empty string, into *store.State) {
	meta := map[string]string{}
	ReadMeta(b, meta)
	b.Ask(func(row Row) (err error) {
		if err = row.Scan(&into.Empty); err == nil {
			into.Sealed, into.Progress = meta["sealed"], meta["progress"]
			into.Eras, err = store.ParseEras(meta["eras"])
		}
		return err
	}, "SELECT "+empty)
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

// Tables are what differs between databases in the sections of [store.Mover.Rows].
type Tables struct {
	Streams string // after number $1, in order of number
	Claims  string // space, name and stream, after space $1 and name $2, in their order
	// Stream returns the stream of a row and its number. One without an event is
	// passed over.
	Stream func(Row) (store.StreamRow, int64, error)
}

// SelectRecords reads the records of no-ops after key $1.
const SelectRecords = "SELECT " + RecordColumns + `, s.name, e.key FROM events e JOIN streams s ON s.no = e.stream
	WHERE e.position IS NULL AND e.key > $1 ORDER BY e.key`

// Page is a page of [store.Mover.Rows]: rows of one section in the order of its
// table's key, which is what a mark holds.
type Page struct {
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

// NewPage returns a page after a mark. Documents are those of these collections.
func NewPage[C any](section store.Section, after string, limit int, collections map[string]C) (*Page, error) {
	p := &Page{section: section, most: store.Bound(limit), collections: slices.Sorted(maps.Keys(collections))}
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
func (p *Page) next(collection string) string {
	for _, name := range p.collections {
		if name > collection {
			return name
		}
	}
	return ""
}

// Read reads the page; now is the instant by which registers expire.
func (p *Page) Read(b Batch, of Tables, now gotong.Instant) {
	p.at, p.n, p.rows = p.from, 0, store.Rows{}
	t, sql, args := p.at.Text, "", []any(nil)
	switch p.section {
	case store.AllStreams:
		sql, args = of.Streams, []any{p.at.No}
	case store.AllRecords:
		sql, args = SelectRecords, []any{p.at.No}
	case store.AllClaims:
		sql, args = of.Claims, []any{t[0], t[1]}
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
		return p.take(row, of)
	}, fmt.Sprintf("%s LIMIT %d", sql, p.most), args...)
}

// take adds a row and moves the key on to it.
func (p *Page) take(row Row, of Tables) (err error) {
	switch rows := &p.rows; p.section {
	case store.AllStreams:
		var r store.StreamRow
		if r, p.at.No, err = of.Stream(row); r.Head.Seq > 0 {
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

// Rows returns the rows of the page, after Read.
func (p *Page) Rows() (store.Rows, error) {
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
