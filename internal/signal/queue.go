package signal

import (
	"slices"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
)

// Queue is the signals that wait for one session; the zero value is empty. F is
// a signal in the form in which the session sends it. All methods are safe for
// concurrent use.
type Queue[F any] struct {
	mu      sync.Mutex
	waiting []waiting[F]
	missed  map[Missed]gotong.Role
}

// waiting is one signal. There is at most one per stream, type and actor: the
// latest.
type waiting[F any] struct {
	Missed
	typ  string
	role gotong.Role
	form F
}

// Missed names a user whose presence in a stream the session should have got
// and did not, because too many signals waited or it could take none.
type Missed struct {
	Stream gotong.Stream
	UserID string
}

// maxMissed is of how many users a session remembers that.
const maxMissed = 4096

// Add queues a signal. Where more than most would wait, the oldest is dropped,
// and Add returns true.
func (q *Queue[F]) Add(m *bus.Signal, form F, most int) (dropped bool) {
	w := waiting[F]{Missed{m.Stream, m.Actor.UserID}, m.Type, m.Actor.Role, form}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.missed, w.Missed) // the latest is here
	q.shrink()
	same := slices.IndexFunc(q.waiting, func(o waiting[F]) bool { return o.Missed == w.Missed && o.typ == w.typ })
	switch {
	case same >= 0:
		q.waiting[same] = w
	case len(q.waiting) >= most:
		q.miss(&q.waiting[0])
		copy(q.waiting, q.waiting[1:])
		q.waiting[len(q.waiting)-1] = w
		dropped = true
	default:
		q.waiting = append(q.waiting, w)
	}
	return dropped
}

// miss remembers a presence that is not sent. q.mu is held.
func (q *Queue[F]) miss(w *waiting[F]) {
	if w.typ != Presence || len(q.missed) >= maxMissed {
		return
	}
	if q.missed == nil {
		q.missed = map[Missed]gotong.Role{}
	}
	q.missed[w.Missed] = w.role
}

// Take empties the queue: it passes to give the signals of streams of which the
// session may receive signals now, and returns the users whose presence it has
// missed in those streams, with their roles.
func (q *Queue[F]) Take(may func(gotong.Stream) bool, give func(F)) map[Missed]gotong.Role {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.waiting {
		if w := &q.waiting[i]; may(w.Stream) {
			give(w.form)
		} else {
			q.miss(w)
		}
	}
	q.waiting = nil
	var now map[Missed]gotong.Role
	for m, role := range q.missed {
		if may(m.Stream) {
			if now == nil {
				now = map[Missed]gotong.Role{}
			}
			now[m] = role
			delete(q.missed, m)
		}
	}
	q.shrink()
	return now
}

// Missing reports whether the session has missed the presence of anybody.
func (q *Queue[F]) Missing() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.missed) > 0
}

// Forget drops what waits and what was missed of a stream: its subscription has
// ended.
func (q *Queue[F]) Forget(stream gotong.Stream) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(w waiting[F]) bool { return w.Stream == stream })
	for m := range q.missed {
		if m.Stream == stream {
			delete(q.missed, m)
		}
	}
	q.shrink()
}

// shrink releases the map of the missed once it is empty: it keeps the room of
// all that it ever held, and most sessions miss nothing again. q.mu is held.
func (q *Queue[F]) shrink() {
	if len(q.missed) == 0 {
		q.missed = nil
	}
}
