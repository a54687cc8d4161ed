package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	streamA gotong.Stream = "thread/a"
	streamB gotong.Stream = "thread/b"
)

// fixture is a server and a client in one bubble of virtual time.
type fixture struct {
	*server
	t      *testing.T
	client *client.Client
}

// inBubble runs a test against a fresh server. Time in it is virtual: waits
// cost nothing, and a test that would wait for ever fails.
func inBubble(t *testing.T, opts client.Options, run func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { withServer(t, 1, opts, run) })
}

func withServer(t *testing.T, seed uint64, opts client.Options, run func(f *fixture)) {
	t.Helper()
	s := newServer(seed)
	opts.BaseURL, opts.Dial = "http://gotong.test", s.line.dial
	c, err := client.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	run(&fixture{s, t, c})
	c.Close()
	s.stop()
}

// record notes what a handler gets.
type record struct {
	mu   sync.Mutex
	seqs map[gotong.Stream][]uint64
	text []string
}

func newRecord() *record { return &record{seqs: map[gotong.Stream][]uint64{}} }

func (r *record) note(e client.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seqs[e.Stream] = append(r.seqs[e.Stream], e.Seq)
	var d struct{ Body string }
	if e.Decode(&d) != nil || d.Body != fmt.Sprintf("%s number %d", e.Stream.ID(), e.Seq) {
		r.text = append(r.text, d.Body)
	}
}

func (r *record) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, list := range r.seqs {
		n += len(list)
	}
	return n
}

// check compares what was handled of a stream with from+1 .. to.
func (r *record) check(t interface {
	Helper()
	Errorf(string, ...any)
}, stream gotong.Stream, from, to uint64) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var want []uint64
	for n := from + 1; n <= to; n++ {
		want = append(want, n)
	}
	if !slices.Equal(r.seqs[stream], want) {
		t.Errorf("%s: handled %v, want %d to %d", stream, r.seqs[stream], from+1, to)
	}
	if len(r.text) > 0 {
		t.Errorf("wrong texts: %q", r.text)
	}
}

var errEnough = errors.New("enough")

// until is a handler that records and stops after n events.
func (r *record) until(n int) func(client.Event) error {
	return func(e client.Event) error {
		r.note(e)
		if r.count() >= n {
			return errEnough
		}
		return nil
	}
}

func TestFollowEachTransport(t *testing.T) {
	for _, transport := range []client.Transport{client.WebSocket, client.SSE, client.Poll} {
		t.Run(string(transport), func(t *testing.T) {
			inBubble(t, client.Options{Transports: []client.Transport{transport}}, func(f *fixture) {
				t := f.t
				f.append(streamA, 5)
				f.append(streamB, 5)
				r := newRecord()
				grow := time.AfterFunc(time.Minute, func() {
					f.append(streamA, 5)
					f.append(streamB, 5)
				})
				defer grow.Stop()
				// The third begins with what comes: the five of b after a minute.
				from := map[gotong.Stream]client.From{streamA: client.Start, streamB: client.Now}
				err := f.client.Follow(t.Context(), from, r.until(15))
				if !errors.Is(err, errEnough) {
					t.Errorf("ended with %v", err)
				}
				r.check(t, streamA, 0, 10)
				r.check(t, streamB, 5, 10)
			})
		})
	}
}

func TestEventsEndsWithTheLoop(t *testing.T) {
	inBubble(t, client.Options{}, func(f *fixture) {
		t := f.t
		f.append(streamA, 5)
		var seqs []uint64
		for e, err := range f.client.Events(t.Context(), map[gotong.Stream]client.From{streamA: "k3f9:2"}) {
			if err != nil {
				t.Fatal(err)
			}
			if seqs = append(seqs, e.Seq); e.Cursor().String() == "k3f9:4" {
				break
			}
		}
		if !slices.Equal(seqs, []uint64{3, 4}) {
			t.Errorf("got %v", seqs)
		}
	})
}

