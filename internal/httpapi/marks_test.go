package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"gotong.dev/gotong"
)

// A mark keeps the record of its key (contract I3 to I6).
func TestARepeatedMarkGetsTheFirstAnswer(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	var ids []string
	for i := range 3 {
		ids = append(ids, ani.say(th, fmt.Sprint(i)).str("message_id"))
	}
	mark := func(p *person, id, k string) *answer {
		return p.post(th+"/read-cursor", map[string]any{"message_id": id}, key(k))
	}
	first := mark(budi, ids[0], "k").want(200)
	if first.header.Get("Idempotency-Replayed") != "" {
		t.Error("the first answer says it is replayed")
	}
	moved := mark(budi, ids[2], "k2").want(200)
	same := func(name string, was, again *answer) {
		t.Helper()
		if !slices.Equal(was.body, again.want(200).body) || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %s\n%s %v", name, was.body, again.body, again.header)
		}
	}
	same("after it moved on", first, mark(budi, ids[0], "k"))
	mark(budi, ids[1], "k").problem(422, gotong.CodeReused)
	if a := mark(ani, ids[1], "k").want(200); a.num("n") != 2 || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("another user's equal key: %s %v", a.body, a.header)
	}
	back := mark(budi, ids[0], "k3").want(200)
	if back.num("n") != 3 {
		t.Errorf("it moved back: %s", back.body)
	}
	same("that changed nothing", back, mark(budi, ids[0], "k3"))
	// Without a key it is one try, and pushes no record out.
	for range 20 {
		budi.post(th+"/read-cursor", map[string]any{"message_id": ids[2]}).want(200)
	}
	same("after many without a key", first, mark(budi, ids[0], "k"))
	ani.do(http.MethodDelete, th+"/members/"+budi.id, nil).want(200)
	same("of who may not read any more", moved, mark(budi, ids[2], "k2"))
	mark(budi, ids[2], "k4").problem(404, gotong.CodeNotFound)
}

// The last eight keys of a user in a thread are kept, not more.
func TestAMarkKeepsTheLast8Keys(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	id := ani.say(th, "x").str("message_id")
	mark := func(k string) string {
		a := ani.post(th+"/read-cursor", map[string]any{"message_id": id}, key(k)).want(200)
		return a.header.Get("Idempotency-Replayed")
	}
	for i := range 9 {
		mark(fmt.Sprint("k", i))
	}
	if mark("k1") != "true" || mark("k8") != "true" || mark("k0") != "" {
		t.Error("not the last eight keys are kept")
	}
}

// Of equal marks at the same time one takes effect and all get its answer.
func TestOfEqualMarksOneTakesEffect(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	id := ani.say(th, "x").str("message_id")
	answers := make([]*answer, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i] = w.send(http.MethodPost, th+"/read-cursor", `{"message_id":"`+id+`"}`,
				[]header{key("k"), {"Authorization", "Bearer " + ani.token}})
		})
	}
	wg.Wait()
	fresh := 0
	for _, a := range answers {
		if a.code != http.StatusOK || !slices.Equal(a.body, answers[0].body) {
			t.Errorf("%d %s, want %s", a.code, a.body, answers[0].body)
		}
		if a.header.Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}
	if fresh != 1 {
		t.Errorf("%d of the answers are the first", fresh)
	}
}
