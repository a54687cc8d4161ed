package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// faulty is a server whose storage fails on demand, a thread, and its owner's
// raw requests.
type faulty struct {
	*node
	t      *testing.T
	store  *storetest.Faulty
	http   *http.Client
	thread client.Thread
	events chan client.Event // to somebody who follows
}

func newFaulty(t *testing.T, change ...func(*app.Options)) *faulty {
	t.Helper()
	f := &faulty{t: t, events: make(chan client.Event, 100)}
	f.node = startNode(t, append(change, func(o *app.Options) {
		o.Wrap = func(s store.Whole) store.Whole { f.store = storetest.NewFaulty(s); return f.store }
	})...)
	f.http = new(tap).http(t)
	f.thread, _ = makeThread(t, f.url, "owner", client.NewThread{ScopeID: "rt05", Privacy: "private"}, "ann")
	conn := connect(t, dial(t, f.url, "ann", client.WebSocket), client.ConnOptions{
		Handle: func(e client.Event) error { f.events <- e; return nil },
	})
	if err := conn.Subscribe(f.thread.Stream(), client.Start); err != nil {
		t.Fatal(err)
	}
	f.next("thread.created")
	f.next("member.added")
	return f
}

// next is the next event that the follower gets.
func (f *faulty) next(typ string) client.Event {
	f.t.Helper()
	select {
	case e := <-f.events:
		if e.Type != typ {
			f.t.Errorf("the follower got %s, not %s", e.Type, typ)
		}
		return e
	case <-f.t.Context().Done():
		f.t.Fatal("no event came")
		return client.Event{}
	}
}

func (f *faulty) send(key, body string) answer {
	f.t.Helper()
	return must(rest(f.t.Context(), f.http, f.url, "owner", http.MethodPost, "/v1/chat/threads/"+f.thread.ThreadID+"/messages/send",
		encode(map[string]string{"body": body}), "Idempotency-Key", key))(f.t)
}

// read is the bodies of the thread's messages.
func (f *faulty) read() string {
	f.t.Helper()
	list, err := dial(f.t, f.url, "ann").Messages(f.t.Context(), f.thread.ThreadID, client.Range{})
	if err != nil {
		f.t.Errorf("reading: %v", err)
	}
	var bodies []string
	for _, m := range list.Items {
		bodies = append(bodies, m.Body)
	}
	return strings.Join(bodies, ",")
}

func (a answer) want(t *testing.T, status int, code gotong.Code) answer {
	t.Helper()
	if a.status != status || a.str("code") != string(code) {
		t.Errorf("answered %s, not with %d %s", a, status, code)
	}
	return a
}

// TestStorageFull: without room a write is 507 and nothing of it is there;
// reads and followers go on; writes resume by themselves.
func TestStorageFull(t *testing.T) {
	f := newFaulty(t)
	f.send("k-1", "one").want(t, http.StatusCreated, "")
	f.next("message.posted")
	for i := range 5 {
		f.store.Fail(storetest.OpCommit, i+1, fmt.Errorf("a test: %w", store.ErrFull))
	}
	for range 5 {
		a := f.send("k-2", "two").want(t, http.StatusInsufficientStorage, gotong.CodeStorageFull)
		if a.header.Get("Retry-After") == "" {
			t.Error("507 does not say when to come again")
		}
		if got := f.read(); got != "one" {
			t.Errorf("while storage is full, %q is read", got)
		}
	}
	if a := f.send("k-2", "two").want(t, http.StatusCreated, ""); a.header.Get("Idempotency-Replayed") != "" {
		t.Error("what was refused for lack of room is said to have been there")
	}
	if e := f.next("message.posted"); !strings.Contains(string(e.Data), "two") {
		t.Errorf("the follower got %s", e.Data)
	}
	if err := f.end(); err != nil {
		t.Fatal(err)
	}
	if n := len(readLog(t, f.dir).streams[f.thread.Stream()]); n != 4 {
		t.Errorf("%d events in the log, not 4", n)
	}
}

// TestAnswerLost: the commit took effect and nobody learned of it. The same
// request id tells, and there is one event.
func TestAnswerLost(t *testing.T) {
	f := newFaulty(t)
	f.store.FailAfter(storetest.OpCommit, 1, errors.New("a test: the answer was lost"))
	first := f.send("k-1", "one")
	if first.status != http.StatusServiceUnavailable && first.status != http.StatusCreated {
		t.Errorf("answered %s", first)
	}
	again := f.send("k-1", "one").want(t, http.StatusCreated, "")
	if again.header.Get("Idempotency-Replayed") != "true" {
		t.Error("repeated, it is said to be new")
	}
	if e := f.next("message.posted"); e.ID.String() != again.str("message_id") {
		t.Errorf("the follower got %s", e.ID)
	}
	f.send("k-2", "two").want(t, http.StatusCreated, "")
	f.next("message.posted")
	if got := f.read(); got != "one,two" {
		t.Errorf("%q is read", got)
	}
}

// TestStorageFailed: after the first fault at a commit nothing is accepted any
// more, the server ends with an error, and the next start goes on from what
// was acknowledged.
func TestStorageFailed(t *testing.T) {
	f := newFaulty(t)
	f.send("k-1", "one").want(t, http.StatusCreated, "")
	f.next("message.posted")
	for i := range 1000 {
		f.store.Fail(storetest.OpCommit, i+1, fmt.Errorf("a test: %w", store.ErrFailed))
	}
	f.send("k-2", "two").want(t, http.StatusServiceUnavailable, gotong.CodeStorageFailed)
	if err := <-f.done; !errors.Is(err, store.ErrFailed) || !strings.Contains(err.Error(), "a test") {
		t.Errorf("the server does not say what it ended of: %v", err)
	}
	f.once.Do(f.stop)
	log := readLog(t, f.dir)
	rows := log.streams[f.thread.Stream()]
	if len(rows) != 3 || payloadBody(t, &rows[2]) != "one" {
		t.Errorf("%d events in the log", len(rows))
	}
}
