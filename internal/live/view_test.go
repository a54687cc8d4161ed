package live_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

func TestRead(t *testing.T) {
	w := newWorld(t)
	h := w.start()
	w.commit(h, r1, add("ann"))
	w.commit(h, r1, say("before"))
	w.commit(h, r1, add("bob"))
	w.commit(h, r1, say("4"), say("5"))
	w.commit(h, r1, whisper("ann", "6"))
	w.commit(h, r1, say("7"))
	w.commit(h, r1, edit(4, "four"))
	for _, tc := range []struct {
		name     string
		user     string
		q        view.Query
		want     []uint64
		from, to uint64
		done     bool
	}{
		{"all", "ann", view.Query{Limit: 50}, seqs(1, 8), 0, 8, true},
		{"from when he joined", "bob", view.Query{Limit: 50}, []uint64{3, 4, 5, 7, 8}, 0, 8, true},
		{"a page", "ann", view.Query{From: 2, Limit: 3}, seqs(3, 5), 2, 5, false},
		{"a page of what is hidden", "bob", view.Query{Limit: 2}, nil, 0, 2, false},
		{"up to", "ann", view.Query{From: 2, To: 4, Limit: 50}, seqs(3, 4), 2, 4, true},
		{"the newest", "ann", view.Query{Descending: true, Limit: 2}, []uint64{8, 7}, 6, 8, false},
		{"the newest down to", "bob", view.Query{From: 5, Descending: true, Limit: 50}, []uint64{8, 7}, 5, 8, true},
		{"before", "ann", view.Query{To: 5, Descending: true, Limit: 2}, []uint64{5, 4}, 3, 5, false},
		{"beyond", "ann", view.Query{From: 99, Limit: 2}, nil, 8, 8, true},
		{"none", "ann", view.Query{}, nil, 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.q.Stream = r1
			page, err := w.view(h).Read(t.Context(), reader(tc.user), tc.q)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, e := range page.Events {
				got = append(got, e.Seq)
				if text, ok := e.Content.(words); e.Seq == 4 && (!ok || text.Text != "four") {
					t.Errorf("event 4 says %v", e.Content)
				}
			}
			if !slices.Equal(got, tc.want) || page.From != tc.from || page.To != tc.to || page.Done != tc.done {
				t.Errorf("%v (%d, %d] %v, want %v (%d, %d] %v",
					got, page.From, page.To, page.Done, tc.want, tc.from, tc.to, tc.done)
			}
			if page.Head.Seq != 8 || page.Epoch != "test" || !page.Access.Readable {
				t.Errorf("%+v", page)
			}
		})
	}
}

// Documents and ranges come from the same snapshot and keep their order.
func TestReadMore(t *testing.T) {
	w := newWorld(t)
	h := w.start()
	w.commit(h, r1, add("ann"), add("bob"), say("x"))
	page, err := w.view(h).Read(t.Context(), reader("ann"), view.Query{Stream: r1, Limit: 10, More: store.Need{
		Documents: []gotong.Key{gotong.MemberKey(r1, "bob")},
		Ranges:    []store.KeyRange{{Collection: "room_members", Owner: "1", To: "~"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Snapshot.Ranges) != 1 || len(page.Snapshot.Ranges[0]) != 2 || len(page.Snapshot.Events) != 0 ||
		page.Snapshot.Documents[gotong.MemberKey(r1, "bob")] == nil || len(page.Events) != 3 {
		t.Errorf("%+v", page.Snapshot)
	}
}

// To whom a stream is not to be known it does not exist, whatever is asked.
func TestReadRefused(t *testing.T) {
	w := newWorld(t)
	h := w.start()
	w.commit(h, r1, add("ann"), add("bob"), remove("bob"))
	for _, q := range []view.Query{
		{Stream: r1}, {Stream: r1, Limit: 10}, {Stream: r1, MinSeq: 99}, {Stream: "room/2"}, {Stream: "room/2", MinSeq: 1},
		{Stream: "nope/1"},
	} {
		if _, err := w.view(h).Read(t.Context(), reader("bob"), q); !errors.Is(err, gotong.NotFound()) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestReadMinSeq(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"))
		began := time.Now()
		_, err := w.view(h).Read(t.Context(), reader("ann"), view.Query{Stream: r1, MinSeq: 2})
		if took := time.Since(began); gotong.CodeOf(err) != gotong.CodeNotYet || took != 5*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		go func() {
			pass(time.Second)
			w.commit(nil, r1, say("2"))
		}()
		began = time.Now()
		page, err := w.view(h).Read(t.Context(), reader("ann"), view.Query{Stream: r1, MinSeq: 2, Limit: 10})
		if err != nil || len(page.Events) != 2 || time.Since(began) > 2*time.Second { // this node is not told, and asks each second
			t.Errorf("%v %v after %v", page.Events, err, time.Since(began))
		}
	})
}
