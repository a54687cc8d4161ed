package client_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// running runs a Conn until the test's function returns.
func running(f *fixture, opts client.ConnOptions, run func(conn *client.Conn)) error {
	f.t.Helper()
	conn := f.client.NewConn(opts)
	ctx, cancel := context.WithTimeout(f.t.Context(), 24*time.Hour) // of virtual time
	done := make(chan error, 1)
	go func() { done <- conn.Run(ctx) }()
	run(conn)
	cancel()
	return <-done
}

// TestCommandsTakeEffectOnce: whichever frames are lost, each command becomes
// one event of the log, and its receipt names that event.
func TestCommandsTakeEffectOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 40).Draw(rt, "commands")
		loseAck := rapid.SampledFrom([]int{0, 3, 10}).Draw(rt, "loseAck")
		busy := rapid.SampledFrom([]int{0, 2}).Draw(rt, "busy")
		budget := rapid.SampledFrom([]int{1 << 30, 2000, 900}).Draw(rt, "budget")
		synctest.Test(t, func(t *testing.T) {
			opts := client.Options{Transports: []client.Transport{client.WebSocket}}
			withServer(t, seed, opts, func(f *fixture) {
				t := f.t
				f.faults.loseAck, f.faults.busy = loseAck, busy
				f.line.budget = func() int { return budget }
				seqs := map[uint64]bool{}
				_ = running(f, client.ConnOptions{MaxPending: 8}, func(conn *client.Conn) {
					var mu sync.Mutex
					var senders sync.WaitGroup
					for i := range n {
						senders.Go(func() {
							r, err := conn.Post(t.Context(), streamA, fmt.Sprintf("message %d", i))
							mu.Lock()
							defer mu.Unlock()
							if err != nil || r.First == 0 || seqs[r.First] {
								rt.Errorf("command %d: %+v, %v", i, r, err)
							}
							seqs[r.First] = true
						})
					}
					senders.Wait()
				})
				f.mu.Lock()
				defer f.mu.Unlock()
				if len(f.logs[streamA]) != n {
					rt.Errorf("%d commands made %d events", n, len(f.logs[streamA]))
				}
			})
		})
	})
}

