package surreal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// If a socket is lost with a call in flight, the call fails at once, as unknown, and
// the next socket is signed in.
func TestCallOnALostSocketIsUnknown(t *testing.T) {
	tests := map[string]func(p *peer, r asked){
		"RST":         func(p *peer, _ asked) { p.reset() },
		"FIN":         func(p *peer, _ asked) { p.finish() },
		"close frame": func(p *peer, _ asked) { _ = p.ws.Close(websocket.StatusGoingAway, "") },
		"text":        func(p *peer, _ asked) { _ = p.ws.Write(context.Background(), websocket.MessageText, []byte("{}")) },
		"garbage": func(p *peer, _ asked) {
			_ = p.ws.Write(context.Background(), websocket.MessageBinary, []byte{0xff, 0, 1})
		},
		"empty frame": func(p *peer, _ asked) { _ = p.ws.Write(context.Background(), websocket.MessageBinary, nil) },
		"half a frame": func(p *peer, _ asked) {
			_ = p.ws.Write(context.Background(), websocket.MessageBinary, []byte{0xa1, 0x62, 'i'})
		},
		"a list":           func(p *peer, _ asked) { p.send([]int{1}) },
		"neither":          func(p *peer, r asked) { p.send(map[string]any{"id": r.ID}) },
		"beyond the limit": func(p *peer, r asked) { p.result(r.ID, strings.Repeat("x", 1<<20)) },
		"id is text":       func(p *peer, _ asked) { p.send(map[string]any{"id": "1", "result": 1}) },
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			var asks atomic.Int32
			f := newFake(t, func(p *peer, r asked) {
				if asks.Add(1) == 1 {
					fault(p, r)
					return
				}
				p.ok(r)
			})
			c := f.open(t, Options{MaxMessage: 1 << 16})
			if _, err := echo(t.Context(), c, 1); !Unknown(err) {
				t.Fatalf("the lost call: %v, want an unknown outcome", err)
			}
			if got, err := echo(t.Context(), c, 2); err != nil || got != 2 {
				t.Fatalf("the next call: %d, %v", got, err)
			}
			want := "signin use version query signin use version query"
			if got := drain(f.seen); got != want {
				t.Errorf("the server was asked %q, want %q", got, want)
			}
		})
	}
}

func drain(seen chan string) string {
	var list []string
	for {
		select {
		case m := <-seen:
			list = append(list, m)
		default:
			return strings.Join(list, " ")
		}
	}
}

// A server that stops answering is noticed, within 4.5 s by default.
func TestSilentServerIsNoticed(t *testing.T) {
	release := make(chan struct{})
	var asks atomic.Int32
	f := newFake(t, func(p *peer, r asked) {
		if asks.Add(1) == 1 {
			<-release // the reader stands still: no pong either
			return
		}
		p.ok(r)
	})
	defer close(release)
	c := f.open(t, Options{Ping: 10 * time.Millisecond, Stall: 20 * time.Millisecond})
	if _, err := echo(t.Context(), c, 1); !Unknown(err) || !strings.Contains(err.Error(), "does not answer") {
		t.Fatalf("the stalled call: %v", err)
	}
	if got, err := echo(t.Context(), c, 2); err != nil || got != 2 {
		t.Fatalf("the next call: %d, %v", got, err)
	}
	var o Options
	o = o.withDefaults(Config{})
	if limit := o.Ping + o.Stall; limit >= 5*time.Second {
		t.Errorf("a stall is noticed after %v", limit)
	}
}

// Replies to calls that have given up, and to no call, do not stop the reader.
func TestLateRepliesAreDropped(t *testing.T) {
	const rounds = 300 // another client wedged after 240
	arrived := make(chan func(), 1)
	f := newFake(t, func(p *peer, r asked) {
		var vars struct{ Wait bool }
		_ = Unmarshal(r.Params[1], &vars)
		if !vars.Wait {
			p.ok(r)
			return
		}
		arrived <- func() {
			p.result(r.ID+1_000_000, 1) // an id that nobody has
			p.ok(r)
			p.ok(r) // and twice
		}
	})
	c := f.open(t, Options{})
	for i := range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := c.Query(ctx, "RETURN $v", Vars{"Wait": true})
			failed <- err
		}()
		late := <-arrived
		cancel()
		if i%2 == 0 { // after it gave up, and while it does
			if err := <-failed; !Unknown(err) || !errors.Is(err, context.Canceled) {
				t.Fatalf("cancelled: %v", err)
			}
			late()
		} else {
			late()
			if err := <-failed; err != nil && !Unknown(err) {
				t.Fatalf("cancelled: %v", err)
			}
		}
		if got, err := echo(t.Context(), c, i); err != nil || got != i {
			t.Fatalf("round %d: %d, %v", i, got, err)
		}
	}
}

// No call uses a socket whose login was rejected.
func TestNoCallUsesASocketWithoutItsLogin(t *testing.T) {
	var asks, logins atomic.Int32
	f := newFake(t, func(p *peer, r asked) {
		if asks.Add(1) == 1 {
			p.reset()
			return
		}
		p.ok(r)
	})
	again := make(chan struct{})
	f.login = func() (string, bool) {
		n := logins.Add(1)
		if n == 1 {
			return "", false
		}
		select {
		case <-again:
			return "", false
		default:
			return "", true
		}
	}
	changes := make(chan error, 100)
	c := f.open(t, Options{Changed: func(err error) {
		select {
		case changes <- err:
		default:
		}
	}})
	before := c.Opened()
	if _, err := echo(t.Context(), c, 1); !Unknown(err) {
		t.Fatal(err)
	}
	for err := range changes {
		if errors.Is(err, ErrAuth) {
			break
		}
	}
	_, err := echo(t.Context(), c, 2)
	if !errors.Is(err, ErrAuth) || Unknown(err) || strings.Contains(err.Error(), "secret") {
		t.Fatalf("while the login is refused: %v", err)
	}
	if asks.Load() != 1 {
		t.Fatal("a query went to a socket that had not signed in")
	}
	close(again)
	for err := range changes {
		if err == nil && c.Ready() > 0 {
			break
		}
	}
	if got, err := echo(t.Context(), c, 3); err != nil || got != 3 {
		t.Fatalf("after the login works again: %d, %v", got, err)
	}
	if c.Opened() <= before {
		t.Error("the new connection is not counted")
	}
}

