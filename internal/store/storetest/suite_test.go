package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
)

// losing acknowledges its tenth commit and does not write it.
func losing(s store.Whole) store.Whole {
	f := storetest.NewFaulty(s)
	f.Forget(10)
	return f
}

// starving gives up its tenth commit, as a node that always loses to another.
func starving(s store.Whole) store.Whole {
	f := storetest.NewFaulty(s)
	f.Fail(storetest.OpCommit, 10, errors.New("the outcome is not known"))
	return f
}

// blind does not look at the heads of other streams.
type blind struct{ store.Whole }

func (s blind) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	batch = slices.Clone(batch)
	for i := range batch {
		batch[i].Others = nil
	}
	s.Whole.Submit(ctx, batch, announce, done)
}

// late shows a commit only after the one that follows it.
type late struct {
	store.Whole
	mu   sync.Mutex
	held bool
}

func (s *late) ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]store.Event, error) {
	page, err := s.Whole.ReadPartition(ctx, p, from, to, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held && len(page) > 1 {
		s.held = true
		page = slices.Delete(page, 0, 1)
	}
	return page, err
}

// shared is a store that several nodes of a case have open.
type shared struct{ store.Whole }

func (shared) Close() error { return nil }

// TestSuiteFindsFaults: a store that breaks a promise between nodes fails the
// case of that promise; one that only gives up now and then passes.
func TestSuiteFindsFaults(t *testing.T) {
	for name, test := range map[string]struct {
		wrap func(store.Whole) store.Whole
		by   string // the case
		want string // in its faults; empty where it passes
	}{
		"good, one stream":        {func(s store.Whole) store.Whole { return s }, "nodes/one stream", ""},
		"good, one partition":     {func(s store.Whole) store.Whole { return s }, "nodes/one partition", ""},
		"good, races":             {func(s store.Whole) store.Whole { return s }, "nodes/races", ""},
		"starving, one partition": {starving, "nodes/one partition", ""},
		"losing, one stream":      {losing, "nodes/one stream", "of 96 acknowledged commits 95 are there"},
		"losing, one partition":   {losing, "nodes/one partition", "nothing competes"},
		"blind, races":            {func(s store.Whole) store.Whole { return blind{s} }, "nodes/races", "skew: "},
		"late, one partition":     {func(s store.Whole) store.Whole { return &late{Whole: s} }, "nodes/one partition", " after "},
	} {
		t.Run(name, func(t *testing.T) {
			result := try(t, test.by, test.wrap)
			got := strings.Join(result.Faults, "; ")
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("faults %q, want %q", got, test.want)
			}
		})
	}
}

func try(t *testing.T, name string, wrap func(store.Whole) store.Whole) storetest.Result {
	t.Helper()
	for _, part := range storetest.Parts() {
		for _, c := range part.Tests {
			if c.Name != name {
				continue
			}
			return c.Try(t.Context(), func() storetest.Harness {
				var once sync.Once
				var inner store.Whole
				several := memory.Properties
				several.Shared.Holds = true
				return storetest.Harness{Properties: several, Open: func(o storetest.Options) (store.Whole, error) {
					once.Do(func() { inner = wrap(memory.New("", memory.Options{Now: o.Now})) })
					return shared{inner}, nil
				}}
			})
		}
	}
	t.Fatalf("the suite has no case %q", name)
	return storetest.Result{}
}

// TestTryReportsPanicsAndSkips: a case that does not apply says why, and a panic is a fault.
func TestTryReportsPanicsAndSkips(t *testing.T) {
	part := storetest.Parts()[0]
	if got := part.Tests[0].Try(t.Context(), func() storetest.Harness { panic("no place") }); !slices.Equal(got.Faults, []string{"panic: no place"}) {
		t.Errorf("%+v", got)
	}
	alone := func() storetest.Harness {
		return storetest.Harness{Properties: memory.Properties, Open: func(o storetest.Options) (store.Whole, error) { return memory.New("", memory.Options{Now: o.Now}), nil }}
	}
	for _, part := range storetest.Parts() {
		if part.Name == "nodes" {
			if got := part.Tests[0].Try(t.Context(), alone); got.Skipped == "" || len(got.Faults) > 0 {
				t.Errorf("%+v", got)
			}
		}
	}
}
