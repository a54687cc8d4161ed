package check

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// The pace of a server's rounds. A round spends at most a twentieth of the time
// on reads, less on a fast store.
const (
	first        = 2 * time.Minute // after the start, and until the turn of a silent node may be taken over
	rest         = time.Hour       // between two rounds
	signEvery    = 30 * time.Second
	leastWait    = 20 * time.Millisecond
	mostWait     = 2 * time.Second
	share        = 19 // the wait after a read, as a multiple of its duration
	keysKept     = 1 << 20
	bytesKept    = 64 << 20
	reportedKept = 4096
)

// BackgroundOptions configure a [Background]. All but Observer are required.
type BackgroundOptions struct {
	Store interface {
		Store
		store.Registers
	}
	Codec   *store.Codec
	Readers []reader.Reader
	Clock   clock.Clock
	// Fault is called once for each fault that this process finds.
	Fault func(*Fault)
	// Failed is called with the error that interrupted a round; the round is
	// tried again.
	Failed func(error)
	// Ended is called after each complete round.
	Ended func(took time.Duration)
}

// Background runs rounds in a server. One of the nodes of a store has the turn.
// An interrupted round is resumed, by the same node or another one.
type Background struct {
	o        BackgroundOptions
	node     string
	seen     uint64 // the last version of the turn that was read
	version  uint64
	mark     Mark
	signed   clock.Moment
	read     clock.Moment // when the last wait ended
	reported map[string]struct{}
}

// NewBackground returns a Background; Run starts it.
func NewBackground(o BackgroundOptions) *Background {
	return &Background{o: o, node: rand.Text(), reported: map[string]struct{}{}}
}

// turn is the register by which nodes take turns. It holds no instant: a node
// whose version does not advance is considered gone.
type turn struct {
	Node string `json:"node"`
	Mark Mark   `json:"mark"`
}

var turnKey = gotong.Key{Collection: "check", Owner: "log", Name: "turn"}

// Run runs until ctx ends, and returns nil.
func (b *Background) Run(ctx context.Context) error {
	for wait := first; clock.Pause(ctx, wait); {
		wait = b.once(ctx)
	}
	return nil
}

// once runs a round, or the rest of an interrupted one, if it is this node's
// turn. It returns the wait before the next call.
func (b *Background) once(ctx context.Context) time.Duration {
	r, err := store.ReadRegister(ctx, b.o.Store, turnKey)
	if err != nil {
		return b.failed(ctx, err)
	}
	var t turn
	if r.Version > 0 && json.Unmarshal(r.Body, &t) != nil {
		t = turn{}
	}
	if r.Version > 0 && t.Node != b.node && r.Version != b.seen {
		b.seen = r.Version
		return first
	}
	b.version, b.mark = r.Version, t.Mark
	began := b.o.Clock.Mono()
	b.read = began
	if err := b.sign(ctx); err != nil {
		return first
	}
	err = store.Guard(func() error {
		return Run(ctx, b.o.Store, Options{
			Codec: b.o.Codec, Readers: b.o.Readers, Fault: b.fault, Pace: b.pace, MaxKeys: keysKept, MaxBytes: bytesKept, Begin: b.mark,
			Reached: func(m Mark) error { b.mark = m; return nil },
		})
	})
	switch {
	case errors.Is(err, store.ErrConflict):
		return first
	case err != nil:
		return b.failed(ctx, err)
	}
	b.o.Ended(b.o.Clock.Mono().Sub(began))
	b.mark = Mark{}
	for range rest / signEvery {
		if b.sign(ctx) != nil || !clock.Pause(ctx, signEvery) {
			break
		}
	}
	return 0
}

func (b *Background) failed(ctx context.Context, err error) time.Duration {
	if ctx.Err() == nil {
		b.o.Failed(err)
	}
	return first
}

// sign writes to the register that this node has the turn, and its mark. It
// fails only if another node has taken the turn: a store that accepts no writes
// can still be checked.
func (b *Background) sign(ctx context.Context) error {
	b.signed = b.o.Clock.Mono()
	body, err := json.Marshal(turn{b.node, b.mark})
	if err != nil {
		return err
	}
	err = b.o.Store.SetRegister(ctx, turnKey, b.version, body, 0)
	if err == nil {
		b.version++
	}
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	return nil
}

// pace waits after a read, in proportion to its duration.
func (b *Background) pace(ctx context.Context) error {
	now := b.o.Clock.Mono()
	if now.Sub(b.signed) >= signEvery {
		if err := b.sign(ctx); err != nil {
			return err
		}
	}
	clock.Pause(ctx, min(max(now.Sub(b.read)*share, leastWait), mostWait))
	b.read = b.o.Clock.Mono()
	return ctx.Err()
}

func (b *Background) fault(f *Fault) {
	text := f.Error()
	if _, ok := b.reported[text]; ok || len(b.reported) >= reportedKept {
		return
	}
	b.reported[text] = struct{}{}
	b.o.Fault(f)
}
