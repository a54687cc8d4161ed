package engine_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
)

// pair adds twice, in one commit.
type pair struct{ A, B int }

// paired is tally with it.
func paired() gotong.Kind {
	k := tally()
	k.Decide = func(s gotong.State, c gotong.Command) (gotong.Decision, error) {
		d, ok := c.Data.(pair)
		if !ok {
			return tallyDecide(s, c)
		}
		return gotong.Accept(
			gotong.Fact{Type: "added", Data: added{d.A}, Content: note{"first"}, Counted: true},
			gotong.Fact{Type: "added", Data: added{d.B}, Content: note{"second"}, Counted: true},
		)
	}
	return k
}

// node is an engine of its own on a store that others may share.
func node(t *testing.T, s engine.Store, k gotong.Kind) *rig {
	t.Helper()
	r := &rig{store: s, Engine: engine.New(engine.Options{
		Store: s, Codec: store.NewCodec([]gotong.Kind{k}), Clock: clocktest.Showing(clock()),
	})}
	t.Cleanup(func() { _ = r.Close(t.Context()) })
	return r
}

// Two events of one commit are two links of the chain with ids, instants and
// ordinals of their own and one position; the second is projected onto what the
// first left, and the receipt names both, then and whenever it is asked for.
func TestTwoEventsInOneCommit(t *testing.T) {
	r := node(t, newMemory(t), paired())
	r.must(t, command(one, "ani", "before", add{N: 1}))
	got := r.must(t, command(one, "ani", "pair", pair{2, 3}))
	r.must(t, command(one, "ani", "after", add{N: 4, Limit: 10})) // the lane knows the sum of all
	rows := r.log(t, one)
	if len(rows) != 4 {
		t.Fatalf("%d events, want 4", len(rows))
	}
	first, second := rows[1], rows[2]
	if first.Position != second.Position || second.Position != got.Position || rows[3].Position <= second.Position {
		t.Errorf("positions %d and %d, receipt %d, after them %d", first.Position, second.Position, got.Position, rows[3].Position)
	}
	if first.Count != 2 || second.Count != 3 {
		t.Errorf("ordinals %d and %d, want 2 and 3", first.Count, second.Count)
	}
	want := gotong.Receipt{
		Stream: one, Partition: first.Partition, Position: first.Position, First: 2, Last: 3,
		EventIDs: []gotong.EventID{first.ID, second.ID}, At: second.At, Chain: second.Chain,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the receipt is\n%+v, want\n%+v", got, want)
	}
	if _, err := r.Execute(t.Context(), command(one, "ani", "more", add{N: 1, Limit: 10})); gotong.CodeOf(err) != gotong.CodeConflict {
		t.Errorf("1 + (2 + 3) + 4 + 1 is not more than 10: %v", err)
	}
}

// A replayed receipt is the first one, with the chain as it was then: from the
// lane that made it, from one that is cold, and from another node.
func TestReplaysKeepTheirChain(t *testing.T) {
	s := newMemory(t)
	r := node(t, s, paired())
	commands := []gotong.Command{
		command(one, "ani", "a", add{N: 1}), command(one, "ani", "b", pair{2, 3}), command(one, "budi", "a", add{N: 4}),
		command(one, "ani", "nothing", add{}),
	}
	var receipts []gotong.Receipt
	for _, c := range commands {
		receipts = append(receipts, r.must(t, c))
	}
	r.must(t, command(one, "ani", "z", add{N: 5})) // the head is elsewhere now
	chains := map[gotong.Hash]bool{}
	for name, by := range map[string]*rig{"warm": r, "cold": node(t, s, paired())} {
		for i, c := range commands {
			got, want := r.must(t, c), receipts[i]
			if by != r {
				got = by.must(t, c)
			}
			want.Replayed, want.Access = true, want.First > 0
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s by %s was answered with\n%+v, first\n%+v", name, c.RequestID, c.Actor.UserID, got, want)
			}
			chains[got.Chain] = true
		}
	}
	if len(chains) != 4 { // three events' and none
		t.Errorf("%d chains, want 4", len(chains))
	}
}

