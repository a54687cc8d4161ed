package bench

import (
	"context"
	"time"
)

// recorded reports whether a post that was due then counts.
func (t *trial) recorded(due int64) bool { return due >= t.from.Load() && due < t.to.Load() }

// begun reports whether the measurement began so long ago.
func (t *trial) begun(ago time.Duration) bool {
	from := t.from.Load()
	return from > 0 && time.Since(t.book.origin) >= time.Duration(from)+ago
}

// traffic posts by the schedule, and measures the answers and deliveries.
func (t *trial) traffic(ctx context.Context) error {
	if err := t.gather(ctx, 4096); err != nil {
		return err
	}
	if err := t.settleIn(ctx); err != nil {
		return err
	}
	t.start(ctx)
	from := time.Now().Add(t.opts.Warm)
	to := from.Add(t.opts.For)
	t.to.Store(int64(to.Sub(t.book.origin)))
	t.from.Store(int64(from.Sub(t.book.origin)))
	sent := t.send(ctx, to)
	if err := t.wait(ctx, "warm up", from); err != nil {
		return err
	}
	before := t.usage()
	if err := t.wait(ctx, "measure", to); err != nil {
		return err
	}
	t.spend(before)
	t.result.Seconds = t.opts.For.Seconds()
	for range sent.n {
		if err := <-sent.errs; err != nil {
			t.fail(err)
		}
	}
	return t.finish(ctx)
}

// finish waits for answers and deliveries in flight, and reads the threads that
// nobody follows.
func (t *trial) finish(ctx context.Context) error {
	if err := t.settle(ctx, "settle", func() bool { return t.outstanding.Load() <= 0 }); err != nil {
		return err
	}
	if t.Viewers > 0 {
		return t.settle(ctx, "settle", t.caughtUp)
	}
	t.to.Store(t.from.Load()) // what is read from now on was not delivered
	return t.verify(ctx)
}

// sending is the posters that run in the background.
type sending struct {
	n    int
	errs chan error
}

// send starts the posters.
func (t *trial) send(ctx context.Context, end time.Time) sending {
	began := time.Now()
	s := sending{errs: make(chan error, len(t.members))}
	every := time.Duration(0)
	if t.Rate > 0 {
		every = time.Duration(float64(t.Posters) / t.Rate * float64(time.Second))
	}
	for _, m := range t.members {
		if !m.posts {
			continue
		}
		first := began.Add(every * time.Duration(s.n) / time.Duration(t.Posters))
		s.n++
		t.readers.Go(func() {
			if every > 0 {
				s.errs <- m.sendOpen(ctx, first, every, end)
				return
			}
			s.errs <- m.sendClosed(ctx, end, 0)
		})
	}
	return s
}

// start begins to read every connection.
func (t *trial) start(ctx context.Context) {
	for _, m := range t.members {
		t.readers.Go(func() { m.read(ctx) })
	}
}

// gather opens the connections, with read buffers of this number of bytes.
func (t *trial) gather(ctx context.Context, buffer int) error {
	t.members = make([]*member, t.Connections())
	return t.each(ctx, "connect", len(t.members), func(i int) error {
		s, err := t.connect(ctx, i, buffer)
		if err == nil {
			t.members[i] = t.member(s)
		}
		return err
	})
}

// settleIn makes threads, and lets all connections join and follow them.
func (t *trial) settleIn(ctx context.Context) error {
	n := len(t.members)
	t.threads = make([]*thread, t.Threads)
	if err := t.each(ctx, "prepare", n, func(i int) error { return t.makeOwn(ctx, i) }); err != nil {
		return err
	}
	for _, th := range t.threads {
		t.streams[th.stream] = th
	}
	if err := t.each(ctx, "prepare", n, func(i int) error { return t.enter(ctx, i) }); err != nil {
		return err
	}
	return t.each(ctx, "prepare", n, func(i int) error { return t.follow(ctx, t.members[i]) })
}

// makeOwn makes the threads of member i. With viewers, the first of each thread
// makes it; without, the threads are divided among the posters.
func (t *trial) makeOwn(ctx context.Context, i int) (err error) {
	m, first, step := t.members[i], i, len(t.members)
	if t.Viewers > 0 {
		if i%t.Viewers != 0 {
			return nil
		}
		first, step = i/t.Viewers, t.Threads
	}
	for k := first; k < t.Threads && err == nil; k += step {
		t.threads[k], err = t.create(ctx, m.Socket)
		if err == nil && t.Viewers == 0 {
			m.threads = append(m.threads, t.threads[k])
			m.tracks[t.threads[k].stream] = newTrack(0) // for verify
		}
	}
	return err
}

// enter lets member i join the thread of another one, and decides what it does
// there.
func (t *trial) enter(ctx context.Context, i int) error {
	m := t.members[i]
	if t.Viewers == 0 {
		m.posts = true
		if len(m.threads) > 0 {
			return nil
		}
		m.threads = []*thread{t.threads[i%t.Threads]}
		return t.join(ctx, m.Socket, m.threads[0])
	}
	place := i % t.Viewers
	m.threads = []*thread{t.threads[i/t.Viewers]}
	m.posts = place < t.Posters/t.Threads
	m.complete, m.timed = true, true
	if t.Sleeper && place == t.Viewers-1 {
		m.timed, m.asleep = false, min(t.opts.For/2, longestSleep)
	}
	if place == 0 {
		return nil
	}
	return t.join(ctx, m.Socket, m.threads[0])
}

// longestSleep keeps the server from disconnecting a sleeping reader, which it
// does after 30 s.
const longestSleep = 10 * time.Second

// follow subscribes to the member's thread after all members have joined.
func (t *trial) follow(ctx context.Context, m *member) error {
	if t.Viewers == 0 {
		return nil
	}
	_, after, err := t.subscribe(ctx, m.Socket, m.threads[0], "")
	if err == nil {
		m.tracks[m.threads[0].stream] = newTrack(after)
	}
	return err
}

// caughtUp reports whether the members have received everything that was acknowledged.
func (t *trial) caughtUp() bool {
	for _, m := range t.members {
		for stream, track := range m.tracks {
			if !m.over() && track.next.Load() <= t.streams[stream].head.Load() {
				return false
			}
		}
	}
	return true
}

// verify reads the threads that nobody followed from their start, each on the
// connection that made it.
func (t *trial) verify(ctx context.Context) error {
	late := time.Now().Add(verifyWithin)
	return t.each(ctx, "verify", len(t.members), func(i int) error {
		m := t.members[i]
		for stream, track := range m.tracks {
			m.again.Store(true)
			for track.next.Load() <= t.streams[stream].head.Load() && time.Now().Before(late) && !m.over() {
				if m.again.Swap(false) {
					if err := m.askFor(ctx, t.streams[stream], "start"); err != nil {
						return err
					}
				}
				if err := pause(ctx, time.Millisecond); err != nil {
					return err
				}
			}
			if err := m.WriteText(`{"op":"unsubscribe","id":"leave","stream":"%s"}`, stream); err != nil {
				return err
			}
		}
		m.complete = true
		return nil
	})
}

// verifyWithin bounds how long the threads are read.
const verifyWithin = time.Minute

// askFor subscribes while the reader runs. If the server puts the subscription
// off, it is repeated.
func (m *member) askFor(ctx context.Context, th *thread, from string) error {
	if err := pause(ctx, time.Until(m.t.book.origin.Add(time.Duration(m.until.Load())))); err != nil {
		return err
	}
	return m.WriteText("%s", subscription(th, from))
}
