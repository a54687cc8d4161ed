package realtime

import (
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// pumpsAt is pumps whose connections have no session: to pump one is to mark it
// idle.
func pumpsAt(t *testing.T, most int) (*pumps, func() *conn) {
	t.Helper()
	r := new(running)
	p := newPumps(r, clock.System().Mono, most)
	t.Cleanup(func() { r.close(); p.close(); r.wait() })
	return p, func() *conn { return &conn{server: &Server{pumps: p}} }
}

// A connection that was just written events is held back until its time, any
// other is pumped at once, and so is one with an answer.
func TestGathering(t *testing.T) {
	for name, tt := range map[string]struct {
		written time.Duration // ago; 0 is never
		hurry   bool
		want    time.Duration // until it is pumped, but for less than soon
	}{
		"first":        {0, false, 0},
		"just written": {time.Millisecond, false, gathering - time.Millisecond},
		"long ago":     {gathering, false, 0},
		"an answer":    {time.Millisecond, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, connect := pumpsAt(t, 2)
				c := connect()
				if tt.written != 0 {
					c.pace.next = p.mono().Add(gathering - tt.written)
				}
				began := time.Now()
				c.wake()
				if tt.hurry {
					p.hurry(c)
				}
				for synctest.Wait(); c.pumping.Load() != 0; synctest.Wait() {
					<-time.After(soon / 2)
				}
				if took := time.Since(began); took > tt.want || took < tt.want-soon {
					t.Errorf("pumped after %v, want %v", took, tt.want)
				}
			})
		})
	}
}

// Workers that wait for their clients do not keep the others from being
// pumped, and the number of those that do not wait is bounded.
func TestPumpsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, connect := pumpsAt(t, 2)
		release := make(chan struct{})
		for range 10 { // as workers whose write waits do
			p.mu.Lock()
			p.workers++
			p.mu.Unlock()
			go func() {
				p.leave()
				<-release
				p.rejoin()
				p.run()
			}()
			synctest.Wait()
		}
		var all []*conn
		for range 100 {
			c := connect()
			all = append(all, c)
			c.wake()
		}
		synctest.Wait()
		for i, c := range all {
			if c.pumping.Load() != 0 {
				t.Fatalf("connection %d was not pumped beside blocked ones", i)
			}
		}
		close(release)
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.workers > p.most || p.waiting > p.workers {
			t.Errorf("%d workers, %d waiting; at most %d", p.workers, p.waiting, p.most)
		}
	})
}

// What is queued behind a worker that has to wait is pumped by another one.
func TestPumpsBehindABlockedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, connect := pumpsAt(t, 1)
		p.rejoin() // the only worker is at work
		c := connect()
		c.wake()
		synctest.Wait()
		if c.pumping.Load() == 0 {
			t.Fatal("more workers than there may be")
		}
		p.leave()
		synctest.Wait()
		if c.pumping.Load() != 0 {
			t.Error("nobody pumped it")
		}
	})
}

// A surplus worker that is woken and ends leaves its connection to a waiting
// worker, not to one that returned and is busy.
func TestSurplusWorkerLeavesItsConnectionToAWaitingOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, connect := pumpsAt(t, 2)
		p.mu.Lock()
		for range 2 {
			c := connect()
			c.pumping.Store(2)
			p.push(c)
		}
		p.mu.Unlock()
		synctest.Wait() // both workers wait
		p.rejoin()
		c := connect()
		c.wake()
		synctest.Wait()
		if c.pumping.Load() != 0 {
			t.Error("nobody pumped it, although a worker waits")
		}
		p.leave()
	})
}

func TestFifo(t *testing.T) {
	var q fifo[int]
	for next, out := 0, 0; out < 1000; {
		for range 3 {
			q.push(next)
			next++
		}
		for range 2 {
			if q.first() != out {
				t.Fatalf("got %d, want %d", q.first(), out)
			}
			q.pop()
			out++
		}
		if q.len() != next-out {
			t.Fatalf("length %d, want %d", q.len(), next-out)
		}
	}
	for q.len() > 0 {
		q.pop()
	}
	if cap(q.items) > 4096 {
		t.Errorf("room for %d is kept", cap(q.items))
	}
}
