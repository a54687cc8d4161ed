package copy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// The reasons to reject a copy before anything is written.
var (
	ErrNotSealed  = errors.New("copy: the source is not sealed")
	ErrUnfinished = errors.New("copy: a copy into the source has not ended; finish it first")
	ErrNotEmpty   = errors.New("copy: the target is not empty and holds another log; choose an empty target")
	ErrOtherCopy  = errors.New("copy: another copy into the target has not ended; finish it or choose another target")
)

// Summary is the result of a copy.
type Summary struct {
	Eras     store.Eras `json:"eras"`
	Rows     Counts     `json:"rows"`     // in the target
	Moved    uint64     `json:"moved"`    // rows written by this run
	Resumed  bool       `json:"resumed"`  // it resumed an earlier run
	Present  bool       `json:"present"`  // the copy was already complete
	Verified bool       `json:"verified"` // both sides were compared and every chain was computed
}

// Seal seals the source of a copy. It fails if the source is sealed for another
// target.
func Seal(ctx context.Context, s store.Whole, note string) error {
	state, err := s.State(ctx)
	switch {
	case err != nil:
		return err
	case state.Progress != "":
		return ErrUnfinished
	case state.Sealed != "" && state.Sealed != note:
		return fmt.Errorf("copy: the source is already sealed: %s", state.Sealed)
	}
	// Also if the mark exists: the program that set it may have been
	// interrupted before the writes that began earlier had ended.
	return s.Seal(ctx, note)
}

// Look returns what Run would find: whether the target can accept the source,
// and how much of it the target holds. It writes nothing.
func Look(ctx context.Context, from Source, to store.Whole) (Summary, error) {
	state, err := to.State(ctx)
	if err != nil {
		return Summary{}, err
	}
	_, sum, err := begin(from.About(), state)
	return sum, err
}

// Scan reads a whole source, checks it and counts its rows. In a file, each
// event is checked without the others of its stream; a store is checked
// completely, documents included (package check).
func Scan(ctx context.Context, from Source, o Options) (Counts, error) {
	about := from.About()
	done, order, rows := uint64(0), check.Order{Eras: about.Eras}, newTallies()
	for page, err := range from.Pages(ctx, Mark{}) {
		if s, ok := from.(*stored); ok && errors.Is(err, store.ErrCorrupt) {
			return nil, errors.Join(err, checked(ctx, s.from, o, 0)) // all errors, not only the first
		}
		if err != nil {
			return nil, err
		}
		for e := range page.Events() {
			if err := order.Check(e); err != nil {
				return nil, err
			}
		}
		if err := errors.Join(rows.add(&page, 0), o.see(&page)); err != nil {
			return nil, err
		}
		done += page.Units
		o.report("reading", done, about.Units)
	}
	if err := order.End(); err != nil {
		return nil, err
	}
	if s, ok := from.(*stored); ok {
		return rows.counts(), checked(ctx, s.from, o, rows.counts()[Streams])
	}
	return rows.counts(), ctx.Err()
}

func begin(about About, state store.State) (progress, Summary, error) {
	sum := Summary{Eras: about.Eras}
	at := progress{Source: about.ID}
	switch {
	case state.Progress != "":
		var was progress
		if err := json.Unmarshal([]byte(state.Progress), &was); err != nil || was.Source != about.ID {
			return at, sum, ErrOtherCopy
		}
		sum.Resumed = true
		return was, sum, nil
	case state.Empty:
		return at, sum, nil
	case !reflect.DeepEqual(state.Eras, about.Eras):
		return at, sum, ErrNotEmpty
	default:
		sum.Present = true
		return at, sum, nil
	}
}

// Run copies a source into a store, or resumes such a copy, and ends it after a
// comparison of both sides. A store as a source must be sealed.
func Run(ctx context.Context, from Source, to store.Whole, o Options) (Summary, error) {
	if s, ok := from.(*stored); ok && !s.sealed {
		return Summary{}, ErrNotSealed
	}
	state, err := to.State(ctx)
	if err != nil {
		return Summary{}, err
	}
	about := from.About()
	at, sum, err := begin(about, state)
	if err != nil {
		return sum, err
	}
	if sum.Present {
		return finish(ctx, from, to, o, sum)
	}
	if !sum.Resumed {
		if err := to.Restore(ctx, store.Restoring{To: at.String(), Eras: about.Eras}); err != nil {
			return sum, full(err)
		}
	}
	m := &move{
		from: from, to: to, o: o, at: at, rebuild: check.NewProjection(to, o.Codec),
		order: check.Order{Eras: about.Eras, Partial: true},
	}
	if err = m.run(ctx); err == nil {
		err = m.remake(ctx)
	}
	if sum.Moved = m.moved; err != nil {
		return sum, full(err)
	}
	sum, err = finish(ctx, from, to, o, sum)
	if err != nil {
		return sum, err
	}
	return sum, to.Restore(ctx, store.Restoring{From: m.at.String()})
}

func finish(ctx context.Context, from Source, to store.Whole, o Options, sum Summary) (Summary, error) {
	verified, err := Verify(ctx, from, to, o)
	sum.Rows, sum.Verified = verified.Rows, err == nil
	if err == nil && o.Beside != nil {
		err = o.Beside(ctx)
	}
	return sum, err
}

func full(err error) error {
	if errors.Is(err, store.ErrFull) {
		return fmt.Errorf("the target is full; free some space and run the same copy again: %w", err)
	}
	return err
}

// move writes page after page.
type move struct {
	from    Source
	to      store.Whole
	o       Options
	at      progress
	rebuild *check.Projection
	order   check.Order
	moved   uint64
}

func (m *move) run(ctx context.Context) error {
	if m.at.Mark.End {
		return nil
	}
	done, total := m.at.Mark.units(m.from.About()), m.from.About().Units
	m.o.report("copying", done, total)
	for page, err := range m.from.Pages(ctx, m.at.Mark) {
		if err == nil {
			err = m.write(ctx, &page)
		}
		if err != nil {
			return err
		}
		done += page.Units
		m.o.report("copying", done, total)
	}
	return ctx.Err()
}

// remake makes the documents of readers, now that the target has everything from
// which they are made. It makes no jobs: those of the source have moved.
func (m *move) remake(ctx context.Context) error {
	return reader.Remake(ctx, m.to, m.o.Readers, m.at.Remade, func(to reader.Place, changes []store.Change) error {
		next := m.at
		next.Remade = to
		if err := m.to.Restore(ctx, store.Restoring{From: m.at.String(), To: next.String(), Documents: changes}); err != nil {
			return err
		}
		m.at = next
		return nil
	})
}

// write restores one page and moves the progress past it.
func (m *move) write(ctx context.Context, page *Page) error {
	next := progress{Source: m.at.Source, Mark: page.Mark}
	step := store.Restoring{From: m.at.String(), To: next.String(), Rows: page.Rows, Commits: page.Commits}
	for e := range page.Events() {
		if err := m.order.Check(e); err != nil {
			return err
		}
	}
	var err error
	if step.Documents, err = m.rebuild.Changes(ctx, step.Events()); err != nil {
		return err
	}
	if err := m.to.Restore(ctx, step); err != nil {
		return err
	}
	m.at = next
	m.moved += uint64(step.Len()) //nolint:gosec // a length
	return nil
}