// TestFollowYieldsTheLogDespiteFaults is the promise of this package: although
// connections are cut, frames repeated or left out, and clients sent away, the
// handler gets exactly the log, in order.
func TestFollowYieldsTheLogDespiteFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 60).Draw(rt, "events")
		fault := faults{
			duplicate: rapid.SampledFrom([]int{0, 2, 5}).Draw(rt, "duplicate"),
			gap:       rapid.SampledFrom([]int{0, 4, 9}).Draw(rt, "gap"),
			unread:    rapid.SampledFrom([]int{0, 0, 6}).Draw(rt, "unread"),
			away:      rapid.SampledFrom([]int{0, 20}).Draw(rt, "away"),
			awayMS:    rapid.IntRange(0, 9000).Draw(rt, "awayMS"),
			closeCode: rapid.SampledFrom([]int{0, 10}).Draw(rt, "close"),
			closeWith: rapid.SampledFrom([]closeStatus{1000, 1001, 1012, 1013, 1002, 4408, 4429}).Draw(rt, "code"),
			refuse:    map[client.Transport]int{},
		}
		for _, tr := range []client.Transport{client.WebSocket, client.SSE} {
			if status := rapid.SampledFrom([]int{0, 0, 404, 502}).Draw(rt, string(tr)); status != 0 {
				fault.refuse[tr] = status
			}
		}
		least := rapid.SampledFrom([]int{700, 1500, 6000, 1 << 30}).Draw(rt, "budget")
		hide := rapid.SampledFrom([]uint64{0, 3}).Draw(rt, "hide")
		synctest.Test(t, func(t *testing.T) {
			withServer(t, seed, client.Options{Climb: 3 * time.Second}, func(f *fixture) {
				f.faults = fault
				if hide > 0 {
					f.hidden = func(seq uint64) bool { return seq%hide == 0 }
				}
				budget := rand.New(rand.NewPCG(seed, 2))
				f.line.budget = func() int { return least + budget.IntN(least) }
				follows(rt, f, n, hide)
			})
		})
	})
}

func follows(rt *rapid.T, f *fixture, n int, hide uint64) {
	rt.Helper()
	f.append(streamA, 1)
	f.append(streamB, 1)
	var want []uint64
	for seq := uint64(1); seq <= uint64(n)+1; seq++ {
		if hide == 0 || seq%hide != 0 {
			want = append(want, seq)
		}
	}
	r := newRecord()
	ctx, cancel := context.WithTimeout(f.t.Context(), 24*time.Hour)
	defer cancel()
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range n {
			f.append(streamA, 1)
			f.append(streamB, 1)
			if i%7 == 0 {
				<-time.After(time.Duration(i) * time.Second)
			}
		}
	})
	from := map[gotong.Stream]client.From{streamA: client.Start, streamB: client.Start}
	err := f.client.Follow(ctx, from, r.until(2*len(want)))
	writing.Wait()
	if !errors.Is(err, errEnough) {
		rt.Errorf("ended with %v after %d of %d events", err, r.count(), 2*len(want))
	}
	for _, stream := range []gotong.Stream{streamA, streamB} {
		if !slices.Equal(r.seqs[stream], want) {
			rt.Errorf("%s: handled %v, want %v", stream, r.seqs[stream], want)
		}
	}
	if len(r.text) > 0 {
		rt.Errorf("wrong texts: %q", r.text)
	}
}

func TestFallbackIsRememberedAndLeftAgain(t *testing.T) {
	inBubble(t, client.Options{}, func(f *fixture) {
		t := f.t
		f.faults.refuse = map[client.Transport]int{client.WebSocket: 502, client.SSE: 404}
		f.append(streamA, 1)
		r := newRecord()
		var states []client.Transport
		conn := f.client.NewConn(client.ConnOptions{
			Handle: r.until(4),
			OnState: func(s client.State) {
				if s.Transport != "" {
					states = append(states, s.Transport)
				}
			},
		})
		if err := conn.Subscribe(streamA, client.Start); err != nil {
			t.Fatal(err)
		}
		var mending sync.WaitGroup
		defer mending.Wait()
		mending.Go(func() {
			for _, fix := range []client.Transport{client.SSE, client.WebSocket, ""} {
				<-time.After(time.Minute)
				f.mu.Lock()
				delete(f.faults.refuse, fix)
				f.mu.Unlock()
				f.append(streamA, 1)
			}
		})
		if err := conn.Run(t.Context()); !errors.Is(err, errEnough) {
			t.Errorf("ended with %v", err)
		}
		r.check(t, streamA, 0, 4)
		if want := []client.Transport{client.Poll, client.SSE, client.WebSocket}; !slices.Equal(states, want) {
			t.Errorf("transports %v, want %v", states, want)
		}
		// What worked is remembered by the Client: the next Conn starts there.
		asked := func() int {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.subs[string(client.SSE)]
		}
		before := asked()
		if err := f.client.Follow(t.Context(), map[gotong.Stream]client.From{streamA: client.Start}, newRecord().until(1)); !errors.Is(err, errEnough) {
			t.Errorf("ended with %v", err)
		}
		if asked() != before {
			t.Error("the next Conn tried SSE")
		}
	})
}

