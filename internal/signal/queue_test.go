package signal_test

import (
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
	closed := func(gotong.Stream) (bool, bool) { return false, false }
	later := func(gotong.Stream) (bool, bool) { return false, true }
	take := func(q *signal.Queue[string]) bool { q.Take(closed, func(string) { panic("given") }); return false }
	wait := func(q *signal.Queue[string]) bool { q.Take(later, func(string) { panic("given") }); return false }
	forget := func(q *signal.Queue[string]) bool { q.Forget("room/1"); return false }
	for _, test := range []struct {
		name    string
		steps   []step
		given   []string
		dropped int
	}{
		{"nothing", nil, nil, 0},
		{"in order", []step{add(r1, "typing", "ann", "1"), add(r1, "typing", "bob", "2")}, []string{"1", "2"}, 0},
		{"the latest of an actor", []step{add(r1, "typing", "ann", "1"), add(r1, "typing", "bob", "2"), add(r1, "typing", "ann", "3")}, []string{"3", "2"}, 0},
		{"by stream", []step{add(r1, "typing", "ann", "1"), add("room/2", "typing", "ann", "2")}, []string{"1", "2"}, 0},
		{"by type", []step{add(r1, "typing", "ann", "1"), add(r1, signal.Read, "ann", "2")}, []string{"1", "2"}, 0},
		{"the oldest is dropped", []step{add(r1, "typing", "ann", "1"), add(r1, "typing", "bob", "2"), add(r1, "typing", "cat", "3")}, []string{"2", "3"}, 1},
		{"what other users send is dropped first", []step{add(r1, signal.Read, "ann", "1"), add(r1, "typing", "bob", "2"), add("room/2", signal.Read, "ann", "3")}, []string{"1", "3"}, 1},
		{"even if it is the newest", []step{add(r1, signal.Read, "ann", "1"), add("room/2", signal.Read, "ann", "2"), add(r1, "typing", "bob", "3")}, []string{"1", "2"}, 1},
		{"then the oldest", []step{add(r1, signal.Read, "ann", "1"), add("room/2", signal.Read, "ann", "2"), add("room/3", signal.Read, "ann", "3")}, []string{"2", "3"}, 1},
		{"a session that may receive nothing", []step{add(r1, "typing", "ann", "1"), take, add(r1, "typing", "bob", "2")}, []string{"2"}, 0},
		{"what is about the user waits", []step{add(r1, "typing", "ann", "1"), add(r1, signal.Read, "ann", "2"), wait}, []string{"2"}, 0},
		{"a subscription that has ended", []step{add(r1, "typing", "ann", "1"), forget, add("room/2", "typing", "cat", "3")}, []string{"3"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var q signal.Queue[string]
			dropped := 0
			for _, step := range test.steps {
				if step(&q) {
					dropped++
				}
			}
			var given []string
			open := func(gotong.Stream) (bool, bool) { return true, false }
			q.Take(open, func(f string) { given = append(given, f) })
			if !slices.Equal(given, test.given) || dropped != test.dropped {
				t.Errorf("given %q, dropped %d; want %q, %d", given, dropped, test.given, test.dropped)
			}
			q.Take(open, func(string) { t.Error("given twice") })
		})
	}
}