// A lane that knows its stream from its own commits never answers from what
// another node changed meanwhile: it neither accepts, nor refuses, nor finds
// nothing to do, by a state that is not there any more.
func TestWarmLaneIsNeverStale(t *testing.T) {
	other := gotong.Stream("tally/two")
	for name, tt := range map[string]struct {
		warm      []any // by this node, on one
		elsewhere func(there *rig)
		do        any
		code      gotong.Code
		events    bool
	}{
		"would accept, must refuse": {
			[]any{add{N: 5}}, func(there *rig) { there.must(t, command(one, "budi", "x", add{N: 4})) },
			add{N: 5, Limit: 10}, gotong.CodeConflict, false,
		},
		"would refuse, must accept": {
			[]any{add{N: 9}}, func(there *rig) { there.must(t, command(one, "budi", "x", add{N: -5})) },
			add{N: 5, Limit: 10}, "", true,
		},
		"would do nothing, must act": {
			[]any{flip{true}}, func(there *rig) { there.must(t, command(one, "budi", "x", flip{false})) },
			flip{true}, "", true,
		},
		"would act, must do nothing": {
			[]any{flip{true}}, func(there *rig) { there.must(t, command(one, "budi", "x", flip{false})) },
			flip{false}, "", false,
		},
		"borrowed, would accept, must refuse": {
			[]any{obey{other}, add{N: 1}}, func(there *rig) { there.must(t, command(other, "budi", "x", flip{false})) },
			add{N: 1}, gotong.CodeForbidden, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMemory(t)
			here, there := node(t, s, tally()), node(t, s, tally())
			there.must(t, command(other, "budi", "lamp", flip{true}))
			for i, data := range tt.warm {
				here.must(t, command(one, "ani", fmt.Sprint("w", i), data))
			}
			tt.elsewhere(there)
			got, err := here.Execute(t.Context(), command(one, "ani", "do", tt.do))
			if gotong.CodeOf(err) != tt.code || (got.First > 0) != tt.events {
				t.Errorf("%+v, %v; want code %q, events %v", got, err, tt.code, tt.events)
			}
		})
	}
}

// A command that the cached state decides asks the rules once what they need.
func TestNeedsAreAskedOnce(t *testing.T) {
	asked := 0
	kind := tally()
	kind.Needs = func(s gotong.State, c gotong.Command) []gotong.Ref {
		asked++
		return tallyNeeds(s, c)
	}
	e := engine.New(engine.Options{Store: newMemory(t), Codec: store.NewCodec([]gotong.Kind{kind}), Clock: clocktest.Showing(clock())})
	for _, request := range []string{"cold", "warm"} {
		asked = 0
		if _, err := e.Execute(t.Context(), command(one, "ani", request, add{N: 1})); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// loads counts the reads of a store, and holds on to what they asked for.
type loads struct {
	engine.Store
	needs []store.Need
}

func (l *loads) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	l.needs = append(l.needs, need)
	return l.Store.Load(ctx, need)
}

// A warm lane reads what it lacks of an actor's documents once, and nothing else;
// the next command of the same actor reads nothing.
func TestWarmLaneReadsWhatItLacksOnce(t *testing.T) {
	mine := func(c gotong.Command) gotong.Key { return gotong.Key{Collection: "totals", Owner: c.Actor.UserID} }
	kind := tally()
	kind.Needs = func(s gotong.State, c gotong.Command) []gotong.Ref {
		return append(tallyNeeds(s, c), gotong.Ref{Stream: c.Stream, Key: mine(c)})
	}
	s := &loads{Store: newMemory(t)}
	e := engine.New(engine.Options{Store: s, Codec: store.NewCodec([]gotong.Kind{kind}), Clock: clocktest.Showing(clock())})
	for i, tc := range []struct {
		actor string
		reads int
	}{{"ani", 1}, {"ani", 0}, {"budi", 1}, {"budi", 0}, {"ani", 0}} {
		s.needs = nil
		c := command(one, tc.actor, fmt.Sprint("r", i), add{N: 1})
		if _, err := e.Execute(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if len(s.needs) != tc.reads {
			t.Errorf("command %d, of %s: %d reads, want %d", i, tc.actor, len(s.needs), tc.reads)
		}
		if i == 2 && !reflect.DeepEqual(s.needs[0].Documents, []gotong.Key{mine(c)}) {
			t.Errorf("the lane read %v", s.needs[0].Documents)
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
