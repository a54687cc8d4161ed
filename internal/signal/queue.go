package signal

import (
	"slices"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
)

// Queue is the signals that wait for one session, presence excepted; the zero
// value is empty. F is a signal in the form in which the session sends it. All
// methods are safe for concurrent use.
type Queue[F any] struct {
	mu      sync.Mutex
	waiting []waiting[F]
}

// waiting is one signal. There is at most one per stream, type and actor: the
// latest.
type waiting[F any] struct {
	stream gotong.Stream
	typ    string
	userID string
	form   F
}

// Add queues a signal. Where more than most would wait, one is dropped, and Add returns
// true: the oldest of those that other users send, because the next replaces it, and
// otherwise the oldest.
func (q *Queue[F]) Add(m *bus.Signal, form F, most int) (dropped bool) {
	w := waiting[F]{m.Stream, m.Type, m.Actor.UserID, form}
	q.mu.Lock()
	defer q.mu.Unlock()
	same := slices.IndexFunc(q.waiting, func(o waiting[F]) bool {
		return o.stream == w.stream && o.typ == w.typ && o.userID == w.userID
	})
	switch {
	case same >= 0:
		q.waiting[same] = w
	case len(q.waiting) >= most:
		q.waiting = append(q.waiting, w)
		least := slices.IndexFunc(q.waiting, func(o waiting[F]) bool { return !whispered(o.typ) })
		q.waiting = slices.Delete(q.waiting, max(least, 0), max(least, 0)+1)
		dropped = true
	default:
		q.waiting = append(q.waiting, w)
	}
	return dropped
}

// Take empties the queue. It passes a signal to give if the session may receive signals
// of its stream now. If that will be known later, Take keeps the signals that the server
// sends to users about themselves, because no later signal replaces a lost one. It drops
// all others.
func (q *Queue[F]) Take(may func(gotong.Stream) (now, later bool), give func(F)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var kept []waiting[F]
	for _, w := range q.waiting {
		if now, later := may(w.stream); now {
			give(w.form)
		} else if later && whispered(w.typ) {
			kept = append(kept, w)
		}
	}
	q.waiting = kept
}

// Empty reports whether nothing waits.
func (q *Queue[F]) Empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}

// Forget drops what waits of a stream: its subscription has ended.
func (q *Queue[F]) Forget(stream gotong.Stream) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(w waiting[F]) bool { return w.stream == stream })
}
