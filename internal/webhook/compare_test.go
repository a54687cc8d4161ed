package webhook_test

import (
	"context"
	"slices"
	"testing"

	"gotong.dev/gotong"
	rules "gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/webhook"
)

// beside is a store that calls listed after it has listed its documents.
type beside struct {
	store.Whole
	listed func()
}

// Rows implements [reader.Whole].
func (b beside) Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error) {
	rows, err := b.Whole.Rows(ctx, section, after, limit)
	if rows.Next == "" {
		b.listed()
	}
	return rows, err
}

// TestAMarkThatMovesIsNoDamage: the planner replaces a mark while its documents are
// compared, or after its webhook was removed; a mark that it left behind is reported.
func TestAMarkThatMovesIsNoDamage(t *testing.T) {
	w := newWorld(t, rules.Standard)
	planner := webhook.Planner(w.codec)
	compare := func(listed func()) (keys []gotong.Key) {
		w.check(reader.Compare(t.Context(), beside{w.store, listed}, &planner, 0, func(d reader.Difference) { keys = append(keys, d.Key) }))
		return keys
	}
	marks := func() []store.Document {
		snap, err := w.store.Load(t.Context(), store.Need{Ranges: []store.KeyRange{{
			Collection: "webhook_dues", Owner: hook.ID(), From: "0", To: "9", Limit: 9,
		}}})
		w.check(err)
		return snap.Ranges[0]
	}
	w.say("one")
	w.plan()
	old := marks()
	if got := compare(func() { w.say("two"); w.plan() }); len(got) > 0 || len(old) != 1 {
		t.Errorf("%v, and the marks are %v", got, old)
	}
	w.do(wati, hook, rules.CmdEnd, rules.End{})
	w.say("three")
	w.plan()
	if got, now := compare(func() {}), marks(); len(got) > 0 || len(now) != 1 || now[0].Key == old[0].Key {
		t.Errorf("after the webhook was removed: %v, and the marks are %v", got, now)
	}
	w.check(w.store.Advance(t.Context(), store.Step{Reader: "other", Changes: []store.Change{store.Change(old[0])}}))
	if got := compare(func() {}); !slices.Equal(got, []gotong.Key{old[0].Key}) {
		t.Errorf("of a mark that was left behind: %v", got)
	}
}
