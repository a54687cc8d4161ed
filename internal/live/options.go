package live

import (
	"context"
	"errors"
	"math"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// What the hub's calls fail with beside coded errors.
var (
	ErrDraining = errors.New("live: the hub takes no more sessions")
	ErrClosed   = errors.New("live: the session is closed or asked to close")
)

// Source is the log that the tails follow.
type Source interface {
	Epoch() gotong.Epoch
	Positions(ctx context.Context) ([gotong.Partitions]uint64, error)
	ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]store.Event, error)
}

// Options are what a hub is made of. Store, Codec and Views must be set.
type Options struct {
	Store Source
	Codec *store.Codec
	Views *view.Views // reads pages and access
	Bus   bus.Bus     // nil: a node that is alone
	Clock clock.Clock // nil: the machine's
	Names Names       // nil: frames show no names

	// Problem renders an error as the JSON object of an error frame's
	// "problem", with the trace that its client may quote. Nil: code and detail.
	Problem func(err error, trace string) []byte

	// Members returns the users among the given ones, 500 at most, who may read a stream
	// now. It may read the store. Nil: nobody is a member.
	Members func(ctx context.Context, of gotong.Stream, ids []string) ([]string, error)

	// LoginsSeen returns when a complete look at the logins that ended on other
	// nodes began; 0 before the first. Where that is longer than Limits.Fresh
	// ago, the hub hands out no event live. Nil: no other node ends logins.
	LoginsSeen func() clock.Moment

	// Woken is called when another node reports a commit. The report is not
	// trusted. Nil: nothing is called.
	Woken func(p gotong.Partition, position uint64)

	// Ended is called when another node reports that logins of a user may be
	// over. It must not block, nor trust the report. Nil: reports are dropped.
	Ended func(userID string)

	Observer Observer
	Limits   Limits // zero fields take their default
}

// Names gives display names, and remembers them: delivery keeps none.
type Names interface {
	// Names returns the names of those of the users who have one. It may read
	// the store.
	Names(ctx context.Context, ids []string) map[string]string

	// Known returns the name of a user from memory, without waiting; "" for a
	// user who has none. known is false where Names would read the store.
	Known(id string) (name string, known bool)
}

// Limits bound what the hub keeps.
type Limits struct {
	Sessions     int           // open at once; default 100,000
	UserSessions int           // of one user; default 256
	RingFrames   int           // recent events kept per followed stream; default 1,024
	RingBytes    int           // and their bytes; default 512 KiB
	Offered      int           // commits that wait for a partition's tail; default 8,192
	CatchUps     int           // page reads at once; default and at most 64
	PageEvents   int           // default and at most 500
	PageBytes    int           // default 256 KiB, at most 1 MiB
	Fresh        time.Duration // age of the last complete read at which nothing live goes out; default 5 s
	Poll         time.Duration // between two proofs of completeness; default 1 s
	Cut          time.Duration // how long a write to a removed user may last; default 100 ms
}

// Observer receives what happens, for metrics, traces and logs. Nil fields are
// not called; none may block.
type Observer struct {
	// Published is called with each commit of this node that followers may now
	// take, and with the values of the context of its Offer. A commit that found
	// no room in the queue goes to Dropped instead.
	Published func(ctx context.Context, stream gotong.Stream, seq uint64, at gotong.Instant)

	Subscribed     func()              // a subscription was accepted
	Unsubscribed   func(reason string) // an accepted one ended: left, revoked, closed, restart, resync, corrupt, unreadable
	Replayed       func(events int)    // read from the store for sessions that were behind
	CatchUpWaiting func(change int)    // page reads that wait for a slot
	CatchUpRunning func(change int)    // page reads under way
	Dropped        func(reason string, n int)
	Fault          func(err error) // a read failed; the hub tries again by itself
}

func (o *Observer) fill() {
	if o.Published == nil {
		o.Published = func(context.Context, gotong.Stream, uint64, gotong.Instant) {}
	}
	if o.Subscribed == nil {
		o.Subscribed = func() {}
	}
	if o.Unsubscribed == nil {
		o.Unsubscribed = func(string) {}
	}
	if o.Dropped == nil {
		o.Dropped = func(string, int) {}
	}
	if o.Fault == nil {
		o.Fault = func(error) {}
	}
	for _, f := range []*func(int){&o.Replayed, &o.CatchUpWaiting, &o.CatchUpRunning} {
		if *f == nil {
			*f = func(int) {}
		}
	}
}

const (
	maxSubscriptions = 32        // of a session; a bit each in Session.dirty
	maxControl       = 64        // control frames that wait in a session before Put returns false
	maxSignals       = 32        // signals that wait in a session
	maxRings         = 128 << 20 // bytes of all rings above which quiet ones are dropped
	maxCatchUps      = 64
	readTimeout      = 5 * time.Second  // of one read of the store
	retrySpread      = 10 * time.Second // of retry_after_ms in a drain
)

func (l *Limits) fill() {
	def := func(v *int, d, most int) {
		if *v <= 0 || *v > most {
			*v = d
		}
	}
	const unbounded = math.MaxInt
	def(&l.Sessions, 100_000, unbounded)
	def(&l.UserSessions, 256, unbounded)
	def(&l.RingFrames, 1024, unbounded)
	def(&l.RingBytes, 512<<10, unbounded)
	def(&l.Offered, 8192, unbounded)
	def(&l.CatchUps, maxCatchUps, maxCatchUps)
	def(&l.PageEvents, view.MaxPage, view.MaxPage)
	def(&l.PageBytes, 256<<10, store.MaxReadBytes)
	for d, v := range map[*time.Duration]time.Duration{
		&l.Fresh: 5 * time.Second, &l.Poll: time.Second, &l.Cut: 100 * time.Millisecond,
	} {
		if *d <= 0 {
			*d = v
		}
	}
}
