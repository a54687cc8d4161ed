package chat

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"unique"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// counted is how many of a thread's newest messages can count as unread. Reading
// their authors from the log leaves out a user's own without a row per post.
const counted = 1000

// authors are those of the newest messages of one thread: of all that have an
// ordinal above base and were posted up to the event seq. They never change.
type authors struct {
	seq, base uint64
	list      []authored // in order
}

type authored struct {
	n    uint64
	user string
}

// with returns the authors after newer messages, up to the event seq.
func (a authors) with(newer []authored, seq uint64) authors {
	a.seq = max(a.seq, seq)
	if len(newer) == 0 {
		return a
	}
	a.list = slices.Concat(a.list, newer) // a copy: others may read the old list
	if over := len(a.list) - counted; over > 0 {
		a.base, a.list = a.list[over-1].n, a.list[over:]
	}
	return a
}

// of returns the ordinals in (floor, last] of a user's messages, in order.
func (a authors) of(user string, floor, last uint64) (own []uint64) {
	for _, m := range a.list {
		if m.user == user && m.n > floor && m.n <= last {
			own = append(own, m.n)
		}
	}
	return own
}

func authorOf(e *store.Event) (authored, error) {
	var env store.Envelope[json.RawMessage]
	if err := json.Unmarshal(e.Data, &env); err != nil {
		return authored{}, fmt.Errorf("chat: author of event %d: %w", e.Seq, err)
	}
	return authored{e.Count, unique.Make(env.Actor.UserID).Value()}, nil // one string for all messages of a user
}

// maxKept bounds the threads whose authors are kept.
const maxKept = 2048

// keep holds the authors of threads for the next count.
type keep struct {
	mu      sync.Mutex
	authors map[gotong.Stream]authors
}

// of returns the authors of a thread as far as they are known.
func (k *keep) of(s gotong.Stream) authors {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.authors[s]
}

// put drops any other thread where there is no room: it can be read again.
func (k *keep) put(s gotong.Stream, a authors) {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept, ok := k.authors[s]
	if k.authors == nil {
		k.authors = map[gotong.Stream]authors{}
	}
	for other := range k.authors {
		if ok || len(k.authors) < maxKept {
			break
		}
		delete(k.authors, other)
	}
	if kept.seq <= a.seq {
		k.authors[s] = a
	}
}
