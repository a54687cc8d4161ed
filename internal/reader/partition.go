package reader

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/trouble"
)

// How the runner of a partition spends its time.
const (
	pageEvents = 500                    // of one read
	gap        = 100 * time.Millisecond // between two writes, so that a burst is one
	lazily     = time.Second            // between two writes of a cursor alone
	retry      = 2 * time.Second        // about, after an error of the store
	never      = time.Hour              // with nothing to do but what wakes the partition

	maxPosition = 1<<62 - 1 // as far as there is

	// The commits of this node that wait in memory. When half of the room is used,
	// the pause between two writes ends: to read commits back and decode them costs
	// more than all else that the runner does.
	maxOffered      = 4096
	maxOfferedBytes = 4 << 20
)

// partition runs every reader in one partition. Its goroutine owns all that mu
// does not guard.
type partition struct {
	runner *Runner
	id     gotong.Partition
	wake   chan struct{}
	full   chan struct{} // half of the room for offered commits is used

	followers []*follower // nil: not loaded
	halts     []halt      // of each reader

	mu      sync.Mutex
	mine    bool   // this node runs it
	stale   bool   // cursors were changed by someone else
	end     uint64 // the last position that is known
	offered []Commit
	bytes   int
	status  []Status
}

type follower struct {
	fold
	stored uint64 // its cursor in the store
	at     uint64 // the last position that it has processed
	quiet  uint64 // it makes no jobs up to here
	paused bool   // its documents are being deleted

	stop    *Stop // where it stopped
	halt    *halt
	wrote   clock.Moment
	behind  clock.Moment // since when; 0: it is not
	skipped uint64       // the position that an operator passed
}

// halt is the state of a reader that stopped, for the log. It outlasts followers, which are
// loaded anew after each error of the store.
type halt struct {
	trouble.State
	position uint64 // where it stopped
}

// passed ends the state of each reader that has processed the position where it stopped, or
// is at the end of the partition.
func (p *partition) passed(ctx context.Context) {
	end := p.ends()
	for _, f := range p.followers {
		if f.stop == nil && f.at >= min(f.halt.position, end) {
			f.halt.Over(ctx)
		}
	}
}

// fenced reads the documents of a follower. It returns [store.ErrConflict] if another
// node has moved the cursor: the documents are then those of a later position.
type fenced struct {
	store.Loader
	key store.CursorKey
	f   *follower
}

// Load implements [store.Loader].
func (s *fenced) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	need.Cursors = append(need.Cursors, s.key)
	snap, err := s.Loader.Load(ctx, need)
	if err == nil && snap.Cursors[s.key] != s.f.stored {
		err = store.ErrConflict
	}
	return snap, err
}

// offer hands over a commit of this node.
func (p *partition) offer(c Commit) {
	size := 0
	for i := range c.Events {
		size += c.Events[i].Size()
	}
	p.mu.Lock()
	p.end = max(p.end, c.Position)
	if len(p.offered) == maxOffered || p.bytes+size > maxOfferedBytes {
		p.offered, p.bytes = nil, 0 // the store has them
	}
	mine := p.mine
	if mine && size <= maxOfferedBytes {
		p.offered, p.bytes = append(p.offered, c), p.bytes+size
	}
	full := len(p.offered) >= maxOffered/2 || p.bytes >= maxOfferedBytes/2
	p.mu.Unlock()
	if mine {
		signal(p.wake)
	}
	if full {
		signal(p.full)
	}
}

// reach notes a commit that the store has, or should have.
func (p *partition) reach(position uint64) {
	p.mu.Lock()
	wake := p.mine && position > p.end
	p.end = max(p.end, position)
	p.mu.Unlock()
	if wake {
		signal(p.wake)
	}
}

func (p *partition) ends() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// far reports whether a reader is so far behind that it makes no pause.
func (p *partition) far() bool {
	end := p.ends()
	return slices.ContainsFunc(p.followers, func(f *follower) bool { return f.stop == nil && !f.paused && f.at+pageEvents < end })
}

// give says whether this node runs the partition.
func (p *partition) give(mine bool) {
	p.mu.Lock()
	changed := p.mine != mine
	p.mine = mine
	p.mu.Unlock()
	if changed {
		signal(p.wake)
	}
}

// look notes the end of the partition. If a reader's rebuild began or ended, or
// an operator passed a position at which a reader stopped, cursors are read anew.
func (p *partition) look(ctx context.Context, end uint64, rebuilt map[string]bool) error {
	p.reach(end)
	stale := false
	for _, s := range p.statuses() {
		stale = stale || rebuilt[s.Reader]
		if s.Stop == nil {
			continue
		}
		known, _, err := readStop(ctx, p.runner.opt.Store, s.Stop.key())
		if err != nil {
			return err
		}
		stale = stale || known.Skipped > 0
	}
	if stale {
		p.mu.Lock()
		p.stale = true
		p.mu.Unlock()
		signal(p.wake)
	}
	return nil
}

func (p *partition) statuses() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// take returns the offered commits that follow a position.
func (p *partition) take(at uint64) (list []Commit) {
	p.mu.Lock()
	offered := p.offered
	p.offered, p.bytes = nil, 0
	p.mu.Unlock()
	slices.SortFunc(offered, func(a, b Commit) int { return cmp.Compare(a.Position, b.Position) })
	for _, c := range offered {
		if c.Position == at+1 {
			list = append(list, c)
			at++
		}
	}
	return list
}

// pause waits, or until something comes from early, if it is not nil. It returns
// false if ctx ends first.
func pause(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-early:
		return true
	}
}
