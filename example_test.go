package gotong_test

import (
	"fmt"
	"time"

	"gotong.dev/gotong"
)

// The id of an event holds its instant, so events sort by id as they sort by
// seq, however the clock moves: an instant is at least 1 µs after the one before.
func ExampleNewEventID() {
	noon := gotong.InstantOf(time.Date(2026, 5, 17, 12, 0, 0, 0, time.UTC))
	first := gotong.NewEventID(noon, 7)
	back := noon.Add(-time.Hour) // the clock was set back
	second := gotong.NewEventID(gotong.NextInstant(back, first.At()), 3)
	fmt.Println(first.At(), second.At())
	fmt.Println(first.Compare(second))
	// Output:
	// 2026-05-17T12:00:00.000000Z 2026-05-17T12:00:00.000001Z
	// -1
}

// A cursor means everything after a point in one history of a stream. One of
// another history, or ahead of the stream, is an error and never a guess.
func ExampleCursor_Check() {
	c, err := gotong.ParseCursor("k3v9:17")
	fmt.Println(c.Seq, err)
	for _, head := range []uint64{20, 16} {
		fmt.Println(gotong.CodeOf(c.Check("k3v9", head)))
	}
	fmt.Println(gotong.CodeOf(c.Check("p0q1", 20)))
	// Output:
	// 17 <nil>
	//
	// cursor_ahead
	// epoch_changed
}

// A user who joined with event 2, left with event 5 and joined again with event 9
// sees the events from 2 to 4 and those from 9 on.
func ExampleResolve() {
	s := gotong.NewStream("papan", "rt05")
	grant := gotong.Grant{Readable: true, Spans: []gotong.Span{{Stream: s, From: 2, To: 5}, {Stream: s, From: 9}}}
	access := gotong.Resolve(gotong.Viewer{UserID: "budi"}, grant, func(_ gotong.Stream, seq uint64) uint64 { return seq })
	for seq := uint64(1); seq <= 10; seq++ {
		fmt.Print(access.Sees(seq, ""), " ")
	}
	// Output: false true true true false false false false true true
}
