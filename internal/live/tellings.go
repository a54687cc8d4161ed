package live

import (
	"context"
	"sync"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// tellings is what a node has to say of presence: at once of the topics where
// somebody came or went, and again and again, in turn, of all where somebody is.
// It is paced: presence never fills the bus.
type tellings struct {
	wake chan struct{}

	mu     sync.Mutex // a leaf; see Hub
	topics []*topic   // with news
	turn   []turn     // to be said again, the longest unsaid first
	nodes  map[string]clock.Moment
}

// turn is a topic, and when it was said.
type turn struct {
	topic *topic
	said  clock.Moment
}

// maxNodes bounds how many other nodes are remembered.
const maxNodes = 1024

// heard notes that a node lives.
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

// holds reports whether a word is to be believed: it has not run out, and its
// node lives.
func (l *tellings) holds(h heard, now clock.Moment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return h.till >= now && now <= l.nodes[h.node].Add(presenceLife)
}

// life is how long a word of now holds: three times what it may take until it
// is said again. What is said later waits behind it.
func (l *tellings) life() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 3 * (presenceEvery + time.Duration(len(l.turn)/presenceRate)*time.Second)
}

// list puts a topic among those that are said again; it was said just now.
func (l *tellings) list(t *topic, now clock.Moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn = append(l.turn, turn{t, now})
}

// next takes the topic that was unsaid the longest; nil where it was said not
// long ago.
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

// tellingsAtOnce is how many topics tell their news before others may fill the
// bus: those that many came to at once are told over some moments.
const tellingsAtOnce = 256

// run tells what was gathered, until ctx ends.
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

// repeat says again who is here, of the topics whose turn it is, until ctx ends.
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

// repeatPresence says again who is here, in n messages; again is false where
// nobody is any more.
func (t *topic) repeatPresence() (n int, again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &t.presence
	p.listed = len(p.here) > 0
	return t.saySome(word{Here: p.hereNow()}), p.listed
}
