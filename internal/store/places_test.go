package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// order is two streams of one partition, as commits of a stream and how many
// events each has.
type order struct {
	store.Committer
	rows  map[gotong.Stream][]store.Event
	loads int
}

const (
	read  = gotong.Stream("thread/t")
	other = gotong.Stream("group/g")
)

func (o *order) commit(s gotong.Stream, position uint64, events int) {
	for range events {
		seq := uint64(len(o.rows[s]) + 1)
		o.rows[s] = append(o.rows[s], store.Event{Stream: s, Seq: seq, Position: position, Count: seq - seq/3})
	}
}

func (o *order) Load(_ context.Context, need store.Need) (store.Snapshot, error) {
	o.loads++
	snap := store.Snapshot{Heads: map[gotong.Stream]gotong.Head{}}
	for _, s := range need.Heads {
		snap.Heads[s] = gotong.Head{Seq: uint64(len(o.rows[s]))}
	}
	for _, r := range need.Events {
		rows := o.rows[r.Stream]
		end := min(r.To, uint64(len(rows)))
		snap.Events = append(snap.Events, rows[min(r.From, end):end])
	}
	return snap, nil
}

// first walks the log: the seq of the first event of the stream that is read at
// or beyond the position of an event.
func (o *order) first(s gotong.Stream, seq uint64) uint64 {
	at := o.rows[s][seq-1].Position
	first := uint64(1)
	for _, e := range o.rows[read] {
		if e.Position < at {
			first = e.Seq + 1
		}
	}
	return first
}

// TestPlacesAreThoseOfAWalkOverTheLog: stretches in any order of commits of one or more events begin and
// end where a walk over the log finds it, also those that begin after the last
// event, and an end is looked up once, however the log grows.
func TestPlacesAreThoseOfAWalkOverTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &order{rows: map[gotong.Stream][]store.Event{}}
		o.commit(other, 1, 1)
		o.commit(read, 2, 1)
		n := rapid.IntRange(0, 40).Draw(t, "commits")
		for position := range n {
			s := rapid.SampledFrom([]gotong.Stream{read, other}).Draw(t, "stream")
			o.commit(s, uint64(position)+3, rapid.IntRange(1, 3).Draw(t, "events"))
		}
		end := func() (gotong.Stream, uint64) {
			s := rapid.SampledFrom([]gotong.Stream{read, other}).Draw(t, "of")
			return s, rapid.Uint64Range(0, uint64(len(o.rows[s]))).Draw(t, "seq")
		}
		var grants []gotong.Grant
		var want [][]gotong.Interval
		for range rapid.IntRange(1, 300).Draw(t, "viewers") {
			s, from := end()
			to := rapid.Uint64Range(0, uint64(len(o.rows[s]))).Draw(t, "to")
			grants = append(grants, gotong.Grant{Readable: true, Spans: []gotong.Span{{Stream: s, From: from, To: to}}})
			var v gotong.Interval
			if from > 0 {
				v.From = o.first(s, from)
			}
			if to > 0 {
				v.To = o.first(s, to)
			}
			if v.To > 0 && v.To <= v.From {
				want = append(want, nil) // nothing of the stream lies in between
			} else {
				want = append(want, []gotong.Interval{v})
			}
		}
		var places store.Places
		for round := range 2 {
			got, err := places.Resolve(context.Background(), o, read, make([]gotong.Viewer, len(grants)), grants)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if !slices.Equal(got[i].Visible, want[i]) {
					t.Fatalf("%+v is %+v, want %+v", grants[i].Spans, got[i].Visible, want[i])
				}
			}
			if round > 0 && o.loads > 0 {
				t.Fatalf("%d reads for what was known", o.loads)
			}
			o.commit(read, uint64(n)+3, 2)
			o.loads = 0
		}
	})
}

// TestPlacesOfManyStreamsShareTheirReads: the places of any streams are found together, with
// one read for each halving, and each with the stream's count before it.
func TestPlacesOfManyStreamsShareTheirReads(t *testing.T) {
	o := &order{rows: map[gotong.Stream][]store.Event{}}
	o.commit(other, 1, 1)
	streams := make([]gotong.Stream, 50)
	for i := range streams {
		streams[i] = gotong.NewStream("thread", fmt.Sprint(i))
		o.commit(streams[i], 2, i%4)
	}
	o.commit(other, 3, 1)
	for _, s := range streams {
		o.commit(s, 4, 2)
	}
	var asked []store.Place
	for _, s := range streams {
		asked = append(asked, store.Place{Stream: s, Other: other, Seq: 1}, store.Place{Stream: s, Other: other, Seq: 2}, store.Place{Stream: s, Other: s, Seq: 2})
	}
	var places store.Places
	found, err := places.Find(t.Context(), o, asked)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range streams {
		n := uint64(i % 4)
		for _, tt := range []struct {
			other gotong.Stream
			seq   uint64
			want  store.Spot
		}{{other, 1, store.Spot{Seq: 1}}, {other, 2, store.Spot{Seq: n + 1, Count: n - n/3}}} {
			if got := found[store.Place{Stream: s, Other: tt.other, Seq: tt.seq}]; got != tt.want {
				t.Errorf("event %d of %s in %s: %+v, want %+v", tt.seq, tt.other, s, got, tt.want)
			}
		}
		own := found[store.Place{Stream: s, Other: s, Seq: 2}]
		if want := (store.Spot{Seq: 2, Count: 1}); n == 1 && own != want || n != 1 && own != (store.Spot{Seq: 1}) {
			t.Errorf("event 2 of %s: %+v", s, own)
		}
	}
	if o.loads > 4 {
		t.Errorf("%d reads for %d places, want one for their events and one for each of 3 halvings", o.loads, len(asked))
	}
}

func TestPlaceOfAMissingEventIsDamage(t *testing.T) {
	o := &order{rows: map[gotong.Stream][]store.Event{}}
	o.commit(read, 1, 1)
	var places store.Places
	_, err := places.Resolve(t.Context(), o, read, make([]gotong.Viewer, 1),
		[]gotong.Grant{{Spans: []gotong.Span{{Stream: other, From: 1}}}})
	if !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("got %v", err)
	}
}
