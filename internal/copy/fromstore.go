package copy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// The bounds of one page of events.
const (
	pageEvents = 512
	pageBytes  = 4 << 20
)

// stored is a store as a source, up to the positions at which the copy began.
type stored struct {
	from   store.Whole
	about  About
	sealed bool
	whole  bool // there is nothing after the positions

	early map[Part]store.Rows // of a log in use: what was read before the positions
}

// FromStore returns a store as a source. A store that is not sealed is read up
// to its current positions.
func FromStore(ctx context.Context, s store.Whole) (Source, error) { return fromStore(ctx, s, false) }

// FromSnapshot is FromStore for a store that nothing writes to, although it is not
// sealed: all of it is read, exactly.
func FromSnapshot(ctx context.Context, s store.Whole) (Source, error) { return fromStore(ctx, s, true) }

// fromStore is FromStore. With all, the caller guarantees that nothing writes
// to a store although it is not sealed.
func fromStore(ctx context.Context, s store.Whole, all bool) (*stored, error) {
	state, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	about := About{Eras: state.Eras}
	whole, early := all || state.Sealed != "" || state.Progress != "", map[Part]store.Rows{}
	if !whole { // a job that ends later has its effect after the positions, and a cursor must not be ahead of the jobs
		for _, part := range []Part{Cursors, Jobs} {
			if early[part], err = allRows(ctx, s, part); err != nil {
				return nil, err
			}
		}
	}
	if about.Positions, err = s.Positions(ctx); err != nil {
		return nil, err
	}
	for _, n := range about.Positions {
		about.Units += n
	}
	text, err := json.Marshal([]any{about.Eras, about.Positions})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	about.ID = "store " + hex.EncodeToString(sum[:8])
	return &stored{from: s, about: about, sealed: state.Sealed != "", whole: whole, early: early}, nil
}

// allRows reads a whole section.
func allRows(ctx context.Context, s store.Whole, part Part) (store.Rows, error) {
	var all Page
	for {
		rows, err := s.Rows(ctx, part.section(), all.Mark.After, store.MaxRead)
		if err != nil {
			return all.Rows, err
		}
		all.add(&Page{Rows: rows})
		if all.Mark.After = rows.Next; rows.Next == "" {
			return all.Rows, nil
		}
	}
}

// About implements [Source].
func (s *stored) About() About { return s.about }

// Pages implements [Source].
func (s *stored) Pages(ctx context.Context, from Mark) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		on := from.Part == ""
		for i, part := range Parts() {
			if on = on || part == from.Part; !on || from.End {
				continue
			}
			next := Mark{End: true}
			if i+1 < len(Parts()) {
				next = Mark{Part: Parts()[i+1]}
			}
			at := Mark{Part: part}
			if part == from.Part {
				at = from
			}
			read := s.rows
			if part == Events {
				read = s.events
			}
			if !read(ctx, at, next, yield) {
				return
			}
		}
	}
}

// rows reads one section. It returns false if the caller wants no more.
func (s *stored) rows(ctx context.Context, at, next Mark, yield func(Page, error) bool) bool {
	for {
		rows, known := s.early[at.Part]
		var err error
		if !known {
			rows, err = s.from.Rows(ctx, at.Part.section(), at.After, store.MaxRead)
		}
		rows.Records = slices.DeleteFunc(rows.Records, func(r store.Record) bool { return r.Position > 0 }) // moved with the commit
		if err == nil && !s.whole {
			err = s.cut(ctx, &rows)
		}
		if err != nil {
			yield(Page{}, fmt.Errorf("reading every %s: %w", at.Part, err))
			return false
		}
		page := Page{Part: at.Part, Rows: rows, Mark: Mark{Part: at.Part, After: rows.Next}}
		if rows.Next == "" {
			page.Mark = next
		}
		if !yield(page, nil) {
			return false
		}
		if at = page.Mark; rows.Next == "" {
			return true
		}
	}
}

// events reads the partitions one after the other.
func (s *stored) events(ctx context.Context, at, next Mark, yield func(Page, error) bool) bool {
	for at.Partition < gotong.Partitions {
		if at.Position >= s.about.Positions[at.Partition] {
			at = Mark{Part: Events, Partition: at.Partition + 1}
			continue
		}
		commits, err := store.Commits(ctx, s.from, at.Partition, at.Position, s.about.Positions[at.Partition], pageEvents)
		if err == nil && len(commits) == 0 {
			err = fmt.Errorf("no event after position %d: %w", at.Position, store.ErrCorrupt)
		}
		if err != nil {
			yield(Page{}, fmt.Errorf("reading partition %d: %w", at.Partition, err))
			return false
		}
		for len(commits) > 0 {
			n := pageEnd(commits)
			at.Position = commits[n-1].Record.Position
			page := Page{Part: Events, Commits: commits[:n], Mark: at, Units: uint64(n)} //nolint:gosec // a length
			if !yield(page, nil) {
				return false
			}
			commits = commits[n:]
		}
	}
	return yield(Page{Part: Events, Mark: next}, nil)
}

// pageEnd returns how many of these commits one page takes.
func pageEnd(list []store.Logged) int {
	events, size := 0, 0
	for i := range list {
		for j := range list[i].Events {
			size += list[i].Events[j].Size()
		}
		if events += len(list[i].Events); i > 0 && (size > pageBytes || events > pageEvents) {
			return i
		}
	}
	return len(list)
}

// cut removes from a page what was written after the copy began.
func (s *stored) cut(ctx context.Context, rows *store.Rows) error {
	streams := rows.Streams[:0]
	for _, r := range rows.Streams {
		head, err := s.headThen(ctx, r)
		if err != nil {
			return err
		}
		if head.Exists() {
			streams = append(streams, store.StreamRow{Stream: r.Stream, Head: head})
		}
	}
	rows.Streams = streams
	claims := rows.Claims[:0]
	for _, r := range rows.Claims {
		first, err := s.event(ctx, r.Stream, 1)
		if err != nil {
			return err
		}
		if first.Position <= s.about.Positions[first.Partition] {
			claims = append(claims, r)
		}
	}
	rows.Claims = claims
	return nil
}

// headThen returns the head that a stream had at the positions of the source.
func (s *stored) headThen(ctx context.Context, r store.StreamRow) (gotong.Head, error) {
	most := s.about.Positions[gotong.PartitionOf(r.Head.Home)]
	last, err := s.event(ctx, r.Stream, r.Head.Seq)
	if err != nil || last.Position <= most {
		return r.Head, err
	}
	seq, err := store.SeqAfter(ctx, s.from, r.Stream, r.Head.Seq, func(e *store.Event) bool { return e.Position > most })
	if err != nil || seq == 0 {
		return gotong.Head{}, err
	}
	last, err = s.event(ctx, r.Stream, seq)
	return gotong.Head{Seq: seq, Chain: last.Chain, At: last.At, Count: last.Count, Home: r.Head.Home}, err
}

// event reads one event of a stream. It returns the zero Event if there is
// none.
func (s *stored) event(ctx context.Context, stream gotong.Stream, seq uint64) (store.Event, error) {
	snap, err := s.from.Load(ctx, store.Need{Events: []store.EventRange{{Stream: stream, From: seq - 1, To: seq}}})
	if err != nil || len(snap.Events[0]) == 0 {
		return store.Event{}, err
	}
	return snap.Events[0][0], nil
}
