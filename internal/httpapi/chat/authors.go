package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unique"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/store"
)

// counted is how many of a thread's newest messages are looked at to count the
// unread ones: with them, a user's own can be left out without a row per post.
const counted = 1000

// maxTallies bounds the threads whose authors are kept, and the counts.
const maxTallies = 2048

// tallies keeps what counting unread messages needs to know of the log, which
// never changes there.
type tallies struct {
	mu      sync.Mutex
	authors map[gotong.Stream]*authors
	befores map[before]uint64
}

// before names a count: of a thread's messages before an event of its home.
type before struct {
	thread, home gotong.Stream
	seq          uint64
}

func newTallies() *tallies {
	return &tallies{authors: map[gotong.Stream]*authors{}, befores: map[before]uint64{}}
}

func (t *tallies) of(stream gotong.Stream) *authors {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, ok := t.authors[stream]
	if !ok {
		bound(t.authors)
		a = &authors{}
		t.authors[stream] = a
	}
	return a
}

func (t *tallies) before(of before, count func() (uint64, error)) (uint64, error) {
	t.mu.Lock()
	n, ok := t.befores[of]
	t.mu.Unlock()
	if ok {
		return n, nil
	}
	n, err := count()
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	bound(t.befores)
	t.befores[of] = n
	return n, nil
}

// bound makes room for one more: whatever goes can be read again.
func bound[K comparable, V any](m map[K]V) {
	for k := range m {
		if len(m) < maxTallies {
			return
		}
		delete(m, k)
	}
}

// authors is who wrote the newest messages of one thread. It is read from the
// log as far back as somebody asks, and then follows the thread's head.
type authors struct {
	mu   sync.Mutex
	seq  uint64 // events up to it are read,
	low  uint64 // and after it,
	base uint64 // so that all messages above this ordinal are known
	list []authored
}

type authored struct {
	n    uint64
	user string
}

// own is the ordinals above floor of the messages of one user, in order; the
// thread's head is that of the reader's snapshot.
func (a *authors) own(
	ctx context.Context, from store.Committer, stream gotong.Stream, head gotong.Head, floor uint64, user string,
) ([]uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.reach(ctx, from, stream, head.Seq, floor); err != nil {
		return nil, err
	}
	var own []uint64
	for _, m := range a.list {
		if m.user == user && m.n > floor && m.n <= head.Count {
			own = append(own, m.n)
		}
	}
	return own, nil
}

// reach reads on to the event head, and back to the ordinal floor.
func (a *authors) reach(ctx context.Context, from store.Committer, stream gotong.Stream, head, floor uint64) error {
	if head > a.seq {
		fresh, low, err := back(ctx, from, stream, a.seq, head, floor)
		if err != nil {
			return err
		}
		if low > a.seq { // not back to what is known: that is not needed any more
			a.list, a.low, a.base = nil, low, floor
		}
		a.list, a.seq = append(a.list, fresh...), head
	}
	if floor < a.base && a.low > 0 && len(a.list) < counted {
		older, low, err := back(ctx, from, stream, 0, a.low, floor)
		if err != nil {
			return err
		}
		a.list, a.low, a.base = append(older, a.list...), low, floor
	}
	if over := len(a.list) - counted; over > 0 {
		a.base = a.list[over-1].n
		a.list = slices.Clone(a.list[over:])
	}
	return nil
}

// maxDamaged is how many damaged events are stepped over.
const maxDamaged = 100

// back reads the authors of the messages above an ordinal in (from, to], newest
// first, and returns them in order, with the seq after which all was read. What
// is damaged has no author.
func back(
	ctx context.Context, in store.Committer, stream gotong.Stream, from, to, floor uint64,
) (list []authored, low uint64, err error) {
	defer func() { slices.Reverse(list) }()
	for damaged := 0; to > from; {
		snap, err := in.Load(ctx, store.Need{Events: []store.EventRange{{Stream: stream, From: from, To: to, Descending: true}}})
		if errors.Is(err, store.ErrCorrupt) && damaged < maxDamaged {
			damaged++
			to--
			continue
		}
		if err != nil {
			return list, to, err
		}
		for _, e := range snap.Events[0] {
			if e.Count <= floor {
				return list, e.Seq, nil
			}
			if e.Type == thread.EvPosted {
				author, err := authorOf(e)
				if err != nil {
					return list, e.Seq, err
				}
				list = append(list, authored{e.Count, author})
			}
			to = e.Seq - 1
		}
		if len(snap.Events[0]) == 0 {
			break
		}
	}
	return list, from, nil
}

func authorOf(e store.Event) (string, error) {
	var env store.Envelope[json.RawMessage]
	if err := json.Unmarshal(e.Data, &env); err != nil {
		return "", fmt.Errorf("chat: author of event %d: %w", e.Seq, err)
	}
	return unique.Make(env.Actor.UserID).Value(), nil // one string for all messages of a user
}
