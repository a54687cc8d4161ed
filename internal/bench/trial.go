package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// trial is one run of a scenario.
type trial struct {
	Scenario
	opts   *Options
	server *target
	book   *book
	result *Result

	streams map[string]*thread // by name; complete before posts go out
	threads []*thread
	members []*member
	readers sync.WaitGroup
	ended   atomic.Bool // the trial closes its connections itself from now on

	from, to                             atomic.Int64 // what is recorded was due within, in nanoseconds of the book
	ack, delivery, connecting, returning histogram
	outstanding                          atomic.Int64
	delivered, limited, refused, broken  atomic.Uint64
	doubled                              atomic.Uint64
	reporting                            sync.Mutex
	progress                             Progress
	fault                                error // the first; guarded by reporting
}

// thread is a thread that this trial made.
type thread struct {
	stream string
	head   atomic.Uint64 // the highest seq that was acknowledged
}

func newTrial(o *Options, server *target, s Scenario, p Progress) *trial {
	t := &trial{
		Scenario: s, opts: o, server: server, book: &book{origin: time.Now()}, progress: p,
		streams: map[string]*thread{},
		result: &Result{
			Scenario: s.Name, About: s.About, Connections: s.Connections(), Threads: s.Threads,
			Rate: s.Rate, InFlight: s.Window,
		},
	}
	switch {
	case s.Rate > 0:
		t.result.Schedule = "open"
	case s.Window > 0:
		t.result.Schedule = "closed"
	}
	return t
}

// longestTrial bounds a scenario beyond its measurement.
const longestTrial = 20 * time.Minute

// run runs the scenario and fills the result.
func (t *trial) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, longestTrial+t.opts.For+t.opts.Warm)
	err := t.Scenario.run(t, ctx)
	t.ended.Store(true)
	cancel() // which closes the connections
	t.readers.Wait()
	t.sum()
	t.reporting.Lock()
	defer t.reporting.Unlock()
	if err == nil {
		err = t.fault
	}
	return err
}

// sum adds up what the connections recorded.
func (t *trial) sum() {
	r := t.result
	for _, m := range t.members {
		if m == nil {
			continue // it did not come so far
		}
		for stream, track := range m.tracks {
			r.Doubled += track.doubled
			r.OutOfOrder += track.disorder
			if !m.cut && m.complete {
				r.Lost += track.lost(t.streams[stream].head.Load())
			}
		}
	}
	r.Doubled += t.doubled.Load()
	r.Unanswered = uint64(max(t.outstanding.Load(), 0))
	r.RateLimited, r.Refused, r.Broken = t.limited.Load(), t.refused.Load(), t.broken.Load()
	r.Ack, r.Delivery, r.Connect, r.Return = t.ack.quantiles(), t.delivery.quantiles(), t.connecting.quantiles(), t.returning.quantiles()
	if r.Ack != nil {
		r.Posts = r.Ack.Count
	}
	r.Deliveries = t.delivered.Load()
	if r.Seconds > 0 {
		r.PostsPerSecond = float64(r.Posts) / r.Seconds
		r.DeliveriesPerSecond = float64(r.Deliveries) / r.Seconds
	}
	if r.Server != nil {
		r.Server.share(r)
	}
}

// share divides the use of the server by the work that it did; before that, the
// fields hold sums.
func (s *Server) share(r *Result) {
	if s.CPUPerConnect == 0 && r.Deliveries > 0 {
		s.CPUPerMillion = s.CPUSeconds / float64(r.Deliveries) * 1e6
	}
	if posts := float64(r.Posts); posts > 0 {
		s.CPUPerPost = s.CPUSeconds / posts * 1e6
		s.KBWrittenPerPost /= posts
		s.WritesPerPost /= posts
		s.ReadsPerPost /= posts
		s.AllocsPerPost /= posts
		return
	}
	s.KBWrittenPerPost, s.WritesPerPost, s.ReadsPerPost, s.AllocsPerPost = 0, 0, 0, 0
}

// usage returns the use of the server so far; zero if it is unknown.
func (t *trial) usage() Usage {
	if t.opts.Meter == nil {
		return Usage{}
	}
	u, err := t.opts.Meter()
	if err != nil {
		t.fail(fmt.Errorf("bench: measure the server: %w", err))
	}
	return u
}

// spend records the use of the server since then.
func (t *trial) spend(since Usage) {
	if t.opts.Meter == nil {
		return
	}
	now := t.usage()
	t.result.Server = &Server{
		CPUSeconds:       (now.CPU - since.CPU).Seconds(),
		KBWrittenPerPost: float64(now.Written-since.Written) / 1024,
		WritesPerPost:    float64(now.Writes - since.Writes),
		ReadsPerPost:     float64(now.Reads - since.Reads),
		AllocsPerPost:    float64(now.Mallocs - since.Mallocs),
		ResidentMB:       float64(now.Resident) / (1 << 20),
		PeakMB:           float64(now.Peak) / (1 << 20),
	}
}

// fail records the first error.
func (t *trial) fail(err error) {
	t.reporting.Lock()
	defer t.reporting.Unlock()
	if t.fault == nil {
		t.fault = err
	}
}

// report reports how far a step is.
func (t *trial) report(step string, done, all int) {
	t.reporting.Lock()
	defer t.reporting.Unlock()
	t.progress.Step, t.progress.Done, t.progress.All = step, done, all
	t.opts.Progress(t.progress)
}

// reportEvery is the interval of a step's reports.
const reportEvery = 500 * time.Millisecond

