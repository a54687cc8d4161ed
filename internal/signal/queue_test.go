package signal_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/signal"
)

func TestQueue(t *testing.T) {
	type step func(q *signal.Queue[string]) (dropped bool)
	add := func(stream gotong.Stream, typ, user, form string) step {
		return func(q *signal.Queue[string]) bool {
			return q.Add(&bus.Signal{Stream: stream, Type: typ, Actor: gotong.Actor{UserID: user}}, form, 2)
		}
	}
	closed := func(gotong.Stream) bool { return false }
	take := func(q *signal.Queue[string]) bool { q.Take(closed, func(string) { panic("given") }); return false }
	forget := func(q *signal.Queue[string]) bool { q.Forget("room/1"); return false }
	for _, test := range []struct {
		name    string
		steps   []step
		given   []string
		missed  []string
		dropped int
	}{
		{"nothing", nil, nil, nil, 0},
		{"in order", []step{add(r1, "typing", "ann", "1"), add(r1, "typing", "bob", "2")}, []string{"1", "2"}, nil, 0},
		{"the latest of an actor", []step{add(r1, "typing", "ann", "1"), add(r1, "typing", "bob", "2"), add(r1, "typing", "ann", "3")}, []string{"3", "2"}, nil, 0},
		{"by stream", []step{add(r1, "typing", "ann", "1"), add("room/2", "typing", "ann", "2")}, []string{"1", "2"}, nil, 0},
		{"the oldest is dropped", []step{add(r1, "typing", "ann", "1"), add(r1, "typing", "bob", "2"), add(r1, "typing", "cat", "3")}, []string{"2", "3"}, nil, 1},
		{"a presence that is dropped is missed", []step{add(r1, signal.Presence, "ann", "1"), add(r1, "typing", "bob", "2"), add(r1, "typing", "cat", "3")}, []string{"2", "3"}, []string{"room/1 ann"}, 1},
		{"a later one makes up for it", []step{add(r1, signal.Presence, "ann", "1"), add(r1, "typing", "bob", "2"), add(r1, "typing", "cat", "3"), add(r1, signal.Presence, "ann", "4")}, []string{"3", "4"}, nil, 2},
		{"a session that may receive nothing misses presence alone", []step{add(r1, signal.Presence, "ann", "1"), add(r1, "typing", "bob", "2"), take}, nil, []string{"room/1 ann"}, 0},
		{"a subscription that has ended", []step{add(r1, signal.Presence, "ann", "1"), take, add(r1, "typing", "bob", "2"), forget, add("room/2", "typing", "cat", "3")}, []string{"3"}, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var q signal.Queue[string]
			dropped := 0
			for _, step := range test.steps {
				if step(&q) {
					dropped++
				}
			}
			var given, missed []string
			if q.Missing() && test.missed == nil {
				t.Error("something is missing")
			}
			for m := range q.Take(func(gotong.Stream) bool { return true }, func(f string) { given = append(given, f) }) {
				missed = append(missed, fmt.Sprint(m.Stream, " ", m.UserID))
			}
			if !slices.Equal(given, test.given) || !slices.Equal(missed, test.missed) || dropped != test.dropped {
				t.Errorf("given %q, missed %q, dropped %d; want %q, %q, %d", given, missed, dropped, test.given, test.missed, test.dropped)
			}
			if n := len(q.Take(func(gotong.Stream) bool { return true }, func(string) { t.Error("given twice") })); n > 0 {
				t.Error("missed twice")
			}
			if !reflect.ValueOf(&q).Elem().FieldByName("missed").IsNil() {
				t.Error("it keeps room for what it no longer misses")
			}
		})
	}
}

// However many changes of presence a session misses, it remembers few.
func TestQueueIsBounded(t *testing.T) {
	var q signal.Queue[string]
	for i := range 10_000 {
		q.Add(&bus.Signal{Stream: r1, Type: signal.Presence, Actor: gotong.Actor{UserID: fmt.Sprint(i)}}, "", 2)
	}
	if n := len(q.Take(func(gotong.Stream) bool { return true }, func(string) {})); n != 4096 {
		t.Errorf("%d are remembered", n)
	}
}
