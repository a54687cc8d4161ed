package realtime

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong/internal/httpapi"
)

// A pool without a bound serves every connection at once, whatever the others
// wait for; afterwards few workers are kept, and none once it is closed.
func TestPoolWithoutBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conns, spare = 10, 2
		var served atomic.Int64
		release := make(chan struct{})
		var r running
		var p pool
		p.init(&r, func(*conn) { served.Add(1); <-release }, math.MaxInt, spare)
		state := func(served0, workers, waiting int) {
			t.Helper()
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			if int(served.Load()) != served0 || p.workers != workers || p.waiting != waiting {
				t.Errorf("%d served, %d workers of whom %d wait; want %d, %d, %d", served.Load(), p.workers, p.waiting, served0, workers, waiting)
			}
		}
		for range conns {
			p.add(new(conn))
		}
		state(conns, conns, 0)
		close(release)
		state(conns, spare, spare)
		p.add(new(conn))
		state(conns+1, spare, spare)
		r.close()
		p.close()
		r.wait()
		state(conns+1, 0, 0)
		p.add(new(conn))
		state(conns+1, 0, 0)
	})
}

// heldDoor is an authenticator that answers when it is released.
type heldDoor struct {
	httpapi.Authenticator
	once           sync.Once
	asked, release chan struct{}
}

func (d *heldDoor) Authenticate(ctx context.Context, token string) (httpapi.Principal, error) {
	d.once.Do(func() { close(d.asked) })
	<-d.release
	return d.Authenticator.Authenticate(ctx, token)
}

// Run cuts what is open and returns when nothing runs any more: not before a
// frame that is being handled is done.
func TestRunWaitsForWhatRuns(t *testing.T) {
	d := &heldDoor{asked: make(chan struct{}), release: make(chan struct{})}
	w := newWorld(t, func(s *setting) {
		s.options = append(s.options, func(o *Options) { d.Authenticator = o.Auth; o.Auth = d })
	})
	silent, busy := w.dial(""), w.dial("")
	busy.send("op", "auth", "token", "t-ann")
	<-d.asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(ctx) }()
	for _, s := range []*socket{silent, busy} {
		if f, err := s.read(); err == nil {
			t.Errorf("%+v", f)
		}
	}
	w.until("no connection is left", func() bool { ws, _ := w.server.Open(); return ws == 0 })
	select {
	case err := <-ended:
		t.Error("Run returned while a frame was handled")
		ended <- err
	default:
	}
	close(d.release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// Nothing more is accepted.
	s := w.dial("")
	if f, err := s.read(); err == nil {
		t.Errorf("%+v", f)
	}
}