func TestGoingAwayDelaysTheReconnect(t *testing.T) {
	for _, transport := range []client.Transport{client.WebSocket, client.SSE} {
		t.Run(string(transport), func(t *testing.T) {
			opts := client.Options{Transports: []client.Transport{transport}}
			inBubble(t, opts, func(f *fixture) {
				t := f.t
				f.faults.away, f.faults.awayMS = 1, 8123
				f.append(streamA, 1)
				start := time.Now()
				r := newRecord()
				grow := time.AfterFunc(time.Second, func() { f.append(streamA, 1) })
				defer grow.Stop()
				err := f.client.Follow(t.Context(), map[gotong.Stream]client.From{streamA: "k3f9:0"}, r.until(2))
				if !errors.Is(err, errEnough) {
					t.Errorf("ended with %v", err)
				}
				r.check(t, streamA, 0, 2)
				if took := time.Since(start); took != 8123*time.Millisecond {
					t.Errorf("reconnected after %s, want 8.123s", took)
				}
			})
		})
	}
}

func TestCloseCodeDecidesWaitOrEnd(t *testing.T) {
	for code, want := range map[closeStatus]struct {
		stops bool
		wait  time.Duration // -1: the backoff
	}{
		1000: {wait: -1}, 1001: {wait: -1}, 1012: {wait: -1}, 1013: {wait: -1}, 4408: {wait: -1},
		4429: {wait: 2500 * time.Millisecond}, 4400: {stops: true}, 4403: {stops: true},
	} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			backoff := 77 * time.Second
			opts := client.Options{Backoff: func(int) time.Duration { return backoff }}
			inBubble(t, opts, func(f *fixture) {
				t := f.t
				f.faults.closeCode, f.faults.closeWith = 1, code
				if code == 4429 {
					f.faults.closeText = "retry_after_ms 2500"
				}
				f.append(streamA, 1)
				start, r := time.Now(), newRecord()
				grow := time.AfterFunc(time.Second, func() { f.append(streamA, 1) })
				defer grow.Stop()
				err := f.client.Follow(t.Context(), map[gotong.Stream]client.From{streamA: client.Start}, r.until(2))
				var closed *client.CloseError
				if want.stops {
					if !errors.As(err, &closed) || closed.Code != int(code) {
						t.Errorf("ended with %v", err)
					}
					return
				}
				wait := want.wait
				if wait < 0 {
					wait = backoff
				}
				if took := time.Since(start); !errors.Is(err, errEnough) || took != wait {
					t.Errorf("ended with %v after %s, want %s", err, took, wait)
				}
			})
		})
	}
}

