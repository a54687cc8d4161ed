package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong/client"
)

// deck decides how a receiver treats its requests: of eleven, it rejects one for
// good, fails three, hangs on one and drops the response to one, with at most three
// of the latter five in a row, so that the waits of the table stay short.
type deck struct {
	mu    sync.Mutex
	cards []int
	row   int
}

const (
	ok = iota
	reject
	fail
	hang
	drop
)

func (d *deck) draw() (card int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.cards) == 0 {
		d.cards = []int{ok, ok, ok, ok, ok, reject, fail, fail, fail, hang, drop}
		rand.Shuffle(len(d.cards), func(i, j int) { d.cards[i], d.cards[j] = d.cards[j], d.cards[i] })
	}
	at := 0
	if good := slices.Index(d.cards, ok); d.row >= 3 && good >= 0 {
		at = good
	}
	switch card = d.cards[at]; {
	case d.row >= 3:
		card, d.row = ok, 0
	case card == ok || card == reject:
		d.row = 0
	default:
		d.row++
	}
	d.cards = slices.Delete(d.cards, at, at+1)
	return card
}

// TestWebhooksLoseNothing: receivers fail, hang and drop responses, and the server is
// killed again and again. Each gets every event, in order by stream, and repetitions
// under one id.
func TestWebhooksLoseNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	events, kills, hooked := size(2000, 300), 5, size(40, 16)
	if os.Getenv("GOTONG_SOAK") != "" {
		events, kills = 50_000, 20
	}
	dir := t.TempDir()
	var server atomic.Pointer[child]
	ended := 0
	start := func() { // with a clock by which the leases of the one before have ended
		c := startChild(t, dir, hooksEnv+"=1", fmt.Sprint(aheadEnv, "=", int64(time.Duration(ended)*31*time.Second)))
		ended++
		if !c.ready() {
			t.Fatal("the server did not start")
		}
		server.Store(c)
	}
	start()
	type place struct {
		*receiver
		threads []string
		sent    map[string]int
	}
	var posted, arrived atomic.Int64
	var known sync.Map // the ids that arrived
	accept := func(id string) {
		if _, again := known.LoadOrStore(id, true); !again {
			arrived.Add(1)
		}
	}
	places := make([]*place, hooked)
	for i := range places {
		cards := &deck{}
		p := &place{sent: map[string]int{}}
		p.receiver = newReceiver(t, func(g got) int {
			switch cards.draw() {
			case fail:
				return http.StatusInternalServerError
			case hang:
				<-time.After(4 * quickHooks().Timeout) // the server has hung up by then
				return http.StatusServiceUnavailable
			case drop:
				accept(g.id)
				return 0
			case reject: // it has the event, and the next one of the stream must follow
				accept(g.id)
				return http.StatusUnprocessableEntity
			default:
				accept(g.id)
				return http.StatusNoContent
			}
		})
		user := fmt.Sprint("ann", i)
		_, group := register(t, server.Load().url, user, "", p.receiver, `,"types":["message.posted"]`)
		ann := dial(t, server.Load().url, user, client.WebSocket)
		for range 2 {
			th := must(ann.CreateThread(t.Context(), client.NewThread{ScopeID: group, Privacy: "public"}))(t)
			p.threads = append(p.threads, th.ThreadID)
		}
		ann.Close()
		places[i] = p
	}
	var group sync.WaitGroup
	began := time.Now()
	for worker := range 8 {
		group.Go(func() {
			for n := worker; n < events; n += 8 {
				p, user := places[n%hooked], fmt.Sprint("ann", n%hooked)
				thread := p.threads[n/hooked%2]
				for {
					a, err := rest(t.Context(), asker, server.Load().url, user, "POST", "/v1/chat/threads/"+thread+"/messages/send",
						fmt.Sprintf(`{"body":"%d"}`, n), "Idempotency-Key", fmt.Sprint("n", n))
					if err == nil && a.status == http.StatusCreated {
						break
					}
					<-time.After(10 * time.Millisecond)
				}
				p.mu.Lock()
				p.sent["thread/"+thread]++
				p.mu.Unlock()
				posted.Add(1)
			}
		})
	}
	for k := range kills { // spread over the deliveries, which follow the posts
		for at := int64(events * (k + 1) / (kills + 1)); posted.Load() < at || arrived.Load() < at; {
			<-time.After(5 * time.Millisecond)
		}
		c := server.Load()
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		start()
	}
	group.Wait()
	requests := 0
	for _, p := range places {
		all := p.until("everything", func(all []got) bool { return len(distinct(all)) >= events/hooked && complete(all, p.sent) })
		order(t, all)
		requests += len(all)
		if p.bad > 0 {
			t.Errorf("%d wrong signatures", p.bad)
		}
	}
	t.Logf("%d events and %d kills in %v: none is missing, %d repeated", events, kills, time.Since(began).Round(time.Second), requests-events)
}

// distinct returns the ids that were received, with their places.
func distinct(all []got) map[string]string {
	ids := map[string]string{}
	for _, g := range all {
		ids[g.id] = fmt.Sprint(g.stream, " ", g.seq)
	}
	return ids
}

// complete reports whether each stream has as many events as were sent.
func complete(all []got, sent map[string]int) bool {
	n := map[string]int{}
	for _, place := range distinct(all) {
		var stream string
		var seq uint64
		_, _ = fmt.Sscan(place, &stream, &seq)
		n[stream]++
	}
	for s, want := range sent {
		if n[s] != want {
			return false
		}
	}
	return true
}

// order checks that the first arrivals are in order and that an event has one id.
func order(t *testing.T, all []got) {
	t.Helper()
	last, ids := map[string]uint64{}, map[string]string{}
	for _, g := range all {
		at := fmt.Sprint(g.stream, " ", g.seq)
		if id, seen := ids[at]; seen {
			if id != g.id {
				t.Errorf("%s has the ids %s and %s", at, id, g.id)
			}
			continue
		}
		if ids[at] = g.id; g.seq < last[g.stream] {
			t.Errorf("%s %d came after %d", g.stream, g.seq, last[g.stream])
		}
		last[g.stream] = g.seq
	}
}
