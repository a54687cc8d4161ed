package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// twin is one of several equal requests: how it was answered, in the words
// that both transports share.
type twin struct {
	status   int
	id       string
	seq      string
	replayed bool
}

// receipt is an ack or an error frame.
type receipt struct {
	Op      string `json:"op"`
	ID      string `json:"id"`
	Receipt struct {
		Seq      []uint64 `json:"seq"`
		EventIDs []string `json:"event_ids"`
		Chain    string   `json:"chain"`
		Replayed bool     `json:"replayed"`
	} `json:"receipt"`
	Problem struct {
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"problem"`
}

// ask sends a command and waits for its answer, past everything else.
func ask(ctx context.Context, ws *line, stream gotong.Stream, typ, requestID, data string) (receipt, error) {
	var r receipt
	err := tell(ctx, ws, map[string]any{
		"op": "command", "id": "1", "request_id": requestID, "stream": stream, "type": typ, "data": json.RawMessage(data),
	})
	for err == nil && r.Op != "ack" && r.Op != "error" {
		var b []byte
		if _, b, err = ws.Read(ctx); err == nil {
			err = json.Unmarshal(b, &r)
		}
	}
	return r, err
}

// pairOf is the same command over REST and over WebSocket.
type pairOf struct {
	t      *testing.T
	url    string
	user   string
	http   *http.Client
	socket *line
}

func newPair(t *testing.T, url, user string) *pairOf {
	t.Helper()
	h := new(tap).http(t)
	p := &pairOf{t, url, user, h, socket(t.Context(), t, h, url, user)}
	t.Cleanup(func() { _ = p.socket.CloseNow() })
	return p
}

func (p *pairOf) rest(method, path, body, key string) answer {
	p.t.Helper()
	a, err := rest(p.t.Context(), p.http, p.url, p.user, method, path, body, "Idempotency-Key", key)
	if err != nil {
		p.t.Error(err)
	}
	return a
}

func (p *pairOf) post(th client.Thread, body, key string, overWS bool) twin {
	p.t.Helper()
	data := encode(map[string]string{"body": body})
	if !overWS {
		a := p.rest(http.MethodPost, "/v1/chat/threads/"+th.ThreadID+"/messages/send", data, key)
		return twin{a.status, a.str("message_id"), a.str("seq"), a.header.Get("Idempotency-Replayed") == "true"}
	}
	r, err := ask(p.t.Context(), p.socket, th.Stream(), "message.post", key, data)
	switch {
	case err != nil:
		p.t.Error(err)
		return twin{}
	case r.Op == "error":
		return twin{status: r.Problem.Status}
	}
	return twin{http.StatusCreated, r.Receipt.EventIDs[0], fmt.Sprint(r.Receipt.Seq[0]), r.Receipt.Replayed}
}

// TestTwins sends equal requests at once, over both transports: one event, and
// the same answer for all of them.
func TestTwins(t *testing.T) {
	const twins = 64
	n := startNode(t)
	th, _ := makeThread(t, n.url, "owner", client.NewThread{ScopeID: "rt05", Privacy: "private"}, "ann", "bob")
	pairs := make([]*pairOf, twins)
	for i := range pairs {
		pairs[i] = newPair(t, n.url, "ann")
	}
	bob := newPair(t, n.url, "bob")
	for round := range size(20, 5) {
		key, body := fmt.Sprint("twin-", round), fmt.Sprint("words of round ", round)
		answers := make([]twin, twins)
		start := make(chan struct{})
		var group sync.WaitGroup
		for i, p := range pairs {
			group.Go(func() {
				<-start
				answers[i] = p.post(th, body, key, i%2 == 0)
			})
		}
		close(start)
		group.Wait()
		checkTwins(t, answers)
		for _, overWS := range []bool{true, false} {
			if a := pairs[0].post(th, "other words", key, overWS); a.status != http.StatusUnprocessableEntity || a.id != "" {
				t.Errorf("the key with another body, over WebSocket %v: %+v", overWS, a)
			}
		}
		if a := bob.post(th, body, key, round%2 == 0); a.status != http.StatusCreated || a.id == answers[0].id || a.replayed {
			t.Errorf("another actor's equal key: %+v beside %+v", a, answers[0])
		}
	}
	if err := n.end(); err != nil {
		t.Fatal(err)
	}
	log := readLog(t, n.dir)
	for round := range size(20, 5) {
		for _, actor := range []string{"ann", "bob"} {
			key := gotong.RequestKey{Stream: th.Stream(), Actor: actor, RequestID: fmt.Sprint("twin-", round)}
			if e := log.requests[key]; len(e) != 1 {
				t.Errorf("%+v made %d events", key, len(e))
			}
		}
	}
}

// checkTwins: one of them was the first, and all got what it got.
func checkTwins(t *testing.T, answers []twin) {
	t.Helper()
	firsts := 0
	for _, a := range answers {
		if !a.replayed {
			firsts++
		}
		a.replayed = answers[0].replayed
		if a != answers[0] || a.status != http.StatusCreated || a.id == "" {
			t.Errorf("%+v beside %+v", a, answers[0])
		}
	}
	if firsts != 1 {
		t.Errorf("%d of %d answers say that they are the first", firsts, len(answers))
	}
}

// TestRetriedLeaveAndNoOp repeats requests after the state has moved on: they
// are answered as the first time and change nothing.
func TestRetriedLeaveAndNoOp(t *testing.T) {
	n := startNode(t)
	th, stream := makeThread(t, n.url, "owner", client.NewThread{ScopeID: "rt05", Privacy: "public"})
	ann := newPair(t, n.url, "ann")
	path := "/v1/chat/threads/" + th.ThreadID
	seq := func() uint64 { return must(dial(t, n.url, "owner").Thread(t.Context(), th.ThreadID))(t).Seq }
	wire := [3]string{"k-ws-noop", "k-ws-leave", "k-ws-leave-noop"}
	steps := []struct{ name, method, path, key string }{
		{"join", http.MethodPost, path + "/join", "k-join"},
		{"join again, a no-op", http.MethodPost, path + "/join", "k-noop"},
		{"leave", http.MethodPost, path + "/leave", "k-leave"},
		{"leave again, a no-op", http.MethodPost, path + "/leave", "k-leave-noop"},
		{"join anew", http.MethodPost, path + "/join", "k-rejoin"},
	}
	first := map[string]answer{}
	for _, s := range steps {
		a := ann.rest(s.method, s.path, "", s.key)
		if a.status != http.StatusOK || a.header.Get("Idempotency-Replayed") != "" {
			t.Fatalf("%s: %s", s.name, a)
		}
		first[s.key] = a
		if s.key == "k-join" { // at once, and later again
			sameAnswer(t, s.name, a, ann.rest(s.method, s.path, "", s.key))
		}
	}
	acks := map[string]receipt{}
	overSocket := func(typ, key string) receipt {
		r, err := ask(t.Context(), ann.socket, stream, typ, key, "{}")
		if err != nil || r.Op != "ack" {
			t.Fatalf("%s: %+v %v", typ, r, err)
		}
		return r
	}
	acks[wire[0]] = overSocket("thread.join", wire[0]) // a no-op: joined above
	acks[wire[1]] = overSocket("thread.leave", wire[1])
	acks[wire[2]] = overSocket("thread.leave", wire[2]) // a no-op
	before := seq()
	for _, s := range steps {
		sameAnswer(t, s.name, first[s.key], ann.rest(s.method, s.path, "", s.key))
	}
	for i, typ := range []string{"thread.join", "thread.leave", "thread.leave"} {
		was, again := acks[wire[i]], overSocket(typ, wire[i])
		if !again.Receipt.Replayed || was.Receipt.Replayed {
			t.Errorf("%s over WebSocket: replayed %v, then %v", typ, was.Receipt.Replayed, again.Receipt.Replayed)
		}
		again.Receipt.Replayed = false
		if encode(was) != encode(again) {
			t.Errorf("%s over WebSocket was %s, and again %s", typ, encode(was), encode(again))
		}
	}
	if after := seq(); after != before {
		t.Errorf("repeating moved the thread from %d to %d", before, after)
	}
}

func sameAnswer(t *testing.T, name string, was, again answer) {
	t.Helper()
	if again.header.Get("Idempotency-Replayed") != "true" || was.status != again.status || !bytes.Equal(was.body, again.body) {
		t.Errorf("%s was %s, and again (replayed %q) %s", name, was, again.header.Get("Idempotency-Replayed"), again)
	}
}
