package realtime

import (
	"testing"
	"testing/synctest"
	"time"
)

// pumpsAt is a pool of writers for connections without a session: to pump one
// is to mark it idle.
func pumpsAt(t *testing.T, most int) (*pool, func() *conn) {
	t.Helper()
	r, s := new(running), new(Server)
	s.pumps.init(r, (*conn).pump, most, most)
	t.Cleanup(func() { r.close(); s.pumps.close(); r.wait() })
	return &s.pumps, func() *conn { return &conn{server: s} }
}

// A connection with frames to write waits for its turn and for nothing else:
// while all workers are busy, what arrives is gathered for one turn.
func TestConnectionWaitsForItsTurnOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, connect := pumpsAt(t, 1)
		c, began := connect(), time.Now()
		p.rejoin() // the only worker is busy
		for range 100 {
			c.wake()
		}
		p.mu.Lock()
		n := p.ready.len()
		p.mu.Unlock()
		if n != 1 {
			t.Errorf("%d turns for one connection", n)
		}
		p.leave()
		for range 3 { // also right after a write
			synctest.Wait()
			if c.pumping.Load() != 0 {
				t.Fatal("not written, although a worker is free")
			}
			c.wake()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("written after %v", took)
		}
	})
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
