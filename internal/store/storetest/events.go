package storetest

import (
	"fmt"
	"math"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var eventTests = map[string]func(*env){
	"events/ranges":       eventRanges,
	"events/bytes":        eventBytes,
	"events/big pages":    bigPages,
	"events/kept exactly": keptExactly,
	"events/several":      severalRanges,
	"events/streams":      manyStreams,
	"events/find":         findEvent,
	"erase/content":       eraseContent,
	"erase/as named":      eraseNamed,
	"erase/own fate":      eraseOwnFate,
	"erase/repeated":      eraseRepeated,
}

func seqs(rows []store.Event) (list []uint64) {
	for i := range rows {
		list = append(list, rows[i].Seq)
	}
	return list
}

func eventRanges(e *env) {
	const stream = gotong.Stream("thread/a")
	e.next(Draft{Stream: stream, Events: 4})
	e.next(Draft{Stream: stream, Events: 3})
	e.next(Draft{Stream: "thread/b", Events: 9}) // no range of a may touch it
	for _, tt := range []struct {
		from, to   uint64
		limit      int
		descending bool
		want       string
	}{
		{0, 7, 0, false, "[1 2 3 4 5 6 7]"},
		{0, 7, 0, true, "[7 6 5 4 3 2 1]"},
		{2, 5, 0, false, "[3 4 5]"},
		{2, 5, 0, true, "[5 4 3]"},
		{2, 7, 2, false, "[3 4]"},
		{2, 7, 2, true, "[7 6]"},
		{0, 1, 5, false, "[1]"},
		{6, 7, 0, true, "[7]"},
		{5, math.MaxUint64, 0, false, "[6 7]"},
		{5, math.MaxUint64, 1, true, "[7]"},
		{7, 9, 0, false, "[]"},
		{7, 7, 0, false, "[]"},
		{5, 2, 0, true, "[]"},
		{math.MaxUint64, math.MaxUint64, 0, false, "[]"},
		{0, 0, 0, false, "[]"},
		{0, 7, -3, false, "[1 2 3 4 5 6 7]"},
	} {
		rows := e.events(store.EventRange{Stream: stream, From: tt.from, To: tt.to, Limit: tt.limit, Descending: tt.descending})
		if got := fmt.Sprint(seqs(rows)); got != tt.want {
			e.Errorf("%+v: got %s", tt, got)
		}
	}
	if rows := e.events(store.EventRange{Stream: "thread/none", To: 9}); len(rows) != 0 {
		e.Errorf("events of no stream: %v", rows)
	}
}

// eventBytes: a page ends before the event that would exceed the bound, but not
// before the first one.
func eventBytes(e *env) {
	const stream = gotong.Stream("thread/a")
	for _, n := range []int{3000, 10, 10, 3000, 10} {
		e.next(Draft{Stream: stream, Events: 1, Body: strings.Repeat("x", n), RequestID: fmt.Sprint("r", e.head(stream).Seq)})
	}
	rows := e.events(store.EventRange{Stream: stream, To: 5})
	size := func(from, to int) (n int) {
		for i := from; i < to; i++ {
			n += len(rows[i].Data) + len(rows[i].Content)
		}
		return n
	}
	for _, tt := range []struct {
		most       int
		descending bool
		want       string
	}{
		{1, false, "[1]"},
		{size(0, 1), false, "[1]"},
		{size(0, 2) - 1, false, "[1]"},
		{size(0, 2), false, "[1 2]"},
		{size(0, 3), false, "[1 2 3]"},
		{size(0, 4) - 1, false, "[1 2 3]"},
		{size(0, 5), false, "[1 2 3 4 5]"},
		{1, true, "[5]"},
		{size(3, 5), true, "[5 4]"},
		{size(3, 5) - 1, true, "[5]"},
		{0, false, "[1 2 3 4 5]"},
	} {
		got := e.events(store.EventRange{Stream: stream, To: 5, MaxBytes: tt.most, Descending: tt.descending})
		if fmt.Sprint(seqs(got)) != tt.want {
			e.Errorf("at most %d bytes, descending %v: %v, want %s", tt.most, tt.descending, seqs(got), tt.want)
		}
	}
}

// bigPages: the bounds of one read hold, whatever limits it names.
func bigPages(e *env) {
	e.next(Draft{Stream: "thread/many", Events: 1100, Bare: true})
	for _, limit := range []int{0, 1000, 1001, 9999} {
		rows := e.events(store.EventRange{Stream: "thread/many", To: 2000, Limit: limit})
		equal(e, fmt.Sprint("rows at limit ", limit), len(rows), store.MaxRead)
	}
	big := Draft{Stream: "thread/big", Events: 5, Body: strings.Repeat("x", 300<<10)}
	e.next(big)
	for _, most := range []int{0, 1 << 20, 9 << 20} {
		rows := e.events(store.EventRange{Stream: "thread/big", To: 5, MaxBytes: most})
		equal(e, fmt.Sprint("rows at most bytes ", most), len(rows), 3)
	}
}

// keptExactly: any bytes come back as they were written.
func keptExactly(e *env) {
	for i, body := range []string{
		"", "\u0000", "quo\"te", "emoji 🧹 and \u202e marks", strings.Repeat("long ", 4000), "new\nline\ttab", "\u2028 <script>",
	} {
		c := e.m.Next(Draft{Stream: "thread/a", Events: 1, Body: body, Audience: "user/ü", Type: "message.posted"})
		e.must(c)
		rows := e.events(store.EventRange{Stream: "thread/a", From: uint64(i), To: uint64(i + 1)})
		want := c.Events[0]
		want.Position = rows[0].Position
		equal(e, "event", rows[0], want)
	}
	bare := e.m.Next(Draft{Stream: "thread/bare", Events: 1, Bare: true})
	e.must(bare)
	if rows := e.events(store.EventRange{Stream: "thread/bare", To: 1}); rows[0].Content != nil || rows[0].Erased {
		e.Errorf("no content came back as %q, erased %v", rows[0].Content, rows[0].Erased)
	}
}

func severalRanges(e *env) {
	e.next(Draft{Stream: "thread/a", Events: 3})
	e.next(Draft{Stream: "thread/b", Events: 2})
	snap := e.load(store.Need{Events: []store.EventRange{
		{Stream: "thread/b", To: 9}, {Stream: "thread/none", To: 9},
		{Stream: "thread/a", To: 9, Descending: true}, {Stream: "thread/b", From: 1, To: 2},
	}})
	if len(snap.Events) != 4 {
		e.Fatalf("%d ranges", len(snap.Events))
	}
	for i, want := range []string{"[1 2]", "[]", "[3 2 1]", "[2]"} {
		if got := fmt.Sprint(seqs(snap.Events[i])); got != want {
			e.Errorf("range %d: %s, want %s", i, got, want)
		}
	}
}

// manyStreams: one Load holds the heads, documents and registers of 200 streams,
// and a range of the documents and of the events of each.
func manyStreams(e *env) {
	const n = 200
	var need store.Need
	batch := make([]store.Commit, n)
	at := func(i int) (gotong.Stream, gotong.Key) {
		return gotong.NewStream("thread", fmt.Sprint(i)), gotong.Key{Collection: things, Owner: fmt.Sprint("o", i), Name: "x"}
	}
	for i := range n {
		stream, k := at(i)
		batch[i] = e.m.Next(Draft{Stream: stream, Events: 1 + i%3, Changes: []store.Change{{Key: k, Body: fmt.Appendf(nil, `{"n":%d}`, i)}}})
		if i%2 == 0 {
			e.set(k, 0, fmt.Sprintf(`{"r":%d}`, i), 0, true)
		}
		need.Heads, need.Documents, need.Registers = append(need.Heads, stream), append(need.Documents, k), append(need.Registers, k)
		need.Ranges = append(need.Ranges, store.KeyRange{Collection: things, Owner: k.Owner, To: "~", Limit: 50})
		need.Events = append(need.Events, store.EventRange{Stream: stream, To: math.MaxInt64, Descending: true, MaxBytes: 8 << 10})
	}
	e.must(batch...)
	snap := e.load(need)
	for i := range n {
		stream, k := at(i)
		body := fmt.Sprintf(`{"n":%d}`, i)
		_, registered := snap.Registers[k]
		events, rows := snap.Events[i], snap.Ranges[i]
		if len(events) != 1+i%3 || events[0].Stream != stream || snap.Heads[stream].Chain != events[0].Chain ||
			len(rows) != 1 || string(rows[0].Body) != body || string(snap.Documents[k]) != body || registered != (i%2 == 0) {
			e.Errorf("stream %d: %d events, documents %s and %s, registered %v", i, len(events), rows, snap.Documents[k], registered)
		}
	}
}

// findEvent: ids sort as seqs do, so an event can be found by halving.
func findEvent(e *env) {
	c := e.m.Next(Draft{Stream: "thread/a", Events: 37})
	e.must(c)
	for i := range c.Events {
		row, ok, err := store.FindEvent(e.ctx, e.s, "thread/a", c.Events[i].ID, 37)
		if err != nil || !ok || row.Seq != c.Events[i].Seq {
			e.Errorf("event %d: %d %v %v", i+1, row.Seq, ok, err)
		}
	}
	_, ok, err := store.FindEvent(e.ctx, e.s, "thread/a", gotong.NewEventID(c.Events[3].At, 1), 37)
	if ok || err != nil {
		e.Errorf("found what is not there: %v", err)
	}
}

// eraseContent: content and salt are gone, the commitment and the chain stay,
// and the request that brought the event can no longer be compared.
func eraseContent(e *env) {
	const stream = gotong.Stream("thread/a")
	first := e.m.Next(Draft{Stream: stream, Events: 3, Actor: "u7"})
	second := e.m.Next(Draft{Stream: stream, Events: 1})
	e.must(first, second)
	eraser := e.m.Next(Draft{Stream: stream, Events: 1, Erase: []uint64{2}, Bare: true})
	e.must(eraser)
	for range 2 { // erased content stays erased, also when it is erased again
		rows := e.events(store.EventRange{Stream: stream, To: 9})
		for i := range rows {
			if got, want := rows[i].Erased, rows[i].Seq == 2; got != want {
				e.Fatalf("event %d erased: %v", i+1, got)
			}
		}
		want := first.Events[1]
		want.Position, want.Erased, want.Content, want.ContentSalt = 1, true, nil, gotong.Salt{}
		equal(e, "erased event", rows[1], want)
		equal(e, "in its partition", e.partition(gotong.PartitionOf(stream), 0, 9, 9)[1], want)
		e.verifyStream(stream)
		equal(e, "commits", e.verifyStream(stream), uint64(len(rows)-2))
		if r, ok := e.record(first.Request); !ok || r.Salt != nil || r.Fingerprint != nil || r.First != 1 || r.Last != 3 {
			e.Errorf("record of the erased event's commit: %+v", r)
		}
		for _, c := range []store.Commit{second, eraser} {
			if r, ok := e.record(c.Request); !ok || r.Salt == nil || r.Fingerprint == nil {
				e.Errorf("record of another commit: %+v", r)
			}
		}
		out := e.commit(first)
		equal(e, "a retry", out[0].Status, store.Replayed)
		e.next(Draft{Stream: stream, Events: 1, Erase: []uint64{2}})
	}
}

// eraseNamed: a commit erases exactly the earlier events that its events name. Any
// other commit is malformed and leaves no trace.
func eraseNamed(e *env) {
	const stream = gotong.Stream("thread/a")
	e.next(Draft{Stream: stream, Events: 3, Bare: true})
	e.next(Draft{Stream: "thread/b", Events: 5})
	for name, d := range map[string]Draft{
		"none": {Erase: []uint64{0}}, "its own": {Erase: []uint64{4}}, "a later one": {Erase: []uint64{5}},
		"one of its own": {Events: 2, Erase: []uint64{4}}, "out of order": {Erase: []uint64{2, 1}}, "twice": {Erase: []uint64{2, 2}},
		"beyond all": {Erase: []uint64{math.MaxUint64}},
	} {
		d.Stream, d.Events = stream, max(d.Events, 1)
		e.malformed(name, e.m.Peek(d))
	}
	for name, erase := range map[string][]uint64{"not named": {1}, "more": {2, 3}, "others": {3}, "fewer": nil} {
		d := Draft{Stream: stream, Events: 1}
		if name != "not named" {
			d.Erase = []uint64{2}
		}
		c := e.m.Peek(d)
		c.Erase = erase
		e.malformed(name, c)
	}
	noop := e.m.Peek(Draft{Stream: stream})
	noop.Erase = []uint64{1}
	e.malformed("by a no-op", noop)
	e.next(Draft{Stream: stream, Events: 2, Erase: []uint64{1, 3}})
	rows := e.events(store.EventRange{Stream: stream, To: 9})
	for i, want := range []bool{true, false, true, false, false} {
		if rows[i].Erased != want || want && rows[i].Content != nil {
			e.Errorf("event %d: erased %v, content %q", i+1, rows[i].Erased, rows[i].Content)
		}
	}
	e.verifyStream(stream)
	for _, row := range e.events(store.EventRange{Stream: "thread/b", To: 9}) {
		if row.Erased {
			e.Errorf("event %d of another stream was erased", row.Seq)
		}
	}
}

// eraseRepeated: a request that is repeated in the batch which erases its event, or
// later, cannot be compared; one that is repeated before that can.
func eraseRepeated(e *env) {
	const stream = gotong.Stream("thread/a")
	old := e.m.Next(Draft{Stream: stream, Events: 1})
	e.must(old)
	own := e.m.Next(Draft{Stream: stream, Events: 1})
	eraser := e.m.Next(Draft{Stream: stream, Events: 1, Erase: []uint64{1, 2}})
	const committed, replayed = store.Committed, store.Replayed
	want := []store.Status{replayed, committed, replayed, committed, replayed, replayed, replayed}
	for i, o := range e.commit(old, own, own, eraser, old, own, eraser) {
		equal(e, fmt.Sprint("status of ", i), o.Status, want[i])
		if kept := o.Record.Salt != nil && o.Record.Fingerprint != nil; kept == (i == 4 || i == 5) {
			e.Errorf("record of %d: %+v", i, o.Record)
		}
	}
}

// eraseOwnFate: a commit that is not committed erases nothing.
func eraseOwnFate(e *env) {
	e.next(Draft{Stream: "thread/a", Events: 2})
	stale := e.m.Peek(Draft{Stream: "thread/a", Events: 1, Erase: []uint64{1}})
	e.next(Draft{Stream: "thread/a", Events: 1})
	equal(e, "status", e.commit(stale)[0].Status, store.Moved)
	for _, row := range e.events(store.EventRange{Stream: "thread/a", To: 9}) {
		if row.Erased || row.Content == nil {
			e.Errorf("event %d was erased", row.Seq)
		}
	}
}
