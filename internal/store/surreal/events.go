package surreal

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

type storedEvent struct {
	_             struct{} `cbor:",toarray"`
	Seq           uint64
	Partition     gotong.Partition
	Position      uint64
	UUID          surreal.UUID
	Type          string
	At            gotong.Instant
	Audience      *gotong.Audience
	Count         uint64
	Data          string
	Content       text
	DataSalt      []byte
	ContentSalt   []byte
	ContentCommit []byte
	Prev          []byte
	Chain         []byte
	Erased        *bool
}

// text is a text, or nil if there is none.
type text []byte

// UnmarshalCBOR reads the text from CBOR.
func (t *text) UnmarshalCBOR(data []byte) error {
	const none, null = 0xc6, 0xf6
	if len(data) > 0 && (data[0] == none || data[0] == null) {
		*t = nil
		return nil
	}
	var s string
	err := surreal.Unmarshal(data, &s)
	*t = []byte(s)
	return err
}

// fixed copies bytes of exactly this length, and returns false for any other
// length.
func fixed(into, from []byte) bool { return copy(into, from) == len(into) && len(from) == len(into) }

const eventColumns = "[record::id(id)[1], partition, position, uuid, type, at, audience, count, data, content, " +
	"data_salt, content_salt, content_commit, prev, chain, erased]"

// eventOf returns a row as an event of the port, which its page verifies. Of a row
// that is no event, it returns the place alone, if the row has one; so the page
// ends before it.
func eventOf(raw surreal.Raw, stream gotong.Stream) store.Event {
	var row storedEvent
	if surreal.Unmarshal(raw, &row) != nil {
		return store.Event{Stream: stream}
	}
	e := store.Event{
		Stream: stream, Seq: row.Seq, Partition: row.Partition, Position: row.Position, ID: gotong.EventID(row.UUID),
		Type: row.Type, At: row.At, Count: row.Count, Data: []byte(row.Data), Content: row.Content,
	}
	if row.Audience != nil {
		e.Audience = *row.Audience
	}
	e.Erased = row.Erased != nil && *row.Erased
	exact := fixed(e.DataSalt[:], row.DataSalt) && (row.ContentSalt == nil) == e.Erased &&
		(e.Erased || fixed(e.ContentSalt[:], row.ContentSalt)) && fixed(e.ContentCommit[:], row.ContentCommit) &&
		fixed(e.Prev[:], row.Prev) && fixed(e.Chain[:], row.Chain)
	if !exact {
		return store.Event{Stream: stream, Seq: e.Seq, Partition: e.Partition, Position: e.Position}
	}
	return e
}

// eventsIn reads a closed range of a stream up to its head, which is among heads
// when the rows arrive. Because seqs have no gaps, the limit becomes a bound of
// the range; if it counts from the end, the range ends at the head at the latest.
func (r *reading) eventsIn(of store.EventRange, into *[]store.Event, heads map[gotong.Stream]gotong.Head, eras store.Eras) {
	if of.From >= of.To || of.From >= maxNumber {
		part(r, "[]", func([]surreal.Raw) error { return nil })
		return
	}
	limit := uint64(store.Bound(of.Limit)) //nolint:gosec // 1 to 1,000
	low, high := of.From+1, min(of.To, maxNumber)
	take := func(rows []surreal.Raw) (err error) {
		if of.Descending {
			slices.Reverse(rows)
		}
		page := store.NewStreamPage(of, heads[of.Stream].Seq, eras)
		for _, raw := range rows {
			if e := eventOf(raw, of.Stream); !page.Add(&e) {
				break
			}
		}
		*into, err = page.Events()
		return err
	}
	stream := r.param(string(of.Stream))
	if !of.Descending || high-low < limit {
		if !of.Descending {
			high = min(high, low+limit-1)
		}
		part(r, fmt.Sprintf("SELECT VALUE %s FROM event:[%s, %d]..=[%s, %d]", eventColumns, stream, low, stream, high), take)
		return
	}
	part(r, fmt.Sprintf("SELECT VALUE %s FROM event:[%s, math::max([%d, "+
		"math::min([%d, (SELECT VALUE seq FROM ONLY %s) OR 0]) - %d])]..=[%s, %d]",
		eventColumns, stream, low, high, r.param(headID(of.Stream)), limit-1, stream, high), take)
}

