package live

import (
	"context"
	"errors"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/store"
)

// ErrDraining is what Open answers once Drain or the end of Run began.
var ErrDraining = errors.New("live: the hub takes no more sessions")

// Source is what the hub reads.
type Source interface {
	store.Committer
	store.Log
}

// Options are what a hub is made of. Store, Codec and Now must be set.
type Options struct {
	Store Source
	Codec *store.Codec
	Bus   bus.Bus               // nil: a node that is alone
	Now   func() gotong.Instant // the clock

	// Names gives the display names of users; who is missing has none. It may
	// read a store. Answers are kept for a minute. Nil: no names.
	Names func(ctx context.Context, ids []string) map[string]string

	// Problem renders an error as the JSON object of an error frame's
	// "problem". Nil: code and detail.
	Problem func(error) []byte

	Observer Observer
	Limits   Limits // zero fields take their default
}

// Limits bound what the hub keeps.
type Limits struct {
	Sessions      int           // open at once; default 100,000
	Subscriptions int           // per session; default and at most 32
	Control       int           // control frames that wait before Put says stop; default 64
	Signals       int           // signals that wait in a session; default 32
	RingFrames    int           // recent events kept per followed stream; default 1,024
	RingBytes     int           // and their bytes; default 512 KiB
	RingTotal     int           // bytes of all rings above which quiet ones are dropped; default 128 MiB
	Offered       int           // commits that wait for a partition's tail; default 8,192
	CatchUps      int           // page reads at once; default and at most 64
	PageEvents    int           // default and at most 500
	PageBytes     int           // default 256 KiB, at most 1 MiB
	Fresh         time.Duration // age of the last complete read at which nothing live goes out; default 5 s
	Poll          time.Duration // between two proofs of completeness; default 1 s
	Cut           time.Duration // a write to a removed user may last this long; default 100 ms
	Read          time.Duration // one read of the store; default 5 s
}

// Observer is told what happens, for metrics, traces and logs. Nil fields are
// not called; none may block.
type Observer struct {
	// Published is told once per commit that followers may now take, with the
	// context of its Offer where it came from this node.
	Published func(ctx context.Context, stream gotong.Stream, seq uint64, at gotong.Instant)
	// Page is told of each page read: for how many readers, how many events.
	Page func(readers, events int, took time.Duration)
	// Ended is told why a subscription ended: "revoked", "refused", "resync",
	// "corrupt", "left".
	Ended func(reason string)
	// Dropped is told of what was thrown away: "signal", "offer", "ring".
	Dropped func(what string)
	// Fault is told of failing reads; the hub tries again by itself.
	Fault func(err error)
}

// Hub is the one place of a node where commits become frames. All methods are
// safe for concurrent use.
type Hub struct{ opt Options }

// New makes a hub; Run sets it going.
func New(opt Options) *Hub { return &Hub{opt: opt} }

// Run follows the log until ctx ends, then closes every session and returns
// nil when nothing of it runs any more. It returns an error only where it
// could not start.
func (h *Hub) Run(ctx context.Context) error { return nil }

// Offer hands over the events of one commit of this node, right after it
// became durable. It never blocks; what finds no room is read from the store.
// Of ctx only the values are used, for traces.
func (h *Hub) Offer(ctx context.Context, rows []store.Event) {}

// Await returns once this node's tail has processed the position, every
// subscription whose access that may have changed was authorised anew or
// ended, and no write of older frames of an ended one is under way. A removal
// waits for it before it answers (contract D13). The error is ctx's.
func (h *Hub) Await(ctx context.Context, p gotong.Partition, position uint64) error { return nil }

// Epoch names the history that is served.
func (h *Hub) Epoch() gotong.Epoch { return "" }

// Names gives the display names that frames show, from the same cache.
func (h *Hub) Names(ctx context.Context, ids []string) map[string]string { return nil }

// Open makes a session for a reader; ErrDraining or CodeBusy (too many) where
// there can be none.
func (h *Hub) Open(reader gotong.Reader, opt SessionOptions) (*Session, error) { return nil, nil }

// EndUser asks every session of a user to close, with this code and reason:
// logout everywhere, a disabled account. Event frames stop at once.
func (h *Hub) EndUser(userID string, c Closing) {}

// EndSession does the same for one session, by its id; false where it is not
// of this node.
func (h *Hub) EndSession(id string, c Closing) bool { return false }

// Drain tells every session going_away with a retry_after_ms of full jitter,
// asks it to close with 1012, and waits until all are closed or ctx ends.
// Sessions that are open then are killed. Open answers ErrDraining from now on.
func (h *Hub) Drain(ctx context.Context) error { return nil }

// Present lists the users who follow a stream now, on any node as far as this
// one has heard, sorted.
func (h *Hub) Present(stream gotong.Stream) []string { return nil }

// Read is the authorised way to read for REST: access, events, documents and
// ranges of one stream in one snapshot, through the overlay of later edits, by
// the code that catch-up uses. A stream that is not there and one that the
// reader may not read are both CodeNotFound.
func (h *Hub) Read(ctx context.Context, reader gotong.Reader, q Query) (Page, error) {
	return Page{}, nil
}
