package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
)

// threads makes public threads in a group of the user.
func threads(tb testing.TB, url, user, group string, n int) (ids []string) {
	tb.Helper()
	c := dial(tb, url, user, client.WebSocket)
	for range n {
		ids = append(ids, must(c.CreateThread(tb.Context(), client.NewThread{ScopeID: group, Privacy: "public"}))(tb).ThreadID)
	}
	return ids
}

// TestRejectedEventWaitsAloneAndIsReplayed: an event that the receiver rejects stops
// its stream alone, until it is skipped; it is a dead letter, and a replay sends it
// under its old id.
func TestRejectedEventWaitsAloneAndIsReplayed(t *testing.T) {
	n := startNode(t)
	var accepts atomic.Bool
	rejected := make(chan struct{}, 64)
	r := newReceiver(t, func(g got) int {
		if strings.Contains(g.body, "poison") && !accepts.Load() {
			rejected <- struct{}{}
			return http.StatusUnprocessableEntity
		}
		return http.StatusNoContent
	})
	hook, group := register(t, n.url, "ann", "", r, `,"types":["message.posted"]`)
	in := threads(t, n.url, "ann", group, 2)
	speak(t, n.url, "ann", in[0], "poison")
	<-rejected
	speak(t, n.url, "ann", in[0], "behind")
	speak(t, n.url, "ann", in[1], "beside")
	if all := r.until("another stream", has("beside")); has("behind")(all) {
		t.Error("an event overtook the one that is rejected")
	}
	demand(t, n.url, "ann", "POST", "/v1/webhooks/"+hook+"/skip", `{"stream":"thread/`+in[1]+`"}`, 409)
	skip(t, n.url, "ann", hook, "thread/"+in[0])
	all := r.until("the next event", has("behind"))
	if has("poison")(all) {
		t.Error("the rejected event counts as accepted")
	}
	const letters = "/dead-letters"
	if a := demand(t, n.url, "ann", "GET", "/v1/webhooks/"+hook+letters, "", 200); !strings.Contains(string(a.body), `"why":"skipped"`) {
		t.Errorf("no dead letter: %s", a)
	}
	accepts.Store(true)
	demand(t, n.url, "ann", "POST", "/v1/webhooks/"+hook+"/replay", `{"dead":true}`, 200)
	all = r.until("the replay", has("poison"))
	if last := all[len(all)-1]; !last.replay || last.seq != 2 {
		t.Errorf("got %s", last.body)
	}
	demand(t, n.url, "ann", "POST", "/v1/webhooks/"+hook+"/replay", fmt.Sprintf(`{"stream":"thread/%s","from_seq":2,"to_seq":3}`, in[0]), 200)
	demand(t, n.url, "ann", "POST", "/v1/webhooks/"+hook+"/replay", `{"since_ms":1}`, 200)
	all = r.until("three replays of each", func(all []got) bool { return len(all) >= 2+1+2+3 })
	order(t, all[:2])
	if ids := distinct(all); len(ids) != 3 {
		t.Errorf("%d ids of 3 events", len(ids))
	}
	for _, body := range []string{`{}`, `{"dead":true,"since_ms":1}`, `{"stream":"thread/x"}`, `{"stream":"thread/x","from_seq":1,"dead":true}`} {
		demand(t, n.url, "ann", "POST", "/v1/webhooks/"+hook+"/replay", body, 422)
	}
	demand(t, n.url, "bob", "POST", "/v1/webhooks/"+hook+"/replay", `{"dead":true}`, 404)
}

