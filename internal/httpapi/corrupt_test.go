package httpapi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// rotten is a store in which one event does not match its commitments.
type rotten struct {
	*memory.Store
	stream gotong.Stream // none where it is empty; set while nothing reads
	seq    uint64
}

func (r *rotten) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := r.Store.Load(ctx, need)
	for _, rows := range snap.Events {
		for i := range rows {
			if rows[i].Stream == r.stream && rows[i].Seq == r.seq {
				return store.Snapshot{}, store.ErrCorrupt
			}
		}
	}
	return snap, err
}

// A damaged event is not served and not passed over; what lies on either side
// of it is served.
func TestCorruptEventHidesNothingElse(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("private")
	for i := range 9 { // seq 2 to 10
		ani.say(th, fmt.Sprint("m", i+2))
	}
	w.rotten.stream, w.rotten.seq = gotong.Stream("thread/"+strings.TrimPrefix(th, "/v1/chat/threads/")), 6
	for _, tc := range []struct {
		query, want, next string
	}{
		{"", "m7 m8 m9 m10", "k3f9:7"},
		{"?limit=2", "m9 m10", "k3f9:9"},
		{"?after_seq=k3f9:0", "m2 m3 m4 m5", "k3f9:5"},
		{"?after_seq=k3f9:4", "m5", "k3f9:5"},
		{"?after_seq=k3f9:6", "m7 m8 m9 m10", "k3f9:10"},
		{"?before_seq=k3f9:9", "m7 m8", "k3f9:7"},
		{"?before_seq=k3f9:6", "m2 m3 m4 m5", "k3f9:1"},
	} {
		a := ani.get(th + "/messages" + tc.query).want(200)
		var got []string
		for _, m := range a.list() {
			got = append(got, m["body"].(string))
		}
		more := !strings.Contains(tc.query, ":6")
		if strings.Join(got, " ") != tc.want || a.header.Get("X-Next-Seq") != tc.next || (a.header.Get("X-Has-More") == "true") != more {
			t.Errorf("%s: got %v, next %s, more %s", tc.query, got, a.header.Get("X-Next-Seq"), a.header.Get("X-Has-More"))
		}
	}
	for _, query := range []string{"?after_seq=k3f9:5", "?before_seq=k3f9:7"} {
		a := ani.get(th+"/messages"+query).problem(500, gotong.CodeCorruptEvent)
		if !strings.Contains(a.str("detail"), "Event 6 ") {
			t.Errorf("%s: does not say which: %s", query, a.body)
		}
		budi.get(th+"/messages"+query).problem(404, gotong.CodeNotFound) // is told nothing
	}
}
