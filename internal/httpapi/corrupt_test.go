package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// A damaged event is not served and not passed over; what lies on either side
// of it is served.
func TestCorruptEventHidesNothingElse(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("private")
	for i := range 9 { // seq 2 to 10
		ani.say(th, fmt.Sprint("m", i+2))
	}
	w.store.Lose(gotong.Stream("thread/"+strings.TrimPrefix(th, "/v1/chat/threads/")), 6)
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
		budi.get(th+"/messages"+query).problem(404, gotong.CodeNotFound) // the code reveals nothing
	}
}

// A damaged event costs the name of the guest who came with it, and no other.
func TestADamagedEventCostsOneName(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("private")
	for i := range 7 { // seq 2 to 8
		ani.post(th+"/members", map[string]any{"user_id": fmt.Sprint("import:", i), "sent_at_ms": 1000, "sent_by": fmt.Sprint("Pak ", i)}).want(201)
	}
	named := func(want string) {
		t.Helper()
		got := ""
		for _, m := range ani.get(th + "/members").want(200).list() {
			if name, ok := strings.CutPrefix(fmt.Sprint(m["name"]), "Pak "); ok {
				got += name
			}
		}
		if got != want {
			t.Errorf("the guests with a name are %q, want %q", got, want)
		}
	}
	named("0123456")
	for _, lost := range []struct {
		seq  uint64
		left string
	}{{4, "013456"}, {2, "13456"}, {8, "1345"}} {
		w.store.Lose(gotong.Stream("thread/"+strings.TrimPrefix(th, "/v1/chat/threads/")), lost.seq)
		named(lost.left)
	}
}

// Each message but the damaged one is found by its id, and a request whose
// event is damaged says so when it is repeated.
func TestDamagedMessage(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("private")
	stream := gotong.Stream("thread/" + strings.TrimPrefix(th, "/v1/chat/threads/"))
	send := func(i int) *answer {
		return ani.post(th+"/messages/send", map[string]any{"body": fmt.Sprint("m", i)}, header{"Idempotency-Key", fmt.Sprint("k", i)})
	}
	const first, last = 2, 13
	var ids []string
	for i := first; i <= last; i++ {
		ids = append(ids, send(i).want(201).str("message_id"))
	}
	for damaged := uint64(last); damaged >= first; damaged -= 3 {
		w.store.Lose(stream, damaged)
	}
	for i := first; i <= last; i++ {
		if (last-i)%3 == 0 {
			ani.get(th+"/messages/"+ids[i-first]).problem(500, gotong.CodeCorruptEvent)
			send(i).problem(500, gotong.CodeCorruptEvent)
			continue
		}
		ani.get(th + "/messages/" + ids[i-first]).want(200)
		if again := send(i).want(201); again.str("message_id") != ids[i-first] {
			t.Errorf("message %d, sent again, is %s", i, again.body)
		}
	}
	ani.get(th+"/messages/"+gotong.NewEventID(1, 1).String()).problem(404, gotong.CodeNotFound)
}
