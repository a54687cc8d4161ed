package bus_test

import (
	"fmt"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
)

// TestQueueMergesAndBounds: waiting messages are merged or bounded, and no
// others are lost.
func TestQueueMergesAndBounds(t *testing.T) {
	q := bus.NewQueue(2)
	wake := func(p gotong.Partition, position uint64) bus.Message {
		return bus.Message{Wake: &bus.Wake{Partition: p, Position: position}}
	}
	signal := func(typ string) bus.Message { return bus.Message{Signal: &bus.Signal{Type: typ}} }
	for i, tc := range []struct {
		m    bus.Message
		kept bool
	}{
		{signal("a"), true},
		{wake(3, 5), true},
		{wake(3, 9), true},
		{wake(3, 7), true}, // behind the waiting one
		{wake(4, 1), true},
		{wake(gotong.Partitions, 1), false},
		{bus.Message{Ended: &bus.Ended{UserID: "ann"}}, true},
		{bus.Message{Ended: &bus.Ended{UserID: "ann"}}, true},
		{signal("b"), true},
		{signal("c"), false},
		{bus.Message{}, false},
	} {
		if kept := q.Put(tc.m); kept != tc.kept {
			t.Errorf("%d: kept %v", i, kept)
		}
	}
	<-q.Ready()
	var got []string
	for _, m := range q.Take() {
		switch {
		case m.Wake != nil:
			got = append(got, fmt.Sprint("wake ", m.Wake.Partition, " ", m.Wake.Position))
		case m.Ended != nil:
			got = append(got, "ended "+m.Ended.UserID)
		default:
			got = append(got, "signal "+m.Signal.Type)
		}
	}
	if want := []string{"ended ann", "wake 3 9", "wake 4 1", "signal a", "signal b"}; !slices.Equal(got, want) {
		t.Errorf("took %q, want %q", got, want)
	}
	if left := q.Take(); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	q.Put(signal("late"))
	q.Put(wake(1, 1))
	if n := q.DropSignals(); n != 1 || len(q.Take()) != 1 {
		t.Errorf("%d signals were dropped", n)
	}
	for i := range 10_000 {
		q.Put(bus.Message{Ended: &bus.Ended{UserID: fmt.Sprint(i)}})
	}
	if n := len(q.Take()); n > 5000 {
		t.Errorf("%d users waited", n)
	}
}

// TestQueueLeavesHalfToSignalsThatAreNotBulk: signals that are sent again later
// leave half of the room to the others.
func TestQueueLeavesHalfToSignalsThatAreNotBulk(t *testing.T) {
	q := bus.NewQueue(4)
	kept := map[bool]int{}
	put := func(bulk bool) {
		if q.Put(bus.Message{Signal: &bus.Signal{Type: "x", Bulk: bulk}}) {
			kept[bulk]++
		}
	}
	for range 10 {
		put(true)
	}
	for range 10 {
		put(false)
	}
	if kept[true] != 2 || kept[false] != 2 {
		t.Errorf("kept %d bulk signals and %d others, want 2 of each", kept[true], kept[false])
	}
}
