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

// text is a text that may not be there; then it is nil.
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

// fixed copies bytes of exactly this length; false where there are others.
func fixed(into, from []byte) bool { return copy(into, from) == len(into) && len(from) == len(into) }

const eventColumns = "[record::id(id)[1], partition, position, uuid, type, at, audience, count, data, content, " +
	"data_salt, content_salt, content_commit, prev, chain, erased]"

// event is the row as the port has it, when it matches its commitments.
func (row *storedEvent) event(stream gotong.Stream, eras *store.Eras) (store.Event, error) {
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
		return e, store.ErrCorrupt
	}
	return e, e.Verify(eras.At(e.Partition, e.Position))
}

// eventsIn reads a closed range of a stream. As seqs have no gaps, the limit
// becomes a bound of the range; where it counts from the end, the range ends at
// the head at the latest.
func (r *reading) eventsIn(of store.EventRange, into *[]store.Event, eras *store.Eras) {
	if of.From >= of.To || of.From >= maxNumber {
		part(r, "[]", func([]storedEvent) error { return nil })
		return
	}
	limit := uint64(store.Bound(of.Limit)) //nolint:gosec // 1 to 1,000
	low, high := of.From+1, min(of.To, maxNumber)
	take := func(rows []storedEvent) error {
		if of.Descending {
			slices.Reverse(rows)
		}
		return page(rows, of, into, eras)
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

// page cuts rows where their bytes pass the bound.
func page(rows []storedEvent, of store.EventRange, into *[]store.Event, eras *store.Eras) error {
	size := 0
	for i := range rows {
		e, err := rows[i].event(of.Stream, eras)
		if err != nil {
			return err
		}
		if size += e.Size(); i > 0 && size > store.ByteBound(of.MaxBytes) {
			return nil
		}
		*into = append(*into, e)
	}
	return nil
}

type batchRow struct {
	_       struct{} `cbor:",toarray"`
	First   uint64
	Commits []loggedCommit
}

// ReadPartition implements [store.Log]. It reads which commits there are, then
// the events of each stream among them as one range: what a stream has in a
// stretch of positions is a stretch of seqs.
func (s *Store) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) ([]store.Event, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	to = min(to, math.MaxInt64-maxCommits)
	if from >= to {
		return nil, nil
	}
	most := uint64(store.Bound(limit)) //nolint:gosec // 1 to 1,000
	// A row of batch is known by its last position.
	high := min(to, from+most) + maxCommits - 1
	var commits []logged
	var r reading
	query := fmt.Sprintf("SELECT VALUE [first, commits] FROM batch:[%d, %d]..=[%d, %d]", p, from+1, p, high)
	part(&r, query, func(rows []batchRow) error {
		commits = between(rows, from, to, most)
		return nil
	})
	if err := s.read(ctx, &r); err != nil || len(commits) == 0 {
		return nil, err
	}
	return s.eventsOf(ctx, commits)
}

// logged is a commit of a partition and its position.
type logged struct {
	loggedCommit
	position uint64
}

// between is the commits with from < position <= to, until there are most
// events.
func between(rows []batchRow, from, to, most uint64) (commits []logged) {
	var events uint64
	for _, row := range rows {
		for i, c := range row.Commits {
			at := row.First + uint64(i)
			if at <= from {
				continue
			}
			if at > to || events >= most {
				return commits
			}
			commits = append(commits, logged{c, at})
			events += c.Last - c.First + 1
		}
	}
	return commits
}

func (s *Store) eventsOf(ctx context.Context, commits []logged) ([]store.Event, error) {
	spans := map[gotong.Stream]*loggedCommit{}
	for i := range commits {
		c := commits[i].loggedCommit
		if span := spans[c.Stream]; span != nil {
			span.Last = c.Last
		} else {
			spans[c.Stream] = &c
		}
	}
	found := map[eventKey]store.Event{}
	var r reading
	for stream, span := range spans {
		name := r.param(string(stream))
		query := "SELECT VALUE " + eventColumns + " FROM event:[" + name + ", " + strconv.FormatUint(span.First, 10) +
			"]..=[" + name + ", " + strconv.FormatUint(span.Last, 10) + "]"
		part(&r, query, func(rows []storedEvent) error {
			for i := range rows {
				e, err := rows[i].event(stream, s.eras.Load())
				if err != nil {
					return err
				}
				found[eventKey{Stream: stream, Seq: e.Seq}] = e
			}
			return nil
		})
	}
	if err := s.read(ctx, &r); err != nil {
		return nil, err
	}
	var events []store.Event
	for _, c := range commits {
		for seq := c.First; seq <= c.Last; seq++ {
			e, ok := found[eventKey{Stream: c.Stream, Seq: seq}]
			if !ok || e.Position != c.position {
				return nil, store.ErrCorrupt
			}
			events = append(events, e)
		}
	}
	return events, nil
}
