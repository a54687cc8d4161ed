package bench

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"time"
)

// perIdle is the number of members of a quiet thread.
const perIdle = 100

// idle measures connects, then the cost of connections that follow threads
// without events.
func (t *trial) idle(ctx context.Context) error {
	before, began := t.usage(), time.Now()
	if err := t.gather(ctx, 512); err != nil {
		return err
	}
	connecting := time.Since(began)
	connected := t.usage()
	t.Threads, t.Viewers = (t.Clients+perIdle-1)/perIdle, perIdle
	t.result.Threads = t.Threads
	if err := t.settleIn(ctx); err != nil {
		return err
	}
	t.start(ctx)
	warm := t.opts.Warm
	if t.opts.Meter != nil {
		warm = max(warm, restWithin)
	}
	if err := t.wait(ctx, "warm up", time.Now().Add(warm)); err != nil {
		return err
	}
	quiet, began := t.usage(), time.Now()
	if err := t.wait(ctx, "measure", began.Add(t.opts.For)); err != nil {
		return err
	}
	t.result.Seconds = time.Since(began).Seconds()
	t.result.ConnectsPerSecond = float64(t.Clients) / connecting.Seconds()
	t.spend(quiet)
	if s := t.result.Server; s != nil {
		s.CPUPerConnect = (connected.CPU - before.CPU).Seconds() * 1000 / float64(t.Clients)
		s.KBPerConnection = float64(t.usage().Resident-before.Resident) / 1024 / float64(t.Clients)
	}
	return nil
}

// restWithin is how long a quiet server may take to return to the system the
// memory that a burst of connects left.
const restWithin = 8 * time.Second

// perEveryday is the number of members of a thread of the everyday scenario.
const perEveryday = 50

// everyday measures a community whose members are all connected and follow a
// thread each. The first of each thread post for all.
func (t *trial) everyday(ctx context.Context) error {
	t.Threads, t.Viewers = (t.Clients+perEveryday-1)/perEveryday, perEveryday
	t.Posters, t.Rate = t.Threads, float64(t.Clients)/60
	t.result.Threads, t.result.Rate, t.result.Schedule = t.Threads, t.Rate, "open"
	return t.traffic(ctx)
}

// storm measures clients that all reconnect at the same moment, each some posts
// behind.
func (t *trial) storm(ctx context.Context) error {
	t.Threads = min(t.Threads, t.Clients)
	cursors, err := t.leave(ctx)
	if err != nil {
		return err
	}
	t.to.Store(math.MaxInt64) // from now on deliveries count
	before, began := t.usage(), time.Now()
	t.members = make([]*member, t.Clients)
	err = t.each(ctx, "measure", t.Clients, func(i int) error {
		s, err := t.connect(ctx, i, 512)
		if err != nil {
			return err
		}
		m := t.member(s)
		t.members[i] = m
		if err := t.catchUp(m, t.threads[i%t.Threads], cursors[i%t.Threads]); err != nil {
			return err
		}
		t.returning.record(time.Since(began))
		return nil
	})
	t.result.Seconds = time.Since(began).Seconds()
	if err != nil {
		return err
	}
	t.spend(before)
	t.result.ConnectsPerSecond = float64(t.Clients) / t.result.Seconds
	return nil
}

// leave lets every client join its thread and disconnect, and then posts what
// they miss. It returns where each thread was when they disconnected.
func (t *trial) leave(ctx context.Context) (cursors []string, err error) {
	owners := make([]*member, t.Threads)
	t.threads, cursors = make([]*thread, t.Threads), make([]string, t.Threads)
	for i := range owners {
		s, err := t.connect(ctx, i, 4096)
		if err != nil {
			return nil, err
		}
		owners[i] = t.member(s)
		if t.threads[i], err = t.create(ctx, s); err != nil {
			return nil, err
		}
		owners[i].threads = t.threads[i : i+1]
		t.streams[t.threads[i].stream] = t.threads[i]
	}
	if err := t.each(ctx, "prepare", t.Clients-t.Threads, func(i int) error {
		i += t.Threads
		s, err := t.connect(ctx, i, 512)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		return t.join(ctx, s, t.threads[i%t.Threads])
	}); err != nil {
		return nil, err
	}
	err = t.each(ctx, "prepare", t.Threads, func(i int) (err error) {
		cursors[i], _, err = t.subscribe(ctx, owners[i].Socket, t.threads[i], "")
		if err != nil {
			return err
		}
		return t.fill(ctx, owners[i], t.Missed)
	})
	return cursors, err
}

// fill posts this number of messages and closes the connection.
func (t *trial) fill(ctx context.Context, m *member, posts int) error {
	m.slots = make(chan struct{}, 16)
	t.readers.Go(func() { m.read(ctx) })
	if err := m.sendClosed(ctx, time.Now().Add(longestTrial), posts); err != nil {
		return err
	}
	for range cap(m.slots) { // until all are answered
		select {
		case m.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-m.gone:
			return nil
		}
	}
	m.leaving.Store(true)
	return m.Close()
}

// catchUp follows a thread from a cursor and reads until its head.
func (t *trial) catchUp(m *member, th *thread, cursor string) error {
	_, number, _ := strings.Cut(cursor, ":")
	track := newTrack(leadingNumber([]byte(number), 10))
	m.tracks[th.stream] = track
	if err := errors.Join(m.WriteText("%s", subscription(th, cursor)), m.SetReadDeadline(time.Now().Add(verifyWithin))); err != nil {
		return err
	}
	for track.next.Load() <= th.head.Load() {
		frame, err := m.ReadText()
		if err == nil {
			err = m.take(frame)
		}
		if err != nil {
			m.complete = errors.Is(err, os.ErrDeadlineExceeded) // then the rest is lost
			return err
		}
	}
	m.complete = true
	return nil
}

// backlog measures clients, one at a time, that read a long thread.
func (t *trial) backlog(ctx context.Context) error {
	t.threads = make([]*thread, 1)
	s, err := t.connect(ctx, 0, 4096)
	if err != nil {
		return err
	}
	m := t.member(s)
	if t.threads[0], err = t.create(ctx, s); err != nil {
		return err
	}
	t.streams[t.threads[0].stream] = t.threads[0]
	m.threads, m.text = t.threads, strings.Repeat(usualText+" ", longText/len(usualText+" "))
	t.report("prepare", 0, 0)
	if err := t.fill(ctx, m, t.Bytes/len(m.text)+1); err != nil {
		return err
	}
	t.to.Store(math.MaxInt64)
	before, began := t.usage(), time.Now()
	for i := range backlogRounds {
		t.report("measure", i, backlogRounds)
		s, err := t.connect(ctx, 0, 64<<10)
		if err != nil {
			return err
		}
		reader, from := t.member(s), time.Now()
		t.members = append(t.members, reader)
		if err := t.catchUp(reader, t.threads[0], "start"); err != nil {
			return err
		}
		t.returning.record(time.Since(from))
		_ = s.Close()
	}
	t.result.Seconds = time.Since(began).Seconds()
	t.spend(before)
	return nil
}

const (
	longText      = 3_900 // a message has at most 4,000 characters
	backlogRounds = 5
)
