package memory

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// gate returns why the store accepts no writes now; nil if it does.
func (s *Store) gate() error {
	switch {
	case s.sealed != "":
		return store.ErrSealed
	case s.progress != "":
		return store.ErrUnfinished
	default:
		return nil
	}
}

// State implements [store.Mover].
func (s *Store) State(ctx context.Context) (state store.State, err error) {
	err = s.read(ctx, func() error {
		state = store.State{Eras: slices.Clone(s.eras), Sealed: s.sealed, Progress: s.progress, Empty: s.empty()}
		return nil
	})
	return state, err
}

func (s *Store) empty() bool {
	for _, shelf := range s.registers {
		if len(shelf) > 0 {
			return false
		}
	}
	return len(s.heads)+len(s.records)+len(s.claims)+len(s.cursors)+len(s.jobs) == 0
}

// Seal implements [store.Mover].
func (s *Store) Seal(ctx context.Context, note string) error {
	return s.move(ctx, func() error { s.sealed = note; return nil })
}

// Renew implements [store.Mover].
func (s *Store) Renew(ctx context.Context, epoch gotong.Epoch) error {
	return s.write(ctx, func() error {
		next := s.eras.Next(epoch, s.positions())
		if err := next.Check(); err != nil {
			return err
		}
		s.eras = next
		return nil
	})
}

// Rows implements [store.Mover].
func (s *Store) Rows(ctx context.Context, section store.Section, after string, limit int) (rows store.Rows, err error) {
	err = s.read(ctx, func() error {
		switch section {
		case store.AllStreams:
			rows.Streams, rows.Next = page(maps.All(s.heads), after, limit, func(k gotong.Stream) string { return string(k) },
				func(k gotong.Stream, h gotong.Head) store.StreamRow { return store.StreamRow{Stream: k, Head: h} })
		case store.AllRecords:
			rows.Records, rows.Next = page(maps.All(s.records), after, limit,
				func(k gotong.RequestKey) string { return mark(string(k.Stream), k.Actor, k.RequestID) },
				func(_ gotong.RequestKey, r store.Record) store.Record { return cloneRecord(r) })
		case store.AllClaims:
			rows.Claims, rows.Next = page(maps.All(s.claims), after, limit, func(k gotong.Claim) string { return mark(k.Space, k.Name) },
				func(k gotong.Claim, by gotong.Stream) store.ClaimRow { return store.ClaimRow{Claim: k, Stream: by} })
		case store.AllRegisters:
			rows.Registers, rows.Next = page(s.live, after, limit, keyMark,
				func(_ gotong.Key, r store.Register) store.Register { return r })
		case store.AllCursors:
			moved := maps.Clone(s.cursors)
			maps.DeleteFunc(moved, func(_ store.CursorKey, at uint64) bool { return at == 0 })
			rows.Cursors, rows.Next = page(maps.All(moved), after, limit,
				func(k store.CursorKey) string { return mark(k.Reader, fmt.Sprintf("%02d", k.Partition)) },
				func(k store.CursorKey, at uint64) store.CursorRow {
					return store.CursorRow{Reader: k.Reader, Partition: k.Partition, Position: at}
				})
		case store.AllJobs:
			rows.Jobs, rows.Next = page(maps.All(s.jobs), after, limit, func(k jobKey) string { return mark(k.queue, k.id) },
				func(_ jobKey, j store.Job) store.Job { j.Body = slices.Clone(j.Body); return j })
		case store.AllDocuments:
			rows.Documents, rows.Next = page(s.allDocuments, after, limit, keyMark, func(k gotong.Key, body []byte) store.Document {
				return store.Document{Key: k, Body: slices.Clone(body)}
			})
		default:
			return fmt.Errorf("memory: no section %d", section)
		}
		return nil
	})
	return rows, err
}

func mark(parts ...string) string { return strings.Join(parts, "\x00") }

func keyMark(k gotong.Key) string { return mark(k.Collection, k.Owner, k.Name) }

// allDocuments calls yield with every document.
func (s *Store) allDocuments(yield func(gotong.Key, []byte) bool) {
	for at, shelf := range s.documents {
		for name, body := range shelf {
			if !yield(gotong.Key{Collection: at.collection, Owner: at.owner, Name: name}, body) {
				return
			}
		}
	}
}

// live calls yield with every register that has not expired.
func (s *Store) live(yield func(gotong.Key, store.Register) bool) {
	for at, shelf := range s.registers {
		for name := range shelf {
			key := gotong.Key{Collection: at.collection, Owner: at.owner, Name: name}
			if r := s.register(key); r.Version > 0 && !yield(key, r) {
				return
			}
		}
	}
}

