package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	hooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/webhook"
)

// hooksEnv makes a child wait for receivers a thousandth of the time.
const hooksEnv = "GOTONG_E2E_HOOKS"

// asker makes the requests of these tests.
var asker = &http.Client{Timeout: patience}

func quickHooks() app.HookWaits {
	quick := app.HookWaits{Timeout: 250 * time.Millisecond}
	for _, d := range webhook.Waits {
		quick.Waits = append(quick.Waits, d/1000)
	}
	return quick
}

// got is one request that a receiver got.
type got struct {
	id, body, stream string
	seq              uint64
	event            webhook.Event
	replay           bool
}

// receiver is a server of somebody else. answer decides on a status, and is called
// while the request waits; 0 cuts the connection after the event was kept.
type receiver struct {
	tb     testing.TB
	url    string
	answer func(g got) int

	mu     sync.Mutex
	secret string
	all    []got
	bad    int // requests with a wrong signature
	more   chan struct{}
}

func newReceiver(tb testing.TB, answer func(got) int) *receiver {
	tb.Helper()
	r := &receiver{tb: tb, answer: answer, more: make(chan struct{}, 1)}
	s := httptest.NewServer(r)
	tb.Cleanup(s.Close)
	r.url = s.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	g := got{id: req.Header.Get("Webhook-Id"), body: string(body)}
	var data webhook.Data
	g.event.Data = &data
	err = json.Unmarshal(body, &g.event)
	g.stream, g.seq, g.replay = string(data.Stream), data.Seq, g.event.Replay
	r.mu.Lock()
	hook, err2 := hooks.NewWebhook(r.secret)
	r.mu.Unlock()
	if err != nil || err2 != nil || hook.VerifyIgnoringTimestamp(body, req.Header) != nil { // some servers have a clock that is far ahead
		r.mu.Lock()
		r.bad++
		r.mu.Unlock()
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(g)
	}
	if status == 0 || status < 300 {
		r.mu.Lock()
		r.all = append(r.all, g)
		r.mu.Unlock()
		select {
		case r.more <- struct{}{}:
		default:
		}
	}
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
}

// until waits until what was received is as wanted, as long as something arrives.
func (r *receiver) until(what string, ok func([]got) bool) []got {
	r.tb.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		r.mu.Lock()
		all := slices.Clone(r.all)
		r.mu.Unlock()
		if ok(all) {
			return all
		}
		select {
		case <-r.more:
			late.Reset(patience)
		case <-late.C:
			r.tb.Fatalf("%s: got %d: %v", what, len(all), all)
		}
	}
}

// demand makes a request that must be answered with this status.
func demand(tb testing.TB, url, user, method, path, body string, want int) answer {
	tb.Helper()
	a, err := rest(tb.Context(), asker, url, user, method, path, body)
	if err != nil || a.status != want {
		tb.Fatalf("%s %s: %s %v, want %d", method, path, a, err, want)
	}
	return a
}

// eventually waits for what a sender or a reader does on its own, a little later: it
// asks until the answer is as wanted, and shows the last one where it never is.
func eventually[T any](tb testing.TB, what string, get func() T, ok func(T) bool) T {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	for {
		got := get()
		if ok(got) {
			return got
		}
		if !lull(ctx, 20) {
			tb.Fatalf("not yet: %s: %v", what, got)
		}
	}
}

// register makes a group of the user, if it has none, and a webhook in it.
func register(tb testing.TB, url, user, group string, r *receiver, more string) (hook, inGroup string) {
	tb.Helper()
	if group == "" {
		group = demand(tb, url, user, "POST", "/v1/groups", `{"name":"RT 05","entity_type":"kelompok","join_policy":"terbuka"}`, 201).str("group_id")
	}
	r.mu.Lock() // a request that comes before the answer waits for the secret
	defer r.mu.Unlock()
	a := demand(tb, url, user, "POST", "/v1/webhooks", fmt.Sprintf(`{"scope_id":%q,"url":%q%s}`, group, r.url, more), 201)
	r.secret = a.str("secret")
	return a.str("webhook_id"), group
}

