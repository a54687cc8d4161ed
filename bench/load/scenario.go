package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
)

const text = "Air mulai surut di gang tiga; pompa kedua bisa dipindah ke balai warga sore ini, tolong dua orang."

// thread makes a public thread of its own scope.
func (s *server) thread(scope string) (string, error) {
	var made struct {
		ID string `json:"thread_id"`
	}
	err := s.post("owner", "/v1/chat/threads", map[string]string{"scope_id": scope, "privacy_level": "public"}, &made)
	return "thread/" + made.ID, err
}

// posts measures acknowledged posts: callers with one command in flight each.
func posts(r *run) error {
	fmt.Println("callers\tthreads\tposts/s\tof bare SQLite\tp50 ms\tp99 ms\tserver CPU µs/post")
	for _, c := range []struct{ callers, threads int }{{1, 1}, {64, 1}, {64, 10}, {200, 10}} {
		var streams []string
		for i := range c.threads {
			s, err := r.thread(fmt.Sprint("posts", c.callers, "-", c.threads, "-", i))
			if err != nil {
				return err
			}
			streams = append(streams, s)
		}
		limit, err := r.postsLimit(min(c.callers, 64), c.threads)
		if err != nil {
			return err
		}
		if err := r.ack(c.callers, streams, limit); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) ack(callers int, streams []string, limit float64) error {
	sockets := make([]*socket, callers)
	for i := range sockets {
		w, err := r.dial("owner", 4096)
		if err != nil {
			return err
		}
		defer func() { _ = w.conn.Close() }()
		if err := w.until(`"welcome"`); err != nil {
			return err
		}
		sockets[i] = w
	}
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var wg sync.WaitGroup
	began, cpu := time.Now(), r.cpu()
	r.profiled(fmt.Sprint("posts", callers), func() {
		for i, w := range sockets {
			wg.Go(func() {
				mine, err := postFor(w, streams[i%len(streams)], r.length)
				mu.Lock()
				defer mu.Unlock()
				took = append(took, mine...)
				if err != nil {
					failed = err
				}
			})
		}
		wg.Wait()
	})
	length, used := time.Since(began), r.cpu()-cpu
	if failed != nil {
		return failed
	}
	slices.Sort(took)
	rate := float64(len(took)) / length.Seconds()
	fmt.Printf("%d\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.1f\n", callers, len(streams), rate, rate/limit,
		milli(took[len(took)/2]), milli(took[len(took)*99/100]), float64(used.Microseconds())/float64(len(took)))
	return nil
}

func milli(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func postFor(w *socket, stream string, length time.Duration) ([]time.Duration, error) {
	var took []time.Duration
	for began := time.Now(); time.Since(began) < length; {
		at := time.Now()
		if err := w.post(stream); err != nil {
			return took, err
		}
		if err := w.until(`{"op":"ack"`); err != nil {
			return took, err
		}
		took = append(took, time.Since(at))
	}
	return took, nil
}

// post sends one message under a new request id, a UUIDv7 as clients make them.
func (w *socket) post(stream string) error {
	request := gotong.NewEventID(gotong.InstantOf(time.Now()), rand.Uint64()).String()
	return w.send(`{"op":"command","id":"1","request_id":%q,"stream":%q,"type":"message.post","data":{"body":%q}}`,
		request, stream, text)
}

// crowd is readers that count.
type crowd struct {
	delivered atomic.Int64
	streams   []string
	sockets   []*socket
}

// gather makes threads, and readers who follow one each from now on.
func (r *run) gather(threads, readers int) (*crowd, error) {
	c := &crowd{}
	for i := range threads {
		s, err := r.thread(fmt.Sprint("fan", i))
		if err != nil {
			return nil, err
		}
		c.streams = append(c.streams, s)
		for j := range readers {
			user := fmt.Sprint("reader", j)
			if err := r.post(user, "/v1/chat/threads/"+s[len("thread/"):]+"/join", nil, nil); err != nil {
				return nil, err
			}
			w, err := r.dial(user, 64<<10)
			if err != nil {
				return nil, err
			}
			if err := w.send(`{"op":"subscribe","id":"1","stream":%q}`, s); err != nil {
				return nil, err
			}
			if err := w.until(`"subscribed"`); err != nil {
				return nil, err
			}
			c.sockets = append(c.sockets, w)
			go w.count(&c.delivered)
		}
	}
	return c, nil
}

func (c *crowd) close() {
	for _, w := range c.sockets {
		_ = w.conn.Close()
	}
}

// pass lets a measurement last; an interrupt ends it.
func (r *run) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.ctx.Done():
	}
}