// TestGoneDisables: a receiver that answers 410 is asked no more, until an admin
// enables the webhook again.
func TestGoneDisables(t *testing.T) {
	n := startNode(t)
	var back atomic.Bool
	asked := make(chan struct{}, 64)
	r := newReceiver(t, func(got) int {
		if back.Load() {
			return http.StatusOK
		}
		asked <- struct{}{}
		return http.StatusGone
	})
	hook, group := register(t, n.url, "ann", "", r, `,"types":["message.posted"]`)
	in := threads(t, n.url, "ann", group, 1)
	speak(t, n.url, "ann", in[0], "one")
	<-asked
	becomes(t, n.url, "ann", hook, "disabled", "gone")
	speak(t, n.url, "ann", in[0], "two")
	back.Store(true)
	demand(t, n.url, "ann", "POST", "/v1/webhooks/"+hook+"/enable", "", 200)
	all := r.until("what it missed", has("two"))
	if got := texts(all); !slices.Equal(got, []string{"one", "two"}) || len(asked) > 0 {
		t.Errorf("received %v, and was asked %d times more", got, len(asked))
	}
}

// TestNoWebhookWaitsForAnother: while the receivers of many webhooks hang with all the
// requests that each may have, another webhook is served. It is counted, not timed.
func TestNoWebhookWaitsForAnother(t *testing.T) {
	n := startNode(t, func(o *app.Options) { o.HookWaits.Timeout = time.Hour })
	release := make(chan struct{})
	var running, most atomic.Int64
	hanging := make(chan struct{}, 1000)
	var hooks []string
	for i := range 12 {
		r := newReceiver(t, func(got) int {
			most.Store(max(most.Load(), running.Add(1)))
			hanging <- struct{}{}
			<-release
			running.Add(-1)
			return http.StatusOK
		})
		user := fmt.Sprint("slow", i)
		hook, group := register(t, n.url, user, "", r, `,"types":["message.posted"]`)
		demand(t, n.url, user, "POST", "/v1/webhooks/"+hook+"/disable", "", 200)
		for _, th := range threads(t, n.url, user, group, 6) {
			speak(t, n.url, user, th, "slow")
		}
		hooks = append(hooks, hook)
	}
	for i, hook := range hooks { // so that each has six streams from the beginning
		demand(t, n.url, fmt.Sprint("slow", i), "POST", "/v1/webhooks/"+hook+"/enable", "", 200)
	}
	for range 12 * 4 {
		<-hanging
	}
	quick := newReceiver(t, nil)
	_, group := register(t, n.url, "ann", "", quick, `,"types":["message.posted"]`)
	in := threads(t, n.url, "ann", group, 1)
	for i := range 20 {
		speak(t, n.url, "ann", in[0], fmt.Sprint("quick ", i))
	}
	quick.until("all of another webhook", has("quick 19"))
	if now := running.Load(); now != 12*4 || most.Load() != 12*4 {
		t.Errorf("%d requests hang, at most %d, want four of each webhook", now, most.Load())
	}
	close(release)
}

// TestNothingIsSentAfterARemoval: an event whose first attempt failed is not sent again
// once the webhook was removed from its thread.
func TestNothingIsSentAfterARemoval(t *testing.T) {
	n := startNode(t, func(o *app.Options) {
		o.HookWaits = quickHooks()
		o.HookWaits.Timeout = 0
	})
	var attempts atomic.Int64
	reached, removed := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(g got) int {
		if !strings.Contains(g.body, "canary") {
			return http.StatusOK
		}
		if attempts.Add(1) == 1 {
			close(reached)
			<-removed
		}
		return http.StatusServiceUnavailable
	})
	hook, group := register(t, n.url, "ann", "", r, `,"types":["message.posted"]`)
	c := dial(t, n.url, "ann", client.WebSocket)
	inner := must(c.CreateThread(t.Context(), client.NewThread{ScopeID: group, Privacy: "private"}))(t).ThreadID
	open := threads(t, n.url, "ann", group, 1)[0]
	demand(t, n.url, "ann", "PUT", "/v1/chat/threads/"+inner+"/webhooks/"+hook, "", 200)
	speak(t, n.url, "ann", inner, "canary")
	<-reached
	demand(t, n.url, "ann", "DELETE", "/v1/chat/threads/"+inner+"/members/"+hook, "", 200)
	close(removed)
	speak(t, n.url, "ann", open, "after")
	r.until("another thread", has("after"))
	if n := attempts.Load(); n != 1 {
		t.Errorf("%d attempts, the later ones after the removal", n)
	}
}
