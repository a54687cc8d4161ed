package app

import (
	"context"
	"fmt"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// gaps is a store that lacks what a test names.
type gaps struct {
	store.Whole
	err error
}

func (g *gaps) Load(context.Context, store.Need) (store.Snapshot, error) {
	return store.Snapshot{}, g.err
}

func (g *gaps) ReadPartition(_ context.Context, p gotong.Partition, from, _ uint64, _ int) ([]store.Event, error) {
	return nil, fmt.Errorf("%w: partition %d has no commit %d", store.ErrCorrupt, p, from+1)
}

// A missing event is reported once, however many clients ask for it.
func TestDamageIsReportedOnce(t *testing.T) {
	g, reports := &gaps{}, 0
	w := &watchful{Store: g, places: map[string]bool{}, report: func(error) { reports++ }, asked: func(context.Context, error) {}}
	load := func(err error) {
		t.Helper()
		g.err = err
		if _, got := w.Load(t.Context(), store.Need{}); got != err { //nolint:errorlint // passed on as it is
			t.Errorf("got %v, want %v", got, err)
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		want int
	}{
		{"an event", func() { load(fmt.Errorf("%w: a has no event 4", store.ErrCorrupt)) }, 1},
		{"another event", func() { load(fmt.Errorf("%w: b has no event 4", store.ErrCorrupt)) }, 1},
		{"no damage", func() { load(context.Canceled); load(nil) }, 0},
		{"a hole of many commits", func() {
			for at := range uint64(50) {
				_, _ = w.ReadPartition(t.Context(), 3, 7+at, 100, 1)
			}
		}, 1},
		{"the hole after it", func() { _, _ = w.ReadPartition(t.Context(), 3, 70, 100, 1) }, 1},
		{"more places than anybody reads", func() {
			for i := range 2 * maxPlaces {
				load(fmt.Errorf("%w: c has no event %d", store.ErrCorrupt, i))
			}
		}, maxPlaces - 4},
	} {
		for range 3 { // reported the first time only
			reports = 0
			step.do()
			if reports != step.want {
				t.Errorf("%s: reported %d times, want %d", step.what, reports, step.want)
			}
			step.want = 0
		}
	}
}