// becomes waits until a webhook has this in a field.
func becomes(tb testing.TB, url, user, hook, field, want string) {
	tb.Helper()
	eventually(tb, want, func() answer { return demand(tb, url, user, "GET", "/v1/webhooks/"+hook, "", 200) },
		func(a answer) bool { return a.str(field) == want })
}

// skip skips the event that a webhook's receiver rejected, once the sender has written
// that its stream waits.
func skip(tb testing.TB, url, user, hook, stream string) {
	tb.Helper()
	eventually(tb, stream+" waits", func() answer {
		return must(rest(tb.Context(), asker, url, user, "POST", "/v1/webhooks/"+hook+"/skip", `{"stream":"`+stream+`"}`))(tb)
	}, func(a answer) bool { return a.status == http.StatusOK })
}

// speak posts a message.
func speak(tb testing.TB, url, user, thread, text string) {
	tb.Helper()
	demand(tb, url, user, "POST", "/v1/chat/threads/"+thread+"/messages/send", fmt.Sprintf(`{"body":%q}`, text), 201)
}

// texts are the bodies of the messages that were received, in order.
func texts(all []got) (list []string) {
	for _, g := range all {
		var e struct {
			Data struct {
				Content struct {
					Body string `json:"body"`
				} `json:"content"`
			} `json:"data"`
		}
		if json.Unmarshal([]byte(g.body), &e) == nil && e.Data.Content.Body != "" {
			list = append(list, e.Data.Content.Body)
		}
	}
	return list
}

func has(text string) func([]got) bool {
	return func(all []got) bool { return slices.Contains(texts(all), text) }
}

// TestWebhookGetsWhatItsPlaceShows goes through the life of one webhook.
func TestWebhookGetsWhatItsPlaceShows(t *testing.T) {
	n := startNode(t)
	r := newReceiver(t, nil)
	hook, group := register(t, n.url, "ann", "", r, "")
	ann := dial(t, n.url, "ann", client.WebSocket)
	thread := func(privacy string) client.Thread {
		return must(ann.CreateThread(t.Context(), client.NewThread{ScopeID: group, Privacy: privacy}))(t)
	}
	say := func(th client.Thread, text string) { speak(t, n.url, "ann", th.ThreadID, text) }
	open, inner, outside := thread("public"), thread("private"), must(ann.CreateThread(t.Context(), client.NewThread{ScopeID: "rt05", Privacy: "public"}))(t)

	say(outside, "canary outside")
	say(inner, "canary inner")
	say(open, "one")
	r.until("a public thread", has("one"))
	demand(t, n.url, "bob", "PUT", "/v1/chat/threads/"+inner.ThreadID+"/webhooks/"+hook, "", 404)
	demand(t, n.url, "ann", "PUT", "/v1/chat/threads/"+inner.ThreadID+"/webhooks/"+hook, "", 200)
	say(inner, "two")
	r.until("a private thread that admits it", has("two"))
	demand(t, n.url, "ann", "DELETE", "/v1/chat/threads/"+inner.ThreadID+"/members/"+hook, "", 200)
	say(inner, "canary removed")
	say(open, "three")
	all := r.until("after the removal", has("three"))

	demand(t, n.url, "ann", "POST", "/v1/webhooks/"+hook+"/rotate", "", 200) // both secrets sign
	say(open, "four")
	r.until("after a rotation", has("four"))
	demand(t, n.url, "ann", "DELETE", "/v1/webhooks/"+hook, "", 200)
	say(open, "canary ended")
	second := newReceiver(t, nil)
	register(t, n.url, "ann", group, second, "")
	say(open, "five")
	second.until("another webhook", has("five"))
	if got := r.until("", func([]got) bool { return true }); strings.Contains(fmt.Sprint(texts(got), texts(second.all)), "canary") || len(texts(second.all)) != 1 {
		t.Errorf("received %v and %v", texts(got), texts(second.all))
	}
	if first := all[0]; first.event.SpecVersion != "1.0" || first.event.ID != first.id || !strings.HasPrefix(first.event.Type, "gotong.") {
		t.Errorf("no CloudEvent: %s", first.body)
	}
	if r.bad != 0 {
		t.Errorf("%d wrong signatures", r.bad)
	}
}