// wait waits until then, or until ctx ends.
func (t *trial) wait(ctx context.Context, step string, until time.Time) error {
	began := time.Now()
	for now := began; now.Before(until); now = time.Now() {
		t.report(step, int(now.Sub(began).Seconds()), int(until.Sub(began).Seconds()+0.5))
		if err := pause(ctx, min(reportEvery, until.Sub(now))); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// settleWithin is the time for answers and deliveries after the last post.
const settleWithin = 10 * time.Second

// settle waits until every post is answered and was delivered to all who follow
// its thread.
func (t *trial) settle(ctx context.Context, step string, settled func() bool) error {
	t.report(step, 0, 0)
	for late := time.Now().Add(settleWithin); !settled() && time.Now().Before(late); {
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// The bounds of retries after a limit of the server.
const (
	maxTries  = 200
	usualWait = 500 * time.Millisecond
)

// retry repeats a call that the server rejects temporarily.
func (t *trial) retry(ctx context.Context, call func() error) error {
	for n := 1; ; n++ {
		err := call()
		var refused *Refused
		if !errors.As(err, &refused) || !refused.passes() || n == maxTries {
			return err
		}
		if refused.Status == tooMany {
			t.limited.Add(1)
		}
		wait := max(refused.RetryAfter, usualWait)
		if err := pause(ctx, wait+rand.N(wait/4)); err != nil {
			return err
		}
	}
}

const tooMany = 429

// connect opens the connection of a user and reads the welcome.
func (t *trial) connect(ctx context.Context, user, buffer int) (*Socket, error) {
	token, err := t.opts.Users.Token(ctx, user)
	if err != nil {
		return nil, err
	}
	var s *Socket
	began := time.Now()
	err = t.retry(ctx, func() (err error) {
		s, err = t.server.dialSocket(ctx, token, buffer)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connect user %d: %w", user, err)
	}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	for {
		frame, err := s.ReadText()
		if err != nil {
			return nil, fmt.Errorf("connect user %d: %w", user, err)
		}
		if bytes.HasPrefix(frame, []byte(`{"op":"welcome"`)) {
			t.connecting.record(time.Since(began))
			return s, nil
		}
	}
}

// each calls do for 0 to n-1, up to a number at a time, and returns the first
// error.
func (t *trial) each(ctx context.Context, step string, n int, do func(i int) error) error {
	var next, done atomic.Int64
	var failed atomic.Pointer[error]
	var workers sync.WaitGroup
	for range min(n, t.opts.Handshakes) {
		workers.Go(func() {
			for i := int(next.Add(1) - 1); i < n && ctx.Err() == nil && failed.Load() == nil; i = int(next.Add(1) - 1) {
				if err := do(i); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				if d := int(done.Add(1)); d%100 == 0 || d == n {
					t.report(step, d, n)
				}
			}
		})
	}
	workers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}

// call sends a frame and returns its answer. It must not be used while the
// member's reader runs.
func (t *trial) call(ctx context.Context, s *Socket, frame string) (answer string, err error) {
	err = t.retry(ctx, func() error {
		if err := s.WriteText("%s", frame); err != nil {
			return err
		}
		for {
			b, err := s.ReadText()
			switch {
			case err != nil:
				return err
			case bytes.HasPrefix(b, errorFrame):
				_, refused := refusedBy(b)
				return refused
			case bytes.HasPrefix(b, ackFrame), bytes.HasPrefix(b, []byte(`{"op":"subscribed"`)):
				answer = string(b)
				return nil
			}
		}
	})
	return answer, err
}

// command makes the frame of a command with a request id as clients make them.
func command(id, stream, kind, data string) string {
	return fmt.Sprintf(`{"op":"command","id":%q,"request_id":%q,"stream":%q,"type":%q,"data":%s}`,
		id, requestID(), stream, kind, data)
}

// create makes a public thread with a home of its own.
func (t *trial) create(ctx context.Context, s *Socket) (*thread, error) {
	data := fmt.Sprintf(`{"scope_id":%q,"privacy_level":"public"}`, runName())
	answer, err := t.call(ctx, s, command("make", "thread", "thread.create", data))
	if err != nil {
		return nil, fmt.Errorf("make a thread: %w", err)
	}
	made := &thread{stream: between(answer, `"stream":"`, `"`)}
	_, head := ackOf([]byte(answer))
	made.head.Store(head)
	return made, nil
}

func (t *trial) join(ctx context.Context, s *Socket, th *thread) error {
	if _, err := t.call(ctx, s, command("join", th.stream, "thread.join", "{}")); err != nil {
		return fmt.Errorf("join a thread: %w", err)
	}
	return nil
}

// subscribe follows a thread from a cursor or, if from is empty, from now on.
// It returns the cursor where the subscription begins, and its seq.
func (t *trial) subscribe(ctx context.Context, s *Socket, th *thread, from string) (cursor string, seq uint64, err error) {
	answer, err := t.call(ctx, s, subscription(th, from))
	if err != nil {
		return "", 0, fmt.Errorf("follow a thread: %w", err)
	}
	cursor = between(answer, `"cursor":"`, `"`)
	_, number, _ := strings.Cut(cursor, ":")
	return cursor, leadingNumber([]byte(number), 10), nil
}

func subscription(th *thread, from string) string {
	if from != "" {
		from = `,"cursor":"` + from + `"`
	}
	return `{"op":"subscribe","id":"follow","stream":"` + th.stream + `"` + from + `}`
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}