// fanout is 10 threads with 100 readers each, at open throttle: 16 commands in
// flight per thread.
func fanout(r *run) error {
	fmt.Println("threads x readers\tdeliveries/s\tposts/s\tserver CPU-s per million\tbare writes: deliveries/s\tCPU-s per million")
	limit, limitCPU, err := r.fanoutLimit("open")
	if err != nil {
		return err
	}
	c, err := r.gather(10, 100)
	if err != nil {
		return err
	}
	defer c.close()
	var posted atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, s := range c.streams {
		w, err := r.dial("owner", 4096)
		if err != nil {
			return err
		}
		defer func() { _ = w.conn.Close() }()
		wg.Go(func() { pipeline(w, s, 16, stop, &posted) })
	}
	r.pass(time.Second) // warm
	from, posts, cpu, began := c.delivered.Load(), posted.Load(), r.cpu(), time.Now()
	r.profiled("fanout", func() { r.pass(r.length) })
	delivered, used, took := c.delivered.Load()-from, r.cpu()-cpu, time.Since(began)
	sent := posted.Load() - posts
	close(stop)
	wg.Wait()
	fmt.Printf("10 x 100\t%.0f\t%.0f\t%.2f\t%.0f\t%.2f\n", float64(delivered)/took.Seconds(), float64(sent)/took.Seconds(),
		used.Seconds()/float64(delivered)*1e6, limit, limitCPU)
	return nil
}

// pipeline keeps n posts in flight.
func pipeline(w *socket, stream string, n int, stop <-chan struct{}, posted *atomic.Int64) {
	slots := make(chan struct{}, n)
	go func() {
		for {
			if err := w.until(`{"op":"ack"`); err != nil {
				return
			}
			posted.Add(1)
			<-slots
		}
	}()
	for {
		select {
		case <-stop:
			return
		case slots <- struct{}{}:
		}
		if w.post(stream) != nil {
			return
		}
	}
}

// steady is the same crowd at 200 posts a second in all.
func steady(r *run) error {
	fmt.Println("threads x readers\tposts/s\tdeliveries/s\tserver CPU-s per million\tp99 of ack ms\tbare writes: CPU-s per million")
	_, limitCPU, err := r.fanoutLimit("steady")
	if err != nil {
		return err
	}
	c, err := r.gather(10, 100)
	if err != nil {
		return err
	}
	defer c.close()
	w, err := r.dial("owner", 4096)
	if err != nil {
		return err
	}
	defer func() { _ = w.conn.Close() }()
	if err := w.until(`"welcome"`); err != nil {
		return err
	}
	from, cpu, began := c.delivered.Load(), r.cpu(), time.Now()
	var took []time.Duration
	r.profiled("steady", func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; time.Since(began) < r.length; i++ {
			<-tick.C
			at := time.Now()
			if err = w.post(c.streams[i%10]); err == nil {
				err = w.until(`{"op":"ack"`)
			}
			if err != nil {
				return
			}
			took = append(took, time.Since(at))
		}
	})
	if err != nil {
		return err
	}
	delivered, used, length := c.delivered.Load()-from, r.cpu()-cpu, time.Since(began)
	slices.Sort(took)
	fmt.Printf("10 x 100\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\n", float64(len(took))/length.Seconds(),
		float64(delivered)/length.Seconds(), used.Seconds()/float64(delivered)*1e6, milli(took[len(took)*99/100]), limitCPU)
	return nil
}