type batchRow struct {
	_       struct{} `cbor:",toarray"`
	First   uint64
	Commits []loggedCommit
}

// ReadPartition implements [store.Log]. It reads which commits there are, and then
// the events of each stream among them as one range: a range of positions holds a
// range of seqs of each stream.
func (s *Store) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) ([]store.Event, error) {
	to = min(to, math.MaxInt64-store.MaxTogether)
	if from >= to {
		return nil, nil
	}
	most := uint64(store.Bound(limit)) //nolint:gosec // 1 to 1,000
	// The id of a row of batch is its last position.
	high := min(to, from+most) + store.MaxTogether - 1
	var commits []logged
	var page *store.PartitionPage
	var r reading
	r.positions(func(heads [gotong.Partitions]uint64) {
		page = store.NewPartitionPage(p, from, to, heads[p], limit, s.Eras())
	})
	query := fmt.Sprintf("SELECT VALUE [first, commits] FROM batch:[%d, %d]..=[%d, %d]", p, from+1, p, high)
	part(&r, query, func(rows []surreal.Raw) error {
		commits = between(rows, from, to, most)
		return nil
	})
	if err := s.read(ctx, &r); err != nil {
		return nil, err
	}
	if page.Wants() {
		if err := s.fill(ctx, page, p, commits); err != nil {
			return nil, err
		}
	}
	return page.Events()
}

// logged is a commit of a partition and its position.
type logged struct {
	loggedCommit
	position uint64
}

// between returns the commits with from < position <= to, until they have most
// events. A row that cannot be read, or that names impossible seqs, counts as
// missing.
func between(rows []surreal.Raw, from, to, most uint64) (commits []logged) {
	var events uint64
	last := map[gotong.Stream]uint64{}
	for _, raw := range rows {
		var row batchRow
		if surreal.Unmarshal(raw, &row) != nil {
			return commits
		}
		for i, c := range row.Commits {
			at := row.First + uint64(i)
			if at <= from {
				continue
			}
			before, again := last[c.Stream]
			if at > to || events >= most || c.Last-c.First >= store.MaxCommitEvents || again && c.First != before+1 {
				return commits
			}
			last[c.Stream] = c.Last
			commits = append(commits, logged{c, at})
			events += c.Last - c.First + 1
		}
	}
	return commits
}

// fill reads the events of commits and adds them to their page.
func (s *Store) fill(ctx context.Context, page *store.PartitionPage, p gotong.Partition, commits []logged) error {
	spans := map[gotong.Stream]*loggedCommit{}
	for i := range commits {
		c := commits[i].loggedCommit
		if span := spans[c.Stream]; span != nil {
			span.Last = c.Last
		} else {
			spans[c.Stream] = &c
		}
	}
	found := map[store.EventKey]store.Event{}
	var r reading
	for stream, span := range spans {
		name := r.param(string(stream))
		query := "SELECT VALUE " + eventColumns + " FROM event:[" + name + ", " + strconv.FormatUint(span.First, 10) +
			"]..=[" + name + ", " + strconv.FormatUint(span.Last, 10) + "]"
		part(&r, query, func(rows []surreal.Raw) error {
			for _, raw := range rows {
				e := eventOf(raw, stream)
				found[store.EventKey{Stream: stream, Seq: e.Seq}] = e
			}
			return nil
		})
	}
	if len(spans) == 0 {
		return nil
	}
	if err := s.read(ctx, &r); err != nil {
		return err
	}
	for _, c := range commits {
		var events []store.Event
		for seq := c.First; seq <= c.Last; seq++ {
			if e, ok := found[store.EventKey{Stream: c.Stream, Seq: seq}]; ok {
				events = append(events, e)
			}
		}
		page.Add(events, store.Record{
			Request: gotong.RequestKey{Stream: c.Stream}, Partition: p, Position: c.position, First: c.First, Last: c.Last,
		})
	}
	return nil
}
