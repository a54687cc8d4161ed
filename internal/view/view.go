package view

import (
	"context"
	"errors"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// MaxPage is the most events that one page looks at.
const MaxPage = 500

// Source is the store as this package needs it: it is only read.
type Source interface {
	store.Committer
	Epoch() gotong.Epoch
}

// Options are what views are made of. Store and Codec must be set.
type Options struct {
	Store   Source
	Codec   *store.Codec
	Timeout time.Duration // of one read of the store; 0: 5 s

	// Arrival returns a channel that is closed once this node has the event seq
	// of a stream, which lies in the given partition, and a function that ends
	// the wait. Nil: a read that waits for an event reads again after 5 s.
	Arrival func(stream gotong.Stream, in gotong.Partition, seq uint64) (arrived <-chan struct{}, stop func())
}

// Views reads streams for viewers. All methods are safe for concurrent use.
type Views struct {
	opt    Options
	places store.Places
	kinds  sync.Map // of *gotong.Kind by name

	mu      sync.Mutex
	waiting map[string]int // reads of each user that wait for an event
}

// New returns views of a store.
func New(opt Options) *Views {
	if opt.Timeout <= 0 {
		opt.Timeout = 5 * time.Second
	}
	if opt.Arrival == nil {
		opt.Arrival = func(gotong.Stream, gotong.Partition, uint64) (<-chan struct{}, func()) { return nil, func() {} }
	}
	return &Views{opt: opt, waiting: map[string]int{}}
}

// Kind returns the rules of a stream; each kind is made once and shared.
func (v *Views) Kind(stream gotong.Stream) (*gotong.Kind, error) {
	name := stream.Kind()
	if k, ok := v.kinds.Load(name); ok {
		return k.(*gotong.Kind), nil //nolint:forcetypeassert // only this function stores
	}
	k, err := v.opt.Codec.Kind(stream)
	if err != nil {
		return nil, err
	}
	kept, _ := v.kinds.LoadOrStore(name, &k)
	return kept.(*gotong.Kind), nil //nolint:forcetypeassert // only this function stores
}

// Spoilt reports whether a read failed because of one event that is damaged or
// unreadable; a shorter page may succeed.
func Spoilt(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrUnreadable)
}

const (
	// notYetAfter is how long a read waits for an event (contract D21).
	notYetAfter = 5 * time.Second
	// maxWaiting is how many reads of one user wait at once.
	maxWaiting = 8
	// maxAhead is how many events beyond the head a read may wait for: a client
	// can only know of events that exist, of which this node may lack the newest.
	maxAhead = 1000
)

// readLater waits until the stream has the event MinSeq of the query, and reads
// again. However busy the stream and its partition are, that is two reads.
func (v *Views) readLater(ctx context.Context, viewer gotong.Viewer, q Query, head gotong.Head) (Page, error) {
	if q.MinSeq-head.Seq > maxAhead {
		return Page{}, gotong.NewError(gotong.CodeCursorAhead, "The position is far ahead of the stream.")
	}
	if !v.mayWait(viewer.UserID) {
		return Page{}, gotong.NewError(gotong.CodeRateLimited, "Too many of your reads are waiting already; try again later.")
	}
	defer v.waited(viewer.UserID)
	late := time.NewTimer(notYetAfter)
	defer late.Stop()
	arrived, stop := v.opt.Arrival(q.Stream, gotong.PartitionOf(head.Home), q.MinSeq)
	defer stop()
	page, err := v.readOnce(ctx, viewer, q) // it may have been committed before the wait began
	if err != nil || page.Head.Seq >= q.MinSeq {
		return page, err
	}
	select {
	case <-ctx.Done():
		return Page{}, ctx.Err()
	case <-arrived:
	case <-late.C: // delivery may lag
	}
	if page, err = v.readOnce(ctx, viewer, q); err != nil || page.Head.Seq >= q.MinSeq {
		return page, err
	}
	return Page{}, gotong.NewError(gotong.CodeNotYet, "The stream has not reached that position yet.")
}

// mayWait counts one more waiting read of a user; false if there are too many.
func (v *Views) mayWait(userID string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiting[userID] >= maxWaiting {
		return false
	}
	v.waiting[userID]++
	return true
}

func (v *Views) waited(userID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiting[userID]--; v.waiting[userID] == 0 {
		delete(v.waiting, userID)
	}
}

// Waiting returns how many reads wait for an event.
func (v *Views) Waiting() (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, reads := range v.waiting {
		n += reads
	}
	return n
}

// Look is a stream without its log, as one viewer may see it: the documents that
// decide the access, and what they grant.
type Look struct {
	gotong.State
	Viewer gotong.Viewer
	Grant  gotong.Grant
}

// Look returns streams of one kind, in the order of the list, as a viewer may see
// them. One snapshot holds what decides the access to each, the documents that
// needs names for it, and what more names; both may be nil, and what they name is
// not filtered.
func (v *Views) Look(
	ctx context.Context, viewer gotong.Viewer, streams []gotong.Stream,
	needs func(gotong.State, gotong.Viewer) []gotong.Ref, more func([]gotong.State) store.Need,
) ([]Look, store.Snapshot, error) {
	if len(streams) == 0 {
		return nil, store.Snapshot{}, nil
	}
	kind, err := v.Kind(streams[0])
	if err != nil {
		return nil, store.Snapshot{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, v.opt.Timeout)
	defer cancel()
	all := func(s gotong.State) []gotong.Ref {
		refs := kind.AccessNeeds(s, viewer)
		if needs != nil {
			refs = append(refs, needs(s, viewer)...)
		}
		return refs
	}
	states, snap, err := store.LoadStates(ctx, v.opt.Store, v.opt.Codec, streams, all,
		func(states []gotong.State, _ store.Snapshot) (need store.Need) {
			if more != nil {
				need = more(states)
			}
			return need
		})
	if err != nil {
		return nil, snap, err
	}
	looks := make([]Look, len(states))
	for i, s := range states {
		looks[i] = Look{s, viewer, grantOf(kind, s, viewer)}
	}
	return looks, snap, nil
}