// connect opens connections side by side and does something with each.
func (r *run) connect(n int, each func(i int, w *socket) error) ([]*socket, error) {
	sockets := make([]*socket, n)
	var failed atomic.Value
	var wg sync.WaitGroup
	slots := make(chan struct{}, 1000) // the kernel queues no more handshakes at once
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			w, err := r.dial(fmt.Sprint("reader", i%100), 512) // a user has at most 256 connections
			if err == nil {
				sockets[i] = w
				err = each(i, w)
			}
			if err != nil {
				failed.Store(err)
			}
		})
	}
	wg.Wait()
	err, _ := failed.Load().(error)
	return sockets, err
}

// idle is connections that follow a thread in which nothing happens.
func idle(r *run) error {
	fmt.Println("connections\tKB resident each\tCPU ms/s while idle")
	stream, err := r.thread("idle")
	if err != nil {
		return err
	}
	for i := range 100 {
		if err := r.post(fmt.Sprint("reader", i), "/v1/chat/threads/"+stream[7:]+"/join", nil, nil); err != nil {
			return err
		}
	}
	before := r.rss()
	sockets, err := r.connect(r.clients, func(_ int, w *socket) error {
		if err := w.send(`{"op":"subscribe","id":"1","stream":%q}`, stream); err != nil {
			return err
		}
		return w.until(`"subscribed"`)
	})
	if err != nil {
		return err
	}
	r.pass(r.length)
	cpu, began := r.cpu(), time.Now()
	r.pass(2 * r.length)
	fmt.Printf("%d\t%.1f\t%.1f\n", r.clients, float64(r.rss()-before)/1024/float64(r.clients),
		float64((r.cpu()-cpu).Milliseconds())/time.Since(began).Seconds())
	r.heap("idle")
	for _, w := range sockets {
		_ = w.conn.Close()
	}
	return nil
}

// storm is clients that come back at the same moment, each 100 messages behind.
func storm(r *run) error {
	fmt.Println("clients x missed\tseconds\tserver CPU-s per million\tpeak MB resident")
	const threads, missed = 10, 100
	streams := make([]string, threads)
	for i := range streams {
		var err error
		if streams[i], err = r.thread(fmt.Sprint("storm", i)); err != nil {
			return err
		}
		for j := i; j < 100; j += threads {
			if err := r.post(fmt.Sprint("reader", j), "/v1/chat/threads/"+streams[i][7:]+"/join", nil, nil); err != nil {
				return err
			}
		}
	}
	cursors := make([]string, threads)
	for i, s := range streams {
		var err error
		if cursors[i], err = r.fill(fmt.Sprint("reader", i), s, missed); err != nil {
			return err
		}
	}
	var delivered atomic.Int64
	peak, stop := int64(0), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			peak = max(peak, r.rss())
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	cpu, began := r.cpu(), time.Now()
	var sockets []*socket
	var err error
	r.profiled("storm", func() {
		sockets, err = r.connect(r.clients, func(i int, w *socket) error {
			return w.missed(streams[i%threads], cursors[i%threads], missed, &delivered)
		})
	})
	took, used := time.Since(began), r.cpu()-cpu
	close(stop)
	wg.Wait()
	if err != nil {
		return err
	}
	fmt.Printf("%d x %d\t%.2f\t%.2f\t%d\n", r.clients, missed, took.Seconds(),
		used.Seconds()/float64(delivered.Load())*1e6, peak>>20)
	for _, w := range sockets {
		_ = w.conn.Close()
	}
	return nil
}

// fill notes where a stream is and posts what will have been missed.
func (r *run) fill(user, stream string, n int) (cursor string, err error) {
	w, err := r.dial(user, 4096)
	if err != nil {
		return "", err
	}
	defer func() { _ = w.conn.Close() }()
	if err := w.send(`{"op":"subscribe","id":"1","stream":%q}`, stream); err != nil {
		return "", err
	}
	b, err := w.subscribed()
	if err != nil {
		return "", err
	}
	cursor = between(b, `"cursor":"`, `"`)
	for range n {
		if err := w.post(stream); err != nil {
			return "", err
		}
		if err := w.until(`{"op":"ack"`); err != nil {
			return "", err
		}
	}
	return cursor, nil
}