// page returns the rows after a mark, in order of their marks. It keeps no more rows
// than it returns, because checks read every section in small pages.
func page[K, V, R any](
	all iter.Seq2[K, V], after string, limit int, mark func(K) string, read func(K, V) R,
) (rows []R, next string) {
	type row struct {
		mark  string
		key   K
		value V
	}
	var first []row
	most, more := store.Bound(limit), false
	for k, v := range all {
		at := mark(k)
		if after != "" && at <= after {
			continue
		}
		if len(first) == most {
			more = true
			if at > first[most-1].mark {
				continue
			}
			first = first[:most-1]
		}
		i, _ := slices.BinarySearchFunc(first, at, func(r row, at string) int { return strings.Compare(r.mark, at) })
		first = slices.Insert(first, i, row{at, k, v})
	}
	if more {
		next = first[most-1].mark
	}
	for _, r := range first {
		rows = append(rows, read(r.key, r.value))
	}
	return rows, next
}

// Restore implements [store.Mover].
func (s *Store) Restore(ctx context.Context, step store.Restoring) error {
	return s.move(ctx, func() error {
		eras := s.eras
		if step.From == "" {
			eras = step.Eras
		}
		switch err := step.Check(eras); {
		case err != nil:
			return err
		case s.sealed != "":
			return store.ErrSealed
		case s.progress != step.From || step.From == "" && !s.empty():
			return store.ErrConflict
		}
		if err := s.fits(&step); err != nil {
			return err
		}
		s.eras, s.progress = slices.Clone(eras), step.To
		s.restore(&step)
		return nil
	})
}

// fits checks that no row of the step exists in the store, and that events follow.
func (s *Store) fits(step *store.Restoring) error {
	taken := func(exists bool) error {
		if exists {
			return fmt.Errorf("%w: a row exists already", store.ErrMalformed)
		}
		return nil
	}
	return cmp.Or(
		each(step.Rows.Streams, func(r store.StreamRow) error { return taken(s.heads[r.Stream].Exists()) }),
		each(step.Records(), func(r store.Record) error { _, ok := s.records[r.Request]; return taken(ok) }),
		each(step.Rows.Claims, func(r store.ClaimRow) error { _, ok := s.claims[r.Claim]; return taken(ok) }),
		each(step.Rows.Registers, func(r store.Register) error {
			_, ok := s.registers[shelf{r.Key.Collection, r.Key.Owner}][r.Key.Name]
			return taken(ok)
		}),
		each(step.Rows.Cursors, func(r store.CursorRow) error {
			return taken(s.cursors[store.CursorKey{Reader: r.Reader, Partition: r.Partition}] > 0)
		}),
		each(step.Rows.Jobs, func(r store.Job) error {
			_, ok := s.jobs[jobKey{r.Queue, r.ID}]
			return taken(ok)
		}),
		s.follow(step),
	)
}

// follow checks that each event is the next one of a stream that is there.
func (s *Store) follow(step *store.Restoring) error {
	heads := map[gotong.Stream]bool{}
	for _, r := range step.Rows.Streams {
		heads[r.Stream] = true
	}
	last := map[gotong.Stream]uint64{}
	events := step.Events()
	for i := range events {
		e := &events[i]
		if last[e.Stream] == 0 {
			last[e.Stream] = uint64(len(s.events[e.Stream]))
		}
		last[e.Stream]++
		if e.Seq != last[e.Stream] || !heads[e.Stream] && !s.heads[e.Stream].Exists() {
			return fmt.Errorf("%w: event %d of %s does not follow", store.ErrMalformed, e.Seq, e.Stream)
		}
	}
	return nil
}

func (s *Store) restore(step *store.Restoring) {
	for _, r := range step.Rows.Streams {
		s.heads[r.Stream] = r.Head
	}
	events := step.Events()
	for i := range events {
		e := cloneEvent(&events[i])
		s.events[e.Stream] = append(s.events[e.Stream], e)
		for uint64(len(s.partitions[e.Partition])) < e.Position {
			s.partitions[e.Partition] = append(s.partitions[e.Partition], store.Record{})
		}
		at := &s.partitions[e.Partition][e.Position-1]
		if at.Request.Stream, at.Last = e.Stream, e.Seq; at.First == 0 {
			at.First = e.Seq
		}
	}
	for _, r := range step.Records() {
		s.records[r.Request] = cloneRecord(r)
	}
	for _, r := range step.Rows.Claims {
		s.claims[r.Claim] = r.Stream
	}
	for _, r := range step.Rows.Registers {
		at := shelf{r.Key.Collection, r.Key.Owner}
		if s.registers[at] == nil {
			s.registers[at] = map[string]store.Register{}
		}
		r.Body = slices.Clone(r.Body)
		s.registers[at][r.Key.Name] = r
	}
	for _, r := range step.Rows.Cursors {
		s.cursors[store.CursorKey{Reader: r.Reader, Partition: r.Partition}] = r.Position
	}
	for _, j := range step.Rows.Jobs {
		s.jobs[jobKey{j.Queue, j.ID}] = fresh(j)
	}
	s.change(step.Documents)
}

func each[R any](rows []R, check func(R) error) error {
	for _, r := range rows {
		if err := check(r); err != nil {
			return err
		}
	}
	return nil
}
