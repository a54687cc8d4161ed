package live

import (
	"context"
	"sync"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// tellings is the presence that a node has to report: at once of the topics
// where a user came or went, and again and again, in turn, of all that have
// users. It is paced: presence never fills the bus.
type tellings struct {
	wake chan struct{}

	mu     sync.Mutex // a leaf; see Hub
	topics []*topic   // with news
	turn   []turn     // to be said again, the longest unsaid first
	nodes  map[string]clock.Moment
}

// turn is a topic, and when it was last reported.
type turn struct {
	topic *topic
	said  clock.Moment
}

// maxNodes bounds how many other nodes are remembered.
const maxNodes = 1024

// heard notes a sign of life of a node.
func (l *tellings) heard(node string, now clock.Moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.nodes[node]; !known && len(l.nodes) >= maxNodes {
		for n, at := range l.nodes {
			if now > at.Add(presenceLife) {
				delete(l.nodes, n)
			}
		}
		if len(l.nodes) >= maxNodes {
			return
		}
	}
	l.nodes = orMake(l.nodes)
	l.nodes[node] = now
}

// holds reports whether a report still counts: it has not expired, and its node
// lives.
func (l *tellings) holds(h heard, now clock.Moment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return h.till >= now && now <= l.nodes[h.node].Add(presenceLife)
}

// life is how long a report of now holds: three times the longest time until
// the next one of the same topic.
func (l *tellings) life() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 3 * (presenceEvery + time.Duration(len(l.turn)/presenceRate)*time.Second)
}

// list puts a topic among those that are reported again; it was reported just
// now.
func (l *tellings) list(t *topic, now clock.Moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn = append(l.turn, turn{t, now})
}

// next takes the topic whose last report is oldest; nil if that is not old
// enough yet.
func (l *tellings) next(now clock.Moment) *topic {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.turn) == 0 || now < l.turn[0].said.Add(presenceEvery) {
		return nil
	}
	t := l.turn[0].topic
	l.turn[0] = turn{}
	if l.turn = l.turn[1:]; len(l.turn) == 0 {
		l.turn = nil
	}
	return t
}

func (l *tellings) add(t *topic) {
	l.mu.Lock()
	l.topics = append(l.topics, t)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// tellingsAtOnce is how many topics report their news at once. Others may use
// the bus in between, so news of very many topics takes some moments.
const tellingsAtOnce = 256

// run reports what was gathered, until ctx ends.
func (l *tellings) run(ctx context.Context, mono func() clock.Moment) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		for more := true; more; {
			if !pause(ctx, presenceDelay) {
				return
			}
			l.mu.Lock()
			n := min(len(l.topics), tellingsAtOnce)
			topics := l.topics[:n]
			if l.topics, more = l.topics[n:], n < len(l.topics); !more {
				l.topics = nil
			}
			l.mu.Unlock()
			for _, t := range topics {
				t.tellPresence(mono())
			}
		}
	}
}

// repeat reports again who is here, for the topics whose turn it is, until ctx
// ends.
func (l *tellings) repeat(ctx context.Context, mono func() clock.Moment) {
	for pause(ctx, time.Second) {
		now := mono()
		for budget := presenceRate; budget > 0; {
			t := l.next(now)
			if t == nil {
				break
			}
			n, again := t.repeatPresence()
			if budget -= max(1, n); again {
				l.list(t, now)
			}
		}
	}
}

// repeatPresence reports again who is here, in n messages; again is false once
// nobody is.
func (t *topic) repeatPresence() (n int, again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &t.presence
	p.listed = len(p.here) > 0
	return t.saySome(word{Here: p.hereNow()}), p.listed
}