func TestOpenReportsAServerThatRefuses(t *testing.T) {
	f := newFake(t, nil)
	f.login = func() (string, bool) { return "", true }
	if _, err := Open(t.Context(), f.config(), Options{}); !errors.Is(err, ErrAuth) || Unknown(err) {
		t.Errorf("refused: %v", err)
	}
	f.Close()
	if _, err := Open(t.Context(), f.config(), Options{}); err == nil || errors.Is(err, ErrAuth) || Unknown(err) {
		t.Errorf("nobody there: %v", err)
	}
}

// Close ends the calls in flight at once.
func TestCloseEndsCallsInFlight(t *testing.T) {
	const calls = 20
	arrived := make(chan struct{}, calls)
	f := newFake(t, func(*peer, asked) { arrived <- struct{}{} })
	c := f.open(t, Options{Sockets: 3})
	failed := make(chan error, calls)
	for range calls {
		go func() {
			_, err := echo(t.Context(), c, 1)
			failed <- err
		}()
	}
	for range calls {
		<-arrived
	}
	c.Close()
	for range calls {
		if err := <-failed; !errors.Is(err, ErrClosed) || !Unknown(err) {
			t.Errorf("in flight at Close: %v", err)
		}
	}
	if _, err := echo(t.Context(), c, 1); !errors.Is(err, ErrClosed) || Unknown(err) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := c.Live(t.Context(), "LIVE SELECT id FROM t", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Live after Close: %v", err)
	}
}

// A call that was never sent is certain not to have been carried out.
func TestUnsentCallIsCertainlyNotDone(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	f := newFake(t, func(p *peer, r asked) {
		arrived <- struct{}{}
		<-release
		p.ok(r)
	})
	c := f.open(t, Options{InFlight: 1, MaxMessage: 1 << 12, Call: time.Minute})
	first := make(chan error, 1)
	go func() {
		_, err := echo(t.Context(), c, 1)
		first <- err
	}()
	<-arrived
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errors.New("enough"))
	defer cancel()
	if _, err := echo(ctx, c, 2); err == nil || Unknown(err) || !strings.Contains(err.Error(), "enough") {
		t.Errorf("waiting for its turn: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := c.Exec(t.Context(), "RETURN $v", Vars{"v": make([]byte, 1<<12)}); !errors.Is(err, ErrTooBig) || Unknown(err) {
		t.Errorf("too big: %v", err)
	}
	if err := c.Exec(t.Context(), "RETURN $v", Vars{"v": make(chan int)}); err == nil || Unknown(err) {
		t.Errorf("cannot be encoded: %v", err)
	}
}

// While there is no server, calls wait for it as long as their contexts allow.
func TestCallsWaitForTheServerToReturn(t *testing.T) {
	f := newFake(t, func(p *peer, r asked) { p.ok(r) })
	c := f.open(t, Options{Sockets: 2})
	for range 20 {
		f.each((*peer).reset)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				got, err := echo(t.Context(), c, i)
				if err != nil && !Unknown(err) || err == nil && got != i {
					t.Errorf("%d: %d, %v", i, got, err)
				}
			})
		}
		wg.Wait()
	}
}

func TestLiveKeepsTheOrderUntilItsSocketEnds(t *testing.T) {
	const n = 500
	id := UUID{1, 2, 3}
	note := func(i int) map[string]any {
		return map[string]any{"result": map[string]any{"id": id, "action": "CREATE", "record": Record("t", i), "result": i}}
	}
	f := newFake(t, func(p *peer, r asked) {
		p.send(note(0)) // before the answer
		p.result(r.ID, []any{map[string]any{"status": "OK", "time": "", "result": id}})
		for i := range n - 1 {
			p.send(note(i + 1))
		}
		p.finish()
	})
	l, err := f.open(t, Options{}).Live(t.Context(), "LIVE SELECT id FROM t", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range n {
		var got int
		note, err := l.Next(t.Context())
		if err != nil || note.Query != id || note.Action != "CREATE" || Unmarshal(note.Result, &got) != nil || got != i {
			t.Fatalf("notification %d: %+v, %v", i, note, err)
		}
	}
	if _, err := l.Next(t.Context()); err == nil {
		t.Fatal("the subscription goes on without its socket")
	}
}

func TestLiveOfASlowReaderEnds(t *testing.T) {
	f := newFake(t, func(p *peer, r asked) {
		p.result(r.ID, []any{map[string]any{"status": "OK", "time": "", "result": UUID{}}})
		for i := range 5 {
			p.send(map[string]any{"result": map[string]any{"id": UUID{}, "action": fmt.Sprint(i), "result": 1}})
		}
	})
	l, err := f.open(t, Options{Notes: 3}).Live(t.Context(), "LIVE SELECT id FROM t", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	<-l.s.done
	for range 3 {
		if _, err := l.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Next(t.Context()); !errors.Is(err, ErrSlow) {
		t.Fatal(err)
	}
}