func TestCommandsKeepTheirOrder(t *testing.T) {
	inBubble(t, client.Options{}, func(f *fixture) {
		t := f.t
		err := running(f, client.ConnOptions{}, func(conn *client.Conn) {
			var calls []*client.Call
			for i := range 50 {
				k, err := conn.Submit(t.Context(), streamA, "message.post", map[string]int{"n": i}, client.RequestID(fmt.Sprint("r", i)))
				if err != nil {
					t.Fatal(err)
				}
				calls = append(calls, k)
			}
			for i, k := range calls {
				if r, err := k.Wait(t.Context()); err != nil || r.First != uint64(i+1) || len(r.EventIDs) != 1 {
					t.Errorf("command %d: %+v, %v", i, r, err)
				}
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestUnknownAnswersSlowCommandsDown: to a server that accepts 50 commands a
// second the client sends not many more, and no command is lost.
func TestUnknownAnswersSlowCommandsDown(t *testing.T) {
	inBubble(t, client.Options{}, func(f *fixture) {
		t := f.t
		f.faults.perSecond = 50
		const n = 1000
		begin := time.Now()
		err := running(f, client.ConnOptions{}, func(conn *client.Conn) {
			var calls []*client.Call
			for range n {
				k, err := conn.Submit(t.Context(), streamA, "message.post", struct{}{})
				if err != nil {
					t.Fatal(err)
				}
				calls = append(calls, k)
			}
			late := 0
			for _, k := range calls {
				if _, err := k.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				if k.PutOff() {
					late++
				}
			}
			if late == 0 {
				t.Error("no command was put off: the test proves nothing")
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if took := time.Since(begin); len(f.logs[streamA]) != n || f.limited > n || took > time.Minute {
			t.Errorf("%d events after %s, %d rejections", len(f.logs[streamA]), took, f.limited)
		}
		t.Logf("%d rejections in %s", f.limited, time.Since(begin))
	})
}

func TestCommandAnswers(t *testing.T) {
	inBubble(t, client.Options{}, func(f *fixture) {
		t := f.t
		f.faults.commandErr = map[string]int{"forbidden": 403}
		_ = running(f, client.ConnOptions{}, func(conn *client.Conn) {
			_, err := conn.Post(t.Context(), streamA, "x", client.RequestID("forbidden"))
			var p *client.Problem
			if !errors.As(err, &p) || p.Status != 403 || gotong.CodeOf(err) != gotong.CodeForbidden {
				t.Errorf("rejected: %v", err)
			}
			first, err := conn.Post(t.Context(), streamA, "x", client.RequestID("again"))
			if err != nil || first.Replayed {
				t.Errorf("first: %+v, %v", first, err)
			}
			second, err := conn.Post(t.Context(), streamA, "x", client.RequestID("again"))
			if err != nil || !second.Replayed || second.First != first.First {
				t.Errorf("second: %+v, %v", second, err)
			}
			if _, err := conn.Post(t.Context(), streamA, "y", client.RequestID("again")); gotong.CodeOf(err) != gotong.CodeReused {
				t.Errorf("another body: %v", err)
			}
			if _, err := conn.Post(t.Context(), streamA, strings.Repeat("x", 70_000)); gotong.CodeOf(err) != gotong.CodeTooLarge {
				t.Errorf("too long: %v", err)
			}
			if _, err := conn.Post(t.Context(), streamA, "x", client.RequestID("ä")); gotong.CodeOf(err) != gotong.CodeInvalid {
				t.Errorf("bad request id: %v", err)
			}
		})
	})
}

func TestAbandonedCommandIsUnknown(t *testing.T) {
	inBubble(t, client.Options{}, func(f *fixture) {
		t := f.t
		f.line.down = true
		conn := f.client.NewConn(client.ConnOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- conn.Run(ctx) }()
		soon, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err := conn.Post(soon, streamA, "x", client.RequestID("mine"))
		var unknown *client.UnknownError
		if !errors.As(err, &unknown) || unknown.RequestID != "mine" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("its context ended: %v", err)
		}
		if _, err = conn.Post(t.Context(), streamA, "x"); !errors.As(err, &unknown) || !errors.Is(err, client.ErrClosed) {
			t.Errorf("when the Conn ended: %v", err)
		}
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		if _, err := conn.Post(t.Context(), streamA, "x"); !errors.Is(err, client.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
		if conn.Run(t.Context()) == nil {
			t.Error("ran twice")
		}
	})
}

func TestCommandsNeedWebSocket(t *testing.T) {
	inBubble(t, client.Options{Transports: []client.Transport{client.SSE}}, func(f *fixture) {
		t := f.t
		if _, err := f.client.NewConn(client.ConnOptions{}).Post(t.Context(), streamA, "x"); err == nil {
			t.Error("accepted without a WebSocket transport")
		}
	})
}

func TestCommandsSentBeforeAFatalFrameAreNotRepeated(t *testing.T) {
	inBubble(t, client.Options{Transports: []client.Transport{client.WebSocket}}, func(f *fixture) {
		t := f.t
		f.append(streamA, 1)
		f.faults.closeCode, f.faults.closeWith = 1, 1009
		f.faults.noAnswer = true
		conn := f.client.NewConn(client.ConnOptions{})
		if err := conn.Subscribe(streamA, client.Start); err != nil {
			t.Fatal(err)
		}
		k, err := conn.Submit(t.Context(), streamA, "message.post", struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		done := make(chan error, 1)
		go func() { done <- conn.Run(ctx) }()
		_, err = k.Wait(t.Context())
		var closed *client.CloseError
		if !errors.As(err, &closed) || closed.Code != 1009 {
			t.Errorf("got %v", err)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestHandlerMaySendAndWait(t *testing.T) {
	inBubble(t, client.Options{}, func(f *fixture) {
		t := f.t
		f.append(streamA, 40)
		var conn *client.Conn
		r := newRecord()
		conn = f.client.NewConn(client.ConnOptions{Handle: func(e client.Event) error {
			r.note(e)
			if e.Stream == streamA {
				if _, err := conn.Post(t.Context(), streamB, "echo"); err != nil {
					return err
				}
			}
			if r.count() == 80 {
				return errEnough
			}
			return nil
		}})
		f.append(streamB, 0)
		f.logs[streamB] = []client.Event{}
		for _, s := range []gotong.Stream{streamA, streamB} {
			if err := conn.Subscribe(s, client.Start); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Run(t.Context()); !errors.Is(err, errEnough) {
			t.Errorf("ended with %v", err)
		}
		r.check(t, streamA, 0, 40)
		r.check(t, streamB, 0, 40)
	})
}

// TestSlowHandlerCostsNoMemory: far more than the inbox holds waits at the
// server; the handler is slow and waits for commands meanwhile, and gets all
// of it in order.
func TestSlowHandlerCostsNoMemory(t *testing.T) {
	inBubble(t, client.Options{Transports: []client.Transport{client.WebSocket}}, func(f *fixture) {
		t := f.t
		const n = 60
		f.append(streamA, n)
		filler := strings.Repeat("x", 300<<10) // 60 × 300 KiB: four times the inbox
		f.mu.Lock()
		for i := range f.logs[streamA] {
			f.logs[streamA][i].Data = []byte(fmt.Sprintf(`{"body":"a number %d","filler":%q}`, i+1, filler))
		}
		f.mu.Unlock()
		var conn *client.Conn
		r := newRecord()
		conn = f.client.NewConn(client.ConnOptions{Handle: func(e client.Event) error {
			r.note(e)
			<-time.After(time.Second)
			if _, err := conn.Post(t.Context(), streamB, "here"); err != nil {
				return err
			}
			if r.count() == n {
				return errEnough
			}
			return nil
		}})
		if err := conn.Subscribe(streamA, client.Start); err != nil {
			t.Fatal(err)
		}
		if err := conn.Run(t.Context()); !errors.Is(err, errEnough) {
			t.Errorf("ended with %v", err)
		}
		r.check(t, streamA, 0, n)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.unsubscribed == 0 {
			t.Error("the stream was never stopped: the test proves nothing")
		}
	})
}

func TestSignals(t *testing.T) {
	inBubble(t, client.Options{}, func(f *fixture) {
		t := f.t
		f.append(streamA, 1)
		got := make(chan client.Signal, 1)
		live := make(chan struct{})
		opts := client.ConnOptions{
			OnSignal: func(s client.Signal) { got <- s },
			Handle:   func(client.Event) error { close(live); return nil },
		}
		_ = running(f, opts, func(conn *client.Conn) {
			if conn.Signal(streamA, "typing") {
				t.Error("sent for a stream that is not followed")
			}
			if err := conn.Subscribe(streamA, client.Start); err != nil {
				t.Fatal(err)
			}
			<-live
			if !conn.Signal(streamA, "typing") {
				t.Error("not sent")
			}
			if s := <-got; s.Stream != streamA || s.Type != "typing" || s.Actor.UserID != "u9" {
				t.Errorf("got %+v", s)
			}
		})
	})
}

func TestPresenceOfASignal(t *testing.T) {
	for _, test := range []struct {
		signal client.Signal
		want   client.Presence
		ok     bool
	}{
		{client.Signal{Type: "presence", Data: []byte(`{"present":2,"users":["ann","bob"]}`)}, client.Presence{Present: 2, Users: []string{"ann", "bob"}}, true},
		{client.Signal{Type: "presence", Data: []byte(`{"present":700}`)}, client.Presence{Present: 700}, true},
		{client.Signal{Type: "presence"}, client.Presence{}, false},
		{client.Signal{Type: "typing", Data: []byte(`{"present":2}`)}, client.Presence{}, false},
	} {
		if got, ok := test.signal.Presence(); ok != test.ok || ok && !reflect.DeepEqual(got, test.want) {
			t.Errorf("%+v: %+v, %v", test.signal, got, ok)
		}
	}
}
