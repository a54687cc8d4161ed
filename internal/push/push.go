// Package push sends Web Push messages (RFC 8030), which browsers, UnifiedPush and
// ntfy accept. A reader, [Planner], makes a job for each thread with something to push
// or to withdraw; after a delay, the handler decides for each member and sends.
//
// A push holds ids and counts, and no text of a message: the receiver renders it. One
// push stands for everything unread in a thread. A later one replaces it; once nothing
// is unread, a push with the count 0 withdraws it.
//
// # Caveats
//
// Pushes are notices, not delivery: a push service may drop them. If a node crashes
// while it sends, the push is sent again and replaces the first one.
//
// After a read mark, the node that set it sends the withdrawal, and tries again as for a
// push. If that node crashes first, the next push of the thread corrects the count.
package push

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/thread"
	settings "gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/outbound"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// queue is the name of the reader and of its queue. The id of a job is a stream.
const queue = "push"

const (
	tooOld   = 24 * time.Hour // an older message is not announced, nor kept by a push service
	newest   = 256            // events of a thread that are considered
	members  = 500            // that are read at once
	batch    = 50             // users who are decided on with one read
	maxMarks = 4096           // reads that wait for their withdrawal
	maxWaits = 4096           // streams whose waiting members are remembered
)

// Planner returns the reader that makes a job when a thread has something to push or
// to withdraw. With on false it only follows the log, so that a server on which push
// is enabled later begins with the newest messages.
func Planner(on bool, delay time.Duration) reader.Reader {
	return reader.Reader{Name: queue, Read: func(_ map[gotong.Key][]byte, run []reader.Commit) (step reader.Step, err error) {
		for _, c := range run {
			for i := range c.Events {
				e := &c.Events[i]
				due := e.At
				switch e.Type {
				case thread.EvPosted, thread.EvEdited, thread.EvReleased: // an edit may mention somebody
					if !bytes.Contains(e.Data, []byte(`"siaga":true`)) {
						due = due.Add(delay)
					}
				case thread.EvDeleted, thread.EvHeld, thread.EvBlocked:
				default:
					continue
				}
				if on && e.Stream.Kind() == thread.Name {
					step.Jobs = append(step.Jobs, store.Job{Queue: queue, ID: string(e.Stream), Due: due})
				}
			}
		}
		return step, nil
	}}
}

// Alerting returns the reader of inboxes, which then also makes a job for each user, and
// for each wide stream, to whose list it adds an item that no thread announces.
func Alerting(r reader.Reader, on bool, delay time.Duration) reader.Reader {
	read := r.Read
	r.Read = func(docs map[gotong.Key][]byte, run []reader.Commit) (reader.Step, error) {
		step, err := read(docs, run)
		for of, at := range inbox.Given(step.Changes, pushed...) {
			if on {
				step.Jobs = append(step.Jobs, store.Job{Queue: queue, ID: string(of), Due: at.Add(delay)})
			}
		}
		return step, err
	}
	return r
}

// Reading is what a user has read of a thread. A message whose ordinal is above Floor
// counts as unread.
type Reading struct {
	Readable, Muted bool
	Unread          int
	Floor           uint64
}

// Options are what a [Pusher] is made of; all are required.
type Options struct {
	Store interface {
		store.Loader
		store.Registers
	}
	Codec *store.Codec
	Views *view.Views
	Clock clock.Clock
	Guard *outbound.Guard
	Keys  *Keys
	Box   *inbox.Box
	Log   *slog.Logger

	Delay    time.Duration // before a message is announced
	Interval time.Duration // between two pushes of a thread to a user

	// Lives reports whether the login has not ended.
	Lives func(ctx context.Context, login auth.Principal) (bool, error)
	// Looks reports whether a session of the user says that they look at the stream.
	Looks   func(userID string, stream gotong.Stream) bool
	Reading func(ctx context.Context, viewer gotong.Viewer, stream gotong.Stream) (Reading, error)
	Badge   func(ctx context.Context, viewer gotong.Viewer) (int, error) // the unread messages of all threads
	Count   func(outcome string)                                         // counts requests: accepted, gone, failed, rejected
}

// Pusher decides and sends. It is safe for concurrent use.
type Pusher struct {
	Options
	client *http.Client
	slots  chan struct{} // requests at once
	marks  chan marked

	mu     sync.Mutex
	paused map[string]gotong.Instant // hosts that do not respond, and until when nothing is sent to them
	hosts  map[string]chan struct{}  // requests at once to a host
	later  map[marked]gotong.Instant // withdrawals that failed, and when they are tried again
	waits  map[gotong.Stream]waits
}

// New returns a pusher.
func New(opt Options) *Pusher {
	return &Pusher{
		Options: opt, client: opt.Guard.Client(), slots: make(chan struct{}, inFlight), marks: make(chan marked, maxMarks),
		paused: map[string]gotong.Instant{}, hosts: map[string]chan struct{}{}, later: map[marked]gotong.Instant{},
		waits: map[gotong.Stream]waits{},
	}
}

// Handler returns the handler of the planner's jobs.
func (p *Pusher) Handler() reader.Handler {
	return reader.Handler{Queue: queue, Run: func(ctx context.Context, job store.Job) (reader.Result, error) {
		stream, err := gotong.ParseStream(job.ID)
		if err != nil {
			return reader.Done, err
		}
		t := p.turn(stream)
		t.due = job.Due
		switch stream.Kind() {
		case thread.Name:
			err = t.thread(ctx)
		case settings.Name:
			err = t.users(ctx, []string{stream.ID()})
		default:
			var newest uint64
			if newest, err = t.Box.Newest(ctx, stream); err == nil {
				err = t.waiting(ctx, stream, newest, t.inboxes)
			}
		}
		if err != nil || t.next == 0 {
			return reader.Done, err
		}
		return reader.TooEarly(t.next), nil
	}}
}

// Marked notes that a user marked something as read in a thread, or in their inbox, so
// that its push is withdrawn. It does not block.
func (p *Pusher) Marked(userID string, stream gotong.Stream) {
	select {
	case p.marks <- marked{userID, stream}:
	default:
	}
}

// Run withdraws what was read, until ctx ends.
func (p *Pusher) Run(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(4)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-again.C:
			p.overdue()
		case m := <-p.marks:
			group.Go(func() error { p.withdraw(ctx, m); return nil })
		}
	}
}

func (p *Pusher) withdraw(ctx context.Context, m marked) {
	t := p.turn(m.stream)
	reg, err := store.ReadRegister(ctx, p.Store, stateKey(m.stream, m.userID))
	if err == nil && reg.Version > 0 { // they were sent something
		err = t.users(ctx, []string{m.userID})
	}
	if err != nil && ctx.Err() == nil {
		p.Log.WarnContext(ctx, "a push that was read could not be withdrawn", "cause", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if delete(p.later, m); t.next > 0 && len(p.later) < maxMarks {
		p.later[m] = t.next
	}
}

// overdue notes again the marks whose withdrawal is tried again now.
func (p *Pusher) overdue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.Clock.Now()
	for m, at := range p.later {
		if at <= now {
			delete(p.later, m)
			p.Marked(m.userID, m.stream)
		}
	}
}