func TestRejectedTokenIsReplaced(t *testing.T) {
	for _, transport := range []client.Transport{client.WebSocket, client.SSE, client.Poll} {
		t.Run(string(transport), func(t *testing.T) {
			n := 0
			tokens := client.TokenFunc(func(context.Context) (string, error) {
				n++
				return fmt.Sprintf("t%d", n), nil
			})
			opts := client.Options{Token: tokens, Transports: []client.Transport{transport}}
			inBubble(t, opts, func(f *fixture) {
				t := f.t
				f.tokens = map[string]bool{"t2": true}
				f.append(streamA, 1)
				r := newRecord()
				err := f.client.Follow(t.Context(), map[gotong.Stream]client.From{streamA: client.Start}, r.until(1))
				if !errors.Is(err, errEnough) || n != 2 {
					t.Errorf("ended with %v after %d tokens", err, n)
				}
			})
		})
	}
	opts := client.Options{Token: client.StaticToken("old")}
	inBubble(t, opts, func(f *fixture) {
		t := f.t
		f.tokens = map[string]bool{}
		f.append(streamA, 1)
		err := f.client.Follow(t.Context(), map[gotong.Stream]client.From{streamA: client.Start}, nil)
		if !errors.Is(err, client.ErrTokenRefused) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestClose4401RequestsAnotherToken(t *testing.T) {
	n := 0
	opts := client.Options{Token: client.TokenFunc(func(context.Context) (string, error) {
		n++
		return fmt.Sprintf("t%d", n), nil
	})}
	inBubble(t, opts, func(f *fixture) {
		t := f.t
		f.faults.closeCode, f.faults.closeWith = 1, 4401
		f.append(streamA, 1)
		r := newRecord()
		grow := time.AfterFunc(time.Hour, func() { f.append(streamA, 1) })
		defer grow.Stop()
		err := f.client.Follow(t.Context(), map[gotong.Stream]client.From{streamA: client.Start}, r.until(2))
		if !errors.Is(err, errEnough) || n < 2 {
			t.Errorf("ended with %v after %d tokens", err, n)
		}
	})
}

func TestEndOfOneStreamLeavesTheOthers(t *testing.T) {
	for _, transport := range []client.Transport{client.WebSocket, client.SSE, client.Poll} {
		t.Run(string(transport), func(t *testing.T) {
			opts := client.Options{Transports: []client.Transport{transport}}
			inBubble(t, opts, func(f *fixture) {
				t := f.t
				f.append(streamA, 1)
				f.append(streamB, 3)
				r := newRecord()
				ended := map[gotong.Stream]error{}
				conn := f.client.NewConn(client.ConnOptions{
					Handle: r.until(3),
					OnEnded: func(e *client.Ended) error {
						ended[e.Stream] = e
						return nil
					},
				})
				for stream, from := range map[gotong.Stream]client.From{
					streamA: client.Start, streamB: client.At(gotong.Cursor{Epoch: "k3f9", Seq: 2}),
					"thread/nowhere": client.Start, "thread/ahead": "k3f9:99", "thread/old": "aaaa:1",
				} {
					if _, ok := f.logs[stream]; !ok && stream != "thread/nowhere" {
						f.append(stream, 1)
					}
					if err := conn.Subscribe(stream, from); err != nil {
						t.Fatal(err)
					}
				}
				defer time.AfterFunc(time.Minute, func() { f.revoke(streamA) }).Stop()
				defer time.AfterFunc(2*time.Minute, func() { f.append(streamB, 1) }).Stop()
				if err := conn.Run(t.Context()); !errors.Is(err, errEnough) {
					t.Errorf("ended with %v", err)
				}
				for stream, want := range map[gotong.Stream]error{
					streamA: client.ErrAccessRevoked, "thread/nowhere": client.ErrAccessRevoked,
					"thread/ahead": client.ErrResyncRequired, "thread/old": client.ErrResyncRequired,
				} {
					if !errors.Is(ended[stream], want) {
						t.Errorf("%s ended with %v, want %v", stream, ended[stream], want)
					}
				}
				r.check(t, streamB, 2, 4)
				if c := conn.Cursors(); len(c) != 1 || c[streamB].Seq != 3 {
					t.Errorf("cursors %v: the event whose handler failed is not handled", c)
				}
			})
		})
	}
}

// TestDamagedEventEndsItsStreamOnly: a stream whose next event cannot be served
// ends, whether its subscription begins there or arrives there later, and
// delays no other stream.
func TestDamagedEventEndsItsStreamOnly(t *testing.T) {
	const streamC gotong.Stream = "thread/c"
	for _, transport := range []client.Transport{client.WebSocket, client.SSE, client.Poll} {
		t.Run(string(transport), func(t *testing.T) {
			inBubble(t, client.Options{Transports: []client.Transport{transport}}, func(f *fixture) {
				t := f.t
				f.append(streamA, 5)
				f.append(streamB, 2)
				f.append(streamC, 2)
				f.damaged = map[gotong.Stream]uint64{streamA: 4, streamC: 2}
				r := newRecord()
				ended := map[gotong.Stream]error{}
				conn := f.client.NewConn(client.ConnOptions{
					Handle: r.until(6),
					OnEnded: func(e *client.Ended) error {
						ended[e.Stream] = e
						return nil
					},
				})
				for stream, from := range map[gotong.Stream]client.From{streamA: client.Start, streamB: client.Start, streamC: "k3f9:1"} {
					if err := conn.Subscribe(stream, from); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				defer time.AfterFunc(time.Minute, func() { f.append(streamB, 1) }).Stop()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // otherwise a failure would run for ever
				defer cancel()
				if err := conn.Run(ctx); !errors.Is(err, errEnough) {
					t.Errorf("ended with %v", err)
				}
				for _, stream := range []gotong.Stream{streamA, streamC} {
					if err := ended[stream]; !errors.Is(err, client.ErrUnserved) || gotong.CodeOf(err) != gotong.CodeCorruptEvent {
						t.Errorf("%s ended with %v", stream, err)
					}
				}
				r.check(t, streamA, 0, 3)
				r.check(t, streamB, 0, 3)
				if d := time.Since(began); d > time.Minute+time.Second {
					t.Errorf("the undamaged stream's event came after %v", d)
				}
			})
		})
	}
}

func TestEndWithoutOnEndedEndsTheConn(t *testing.T) {
	inBubble(t, client.Options{}, func(f *fixture) {
		t := f.t
		err := f.client.Follow(t.Context(), map[gotong.Stream]client.From{streamA: client.Start}, nil)
		var ended *client.Ended
		if !errors.As(err, &ended) || ended.Stream != streamA || gotong.CodeOf(err) != gotong.CodeNotFound {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestSilentServerIsDisconnected(t *testing.T) {
	inBubble(t, client.Options{Transports: []client.Transport{client.WebSocket}}, func(f *fixture) {
		t := f.t
		f.faults.silentWS = true
		f.append(streamA, 1)
		wakes := time.AfterFunc(time.Minute, func() {
			f.mu.Lock()
			f.faults.silentWS = false
			f.mu.Unlock()
		})
		defer wakes.Stop()
		r := newRecord()
		err := f.client.Follow(t.Context(), map[gotong.Stream]client.From{streamA: client.Start}, r.until(1))
		f.mu.Lock()
		defer f.mu.Unlock()
		if !errors.Is(err, errEnough) || f.sockets < 2 {
			t.Errorf("ended with %v over %d sockets", err, f.sockets)
		}
	})
}

func TestManyStreamsOverPollAndSSE(t *testing.T) {
	for _, transport := range []client.Transport{client.SSE, client.Poll} {
		inBubble(t, client.Options{Transports: []client.Transport{transport}}, func(f *fixture) {
			t := f.t
			from := map[gotong.Stream]client.From{}
			for i := range 70 {
				stream := gotong.NewStream("thread", fmt.Sprintf("n%d", i))
				f.append(stream, 1)
				from[stream] = client.Start
			}
			r := newRecord()
			if err := f.client.Follow(t.Context(), from, r.until(70)); !errors.Is(err, errEnough) {
				t.Errorf("ended with %v", err)
			}
			for stream := range from {
				r.check(t, stream, 0, 1)
			}
		})
	}
}

func TestSubscribeAndUnsubscribeWhileConnected(t *testing.T) {
	for _, transport := range []client.Transport{client.WebSocket, client.SSE, client.Poll} {
		inBubble(t, client.Options{Transports: []client.Transport{transport}}, func(f *fixture) {
			t := f.t
			f.append(streamA, 2)
			f.append(streamB, 2)
			r := newRecord()
			var conn *client.Conn
			conn = f.client.NewConn(client.ConnOptions{Handle: func(e client.Event) error {
				r.note(e)
				switch {
				case e.Stream == streamA && e.Seq == 1:
					conn.Unsubscribe(streamA)
					return conn.Subscribe(streamB, client.Start)
				case e.Stream == streamB && e.Seq == 2:
					return errEnough
				}
				return nil
			}})
			if err := conn.Subscribe(streamA, client.Start); err != nil {
				t.Fatal(err)
			}
			if err := conn.Run(t.Context()); !errors.Is(err, errEnough) {
				t.Errorf("%s: ended with %v", transport, err)
			}
			r.check(t, streamA, 0, 1)
			r.check(t, streamB, 0, 2)
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []client.Options{
		{}, {BaseURL: "gotong.test"}, {BaseURL: "ftp://x"}, {BaseURL: "http://x", Transports: []client.Transport{"pigeon"}},
	} {
		if _, err := client.New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	c, err := client.New(client.Options{BaseURL: "http://x", HTTPClient: &http.Client{}})
	if err != nil {
		t.Fatal(err)
	}
	conn := c.NewConn(client.ConnOptions{})
	if conn.Subscribe("nonsense", client.Now) == nil || conn.Subscribe(streamA, "nonsense") == nil {
		t.Error("a stream or a cursor that cannot be parsed was accepted")
	}
}

func TestFullJitter(t *testing.T) {
	for n, most := range map[int]time.Duration{0: 500 * time.Millisecond, 3: 4 * time.Second, 7: 30 * time.Second, 900: 30 * time.Second} {
		for range 1000 {
			if d := client.FullJitter(n); d < 0 || d >= most {
				t.Fatalf("try %d waits %s, at most %s", n, d, most)
			}
		}
	}
}
