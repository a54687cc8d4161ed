// Package sqlstore is what the stores on SQL databases have in common: statements that
// all of them understand, and how rows become values of the port. Parameters are
// written $1, $2 and so on, and first appear in this order.
package sqlstore

import (
	"errors"
	"math"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Row is a row of an answer. Scan copies its columns into pointers to numbers, texts,
// truth values, bytes (nil for NULL) and [Fixed].
type Row interface{ Scan(into ...any) error }

// Batch runs statements in one transaction, when they are added or later, in order.
type Batch interface {
	// Ask adds a query; take is called for each row, until it returns an error.
	// [ErrEnough] ends the answer without an error.
	Ask(take func(Row) error, sql string, args ...any)
	// Find adds a query for the rows whose columns by have the texts of one of these keys;
	// suffix follows this condition.
	Find(take func(Row) error, sql, by, suffix string, keys [][]any)
	// Write adds a statement without an answer.
	Write(sql string, args ...any)
}

// ErrEnough ends an answer; its other rows are not looked at.
var ErrEnough = errors.New("store: enough rows")

// Number returns a seq or a position as the databases have it. One above the largest
// number of a database, which no event has, becomes that number.
func Number(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// Fixed is bytes of one length.
type Fixed struct {
	Into  []byte
	Exact bool // the column has this length
	Null  bool
}

// ScanBytes sets the bytes.
func (f *Fixed) ScanBytes(from []byte) error {
	f.Null, f.Exact = from == nil, copy(f.Into, from) == len(f.Into) && len(from) == len(f.Into)
	return nil
}

// EventColumns are the columns of an event e.
const EventColumns = "e.seq, e.partition, e.position, e.id, e.type, e.at, e.audience, e.count, e.data, e.content, " +
	"e.data_salt, e.content_salt, e.content_commit, e.prev, e.chain, CAST(e.erased AS integer)"

// Events reads rows with [EventColumns]. It is reused for each row.
type Events struct {
	e                          store.Event
	partition, count, erased   int64
	dataSalt, salt, commitment Fixed
	prev, chain                Fixed
	into                       []any
}

// NewEvents returns a reader of rows, with what to scan after the columns of the event.
func NewEvents(more ...any) *Events {
	s := &Events{}
	e := &s.e
	s.dataSalt.Into, s.salt.Into, s.commitment.Into = e.DataSalt[:], e.ContentSalt[:], e.ContentCommit[:]
	s.prev.Into, s.chain.Into = e.Prev[:], e.Chain[:]
	s.into = append([]any{
		&e.Seq, &s.partition, &e.Position, (*[16]byte)(&e.ID), &e.Type, &e.At, &e.Audience, &s.count, &e.Data, &e.Content,
		&s.dataSalt, &s.salt, &s.commitment, &s.prev, &s.chain, &s.erased,
	}, more...)
	return s
}

// Scan returns the event of a row; its page verifies it. Of a row that is not a
// well-formed event, it returns the stream, seq, partition and position alone.
func (s *Events) Scan(row Row, stream gotong.Stream) (store.Event, error) {
	e := &s.e
	e.Data, e.Content, e.ContentSalt = nil, nil, gotong.Salt{}
	if err := row.Scan(s.into...); err != nil {
		return store.Event{}, err
	}
	e.Stream, e.Erased = stream, s.erased == 1
	e.Partition, e.Count = gotong.Partition(s.partition), uint64(s.count) //nolint:gosec // compared below
	if int64(e.Partition) != s.partition || s.count < 0 || s.erased&^1 != 0 || s.salt.Null != e.Erased ||
		!e.Erased && !s.salt.Exact || !s.dataSalt.Exact || !s.commitment.Exact || !s.prev.Exact || !s.chain.Exact {
		return store.Event{Stream: stream, Seq: e.Seq, Partition: e.Partition, Position: e.Position}, nil
	}
	return *e, nil
}

// AddTo adds the event of a row to a page. It returns [ErrEnough] if the page wants no
// more.
func (s *Events) AddTo(page *store.StreamPage, row Row, stream gotong.Stream) error {
	e, err := s.Scan(row, stream)
	if err == nil && !page.Add(&e) {
		err = ErrEnough
	}
	return err
}

// commitColumns follow the columns of an event that [commits] takes. s is the stream of
// the event, by a LEFT JOIN: so an event without a stream is not passed over, and its
// commit is found to differ from its record.
const commitColumns = ", coalesce(s.name, ''), coalesce(e.request_id, ''), coalesce(e.actor, ''), coalesce(e.last, 0)"

// commits collects the rows of a page of a partition, in order of position and seq.
type commits struct {
	page    *store.PartitionPage
	row     *Events
	request gotong.RequestKey
	last    uint64
	events  []store.Event // at one position
	record  store.Record  // of the request that the first of them holds
}

// newCommits returns a collection of rows for a page.
func newCommits(page *store.PartitionPage) *commits {
	c := &commits{page: page}
	c.row = NewEvents(&c.request.Stream, &c.request.RequestID, &c.request.Actor, &c.last)
	return c
}

// take adds a row. It returns [ErrEnough] if the page wants no more.
func (c *commits) take(row Row) error {
	e, err := c.row.Scan(row, "")
	if err != nil {
		return err
	}
	e.Stream = c.request.Stream
	if len(c.events) > 0 && e.Position != c.events[0].Position && !c.add() {
		return ErrEnough
	}
	if len(c.events) == 0 {
		c.record = store.Record{}
		if named, err := e.Request(); err == nil && named == c.request {
			c.record = store.Record{Request: named, Partition: e.Partition, Position: e.Position, First: e.Seq, Last: c.last}
		}
	} else if c.request.RequestID != "" { // it is the first row of another commit
		c.record = store.Record{}
	}
	c.events = append(c.events, e)
	return nil
}

func (c *commits) add() bool {
	more := c.page.Add(c.events, c.record)
	c.events = c.events[:0]
	return more
}

// result returns the events of the page. whole says that no limit of rows cut the last
// commit.
func (c *commits) result(whole bool) ([]store.Event, error) {
	if whole && len(c.events) > 0 {
		c.add()
	}
	return c.page.Events()
}

// RecordColumns are the columns of a record in an event e. A request without an event
// is a row whose position and seq are NULL.
const RecordColumns = "e.request_id, e.actor, e.salt, e.fingerprint, coalesce(e.last, 0), e.decided, e.partition, " +
	"coalesce(e.position, 0), coalesce(e.seq, 0)"

// ScanRecord returns the record of a row, and scans the columns after it.
func ScanRecord(row Row, more ...any) (r store.Record, err error) {
	err = row.Scan(append([]any{
		&r.Request.RequestID, &r.Request.Actor, &r.Salt, &r.Fingerprint, &r.Last, &r.At, &r.Partition, &r.Position, &r.First,
	}, more...)...)
	return r, err
}

// RegisterColumns are the columns of a register.
const RegisterColumns = "collection, owner, name, version, body, expires"

// ScanRegister returns the register of a row.
func ScanRegister(row Row) (r store.Register, err error) {
	err = row.Scan(&r.Key.Collection, &r.Key.Owner, &r.Key.Name, &r.Version, &r.Body, &r.Expires)
	return r, err
}

// JobColumns are the columns of a job that the port knows.
const JobColumns = "queue, id, due, attempt, crashes, claims, lease, dead, error, body"

// ScanJob returns the job of a row.
func ScanJob(row Row) (j store.Job, err error) {
	err = row.Scan(&j.Queue, &j.ID, &j.Due, &j.Attempt, &j.Crashes, &j.Claims, &j.Lease, &j.Dead, &j.Error, &j.Body)
	return j, err
}

// ScanCursor returns the reader, partition and position of a row.
func ScanCursor(row Row) (r store.CursorRow, err error) {
	err = row.Scan(&r.Reader, &r.Partition, &r.Position)
	return r, err
}

// ScanDocument returns the document of a row with owner, name and body.
func ScanDocument(row Row, collection string) (d store.Document, err error) {
	d.Key.Collection = collection
	err = row.Scan(&d.Key.Owner, &d.Key.Name, &d.Body)
	return d, err
}
