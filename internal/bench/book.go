package bench

import (
	"sync"
	"sync/atomic"
	"time"
)

// book records the posts of a scenario by number: when each was due, and under
// which seq it was committed. It is safe for concurrent use.
type book struct {
	origin time.Time
	next   atomic.Uint64
	grow   sync.Mutex
	pages  [maxPosts / pageSize]atomic.Pointer[[pageSize]post]
}

type post struct {
	due int64         // nanoseconds after origin
	seq atomic.Uint64 // 0 until an ack or an event names it
}

const (
	pageSize = 1 << 16
	maxPosts = 1 << 25 // of one scenario: 512 MiB
)

// add returns the number of a new post, or false if the book is full.
func (b *book) add(due time.Time) (n uint64, ok bool) {
	n = b.next.Add(1) - 1
	if n >= maxPosts {
		return 0, false
	}
	page := &b.pages[n/pageSize]
	if page.Load() == nil {
		b.grow.Lock()
		if page.Load() == nil {
			page.Store(new([pageSize]post))
		}
		b.grow.Unlock()
	}
	page.Load()[n%pageSize].due = int64(due.Sub(b.origin))
	return n, true
}

// committed records the seq of a post and returns when the post was due. known
// is false if no post has this number; twice is true if the post already has
// another seq.
func (b *book) committed(n, seq uint64) (due int64, known, twice bool) {
	if n >= b.next.Load() || n >= maxPosts {
		return 0, false, false
	}
	page := b.pages[n/pageSize].Load()
	if page == nil {
		return 0, false, false
	}
	p := &page[n%pageSize]
	return p.due, true, !p.seq.CompareAndSwap(0, seq) && p.seq.Load() != seq
}

// track records what one connection has received of one stream. Only its reader
// changes it; other goroutines may read how far it is.
type track struct {
	next     atomic.Uint64 // the seq that is expected
	missing  map[uint64]bool
	skipped  uint64 // missing beyond what the map holds
	doubled  uint64
	disorder uint64
}

// maxMissing bounds the seqs that a track remembers as missing.
const maxMissing = 1 << 16

func newTrack(after uint64) *track {
	t := &track{missing: map[uint64]bool{}}
	t.next.Store(after + 1)
	return t
}

// see records the next event of the stream.
func (t *track) see(seq uint64) {
	next := t.next.Load()
	switch {
	case seq == next:
		t.next.Store(seq + 1)
	case seq > next:
		for s := next; s < seq && len(t.missing) < maxMissing; s++ {
			t.missing[s] = true
			next++
		}
		t.skipped += seq - next
		t.next.Store(seq + 1)
	case t.missing[seq]:
		delete(t.missing, seq)
		t.disorder++
	default:
		t.doubled++
	}
}

// lost returns the number of seqs up to head that were not received.
func (t *track) lost(head uint64) uint64 {
	n := uint64(len(t.missing)) + t.skipped
	if next := t.next.Load(); head >= next {
		n += head - next + 1
	}
	return n
}
