package live_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// writers is a pool of goroutines that take for whoever was woken, as a
// transport does, and count instead of writing.
type writers struct {
	queue chan *sink
	taken atomic.Int64
	bytes atomic.Int64
	wg    sync.WaitGroup
}

type sink struct {
	pool    *writers
	s       *live.Session
	waiting atomic.Bool
}

func (k *sink) wake() {
	if !k.waiting.Swap(true) {
		k.pool.queue <- k
	}
}

func newWriters(n, sinks int) *writers {
	p := &writers{queue: make(chan *sink, sinks+1)}
	for range n {
		p.wg.Go(func() {
			var frames []live.Frame
			for k := range p.queue {
				k.waiting.Store(false)
				for more := true; more; {
					frames, more = k.s.Take(frames[:0], 64<<10)
					size := 0
					for i := range frames {
						size += len(frames[i].WebSocket())
					}
					p.bytes.Add(int64(size))
					p.taken.Add(int64(len(frames)))
					if len(frames) > 0 {
						k.s.Written()
					}
				}
			}
		})
	}
	return p
}

func (p *writers) open(b *testing.B, h *live.Hub, stream gotong.Stream) {
	b.Helper()
	k := &sink{pool: p}
	s, err := h.Open(reader("ann"), live.SessionOptions{Wake: k.wake})
	if err != nil {
		b.Fatal(err)
	}
	k.s = s
	if err := s.Subscribe(live.Subscription{Stream: stream}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
}

// crowd lets one user have as many sessions as there are readers.
func crowd(o *live.Options) { o.Limits.UserSessions = 1 << 20 }

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFanOut delivers to 10 streams × 100 readers at open throttle, a
// window of events in flight per stream: one operation is one delivery.
func BenchmarkFanOut(b *testing.B) {
	for _, window := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("window=", window), func(b *testing.B) { fanOut(b, window) })
	}
}

func fanOut(b *testing.B, window int) {
	b.Helper()
	const streams, readers = 10, 100
	w := newWorld(b)
	h := w.start(crowd)
	p := newWriters(2, streams*readers)
	b.Cleanup(func() { close(p.queue); p.wg.Wait() })
	var next []store.Event
	for i := range streams {
		s := gotong.Stream(fmt.Sprint("room/", i))
		next = append(next, w.commit(h, s, add("ann"), say(string(make([]byte, 50)))))
		for range readers {
			p.open(b, h, s)
		}
	}
	waitFor(func() bool { return p.taken.Load() >= streams*readers })
	p.taken.Store(0)
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	mallocs, used := ms.Mallocs, cpu()
	positions := map[gotong.Partition]uint64{}
	for _, e := range next {
		positions[e.Partition] = max(positions[e.Partition], e.Position)
	}
	b.ResetTimer()
	sent := int64(0)
	for round := 0; sent < int64(b.N); round++ {
		for i := range next {
			next[i].Seq++
			next[i].Count++
			positions[next[i].Partition]++
			next[i].Position = positions[next[i].Partition]
			h.Offer(context.Background(), []store.Event{next[i]})
			sent += readers
		}
		if inFlight := int64(window * streams * readers); sent > inFlight {
			waitFor(func() bool { return p.taken.Load() >= sent-inFlight })
		}
	}
	waitFor(func() bool { return p.taken.Load() >= sent })
	b.StopTimer()
	runtime.ReadMemStats(&ms)
	b.ReportMetric(float64(cpu()-used)/float64(sent), "cpu-ns/delivery")
	b.ReportMetric(float64(ms.Mallocs-mallocs)/float64(sent), "allocs/delivery")
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "deliveries/s")
}

func waitFor(done func() bool) {
	for !done() {
		runtime.Gosched()
	}
}

// BenchmarkIdleSession measures what an idle session with one subscription
// keeps.
func BenchmarkIdleSession(b *testing.B) {
	w := newWorld(b)
	h := w.start(crowd)
	w.commit(h, r1, add("ann"))
	p := newWriters(1, b.N)
	b.Cleanup(func() { close(p.queue); p.wg.Wait() })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range b.N {
		p.open(b, h, r1)
	}
	waitFor(func() bool { return p.taken.Load() >= int64(b.N) })
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "heap-B/session")
	b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
}

// BenchmarkReturn brings 10,000 clients back to 10 streams with 100 missed
// events each.
func BenchmarkReturn(b *testing.B) {
	const streams, clients, missed = 10, 10_000, 100
	w := newWorld(b)
	h := w.start()
	for i := range streams {
		s := gotong.Stream(fmt.Sprint("room/", i))
		w.commit(h, s, add("ann"))
		for n := range clients {
			w.docs = map[gotong.Key]any{} // the model's own memory is not what is measured
			if n%streams == i {
				w.commit(nil, s, add(fmt.Sprint("user", n)))
			}
		}
		for range missed {
			w.commit(h, s, say(string(make([]byte, 50))))
		}
	}
	b.ResetTimer()
	for range b.N {
		p := newWriters(2, clients)
		var sessions []*live.Session
		used := cpu()
		began := time.Now()
		for i := range clients {
			k := &sink{pool: p}
			s, err := h.Open(reader(fmt.Sprint("user", i)), live.SessionOptions{Wake: k.wake})
			if err != nil {
				b.Fatal(err)
			}
			k.s = s
			start := live.At(gotong.Cursor{Epoch: "test", Seq: 1 + clients/streams})
			if err := s.Subscribe(live.Subscription{Stream: gotong.Stream(fmt.Sprint("room/", i%streams)), Start: start}); err != nil {
				b.Fatal(err)
			}
			sessions = append(sessions, s)
		}
		waitFor(func() bool { return p.taken.Load() >= 2*clients })
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms")
		b.ReportMetric(float64(cpu()-used)/float64(clients*missed), "cpu-ns/event")
		for _, s := range sessions {
			s.Close()
		}
		close(p.queue)
		p.wg.Wait()
	}
}
