package signal

import (
	"encoding/json"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
)

// reportNews reports what was gathered of some streams; it returns true if more
// are left, now or later.
func (x *Exchange) reportNews() (more bool) {
	x.due()
	x.mu.Lock()
	n := min(len(x.news), newsAtOnce)
	list := x.news[:n:n]
	if x.news, more = x.news[n:], n < len(x.news); !more {
		x.news = nil
	}
	x.mu.Unlock()
	for _, p := range list {
		show, w := x.gathered(p)
		if show {
			x.opt.ShowPresence(p.stream)
		}
		x.tell(p.stream, w)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return more || len(x.waiting) > 0
}

// reportAgain reports again the users who are here, for the streams whose turn
// it is.
func (x *Exchange) reportAgain() {
	now := x.opt.Clock.Mono()
	for budget := reportRate; budget > 0; {
		p, w := x.next(now)
		if p == nil {
			return
		}
		budget -= max(1, x.tell(p.stream, w))
	}
}

// next is the presence whose last report is oldest, and its report; nil if that
// is not old enough yet.
func (x *Exchange) next(now clock.Moment) (*presence, word) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.turns) == 0 || now < x.turns[0].reported.Add(reportEvery) {
		return nil, word{}
	}
	p := x.turns[0].presence
	x.turns[0] = turn{}
	x.turns = x.turns[1:]
	if p.listed = p.here > 0; p.listed {
		x.turns = append(x.turns, turn{p, now})
	}
	return p, word{Here: p.local()}
}

// tell sends a report to the other nodes, in as many messages as it takes, and
// returns how many those are.
func (x *Exchange) tell(stream gotong.Stream, w word) (n int) {
	for x.opt.Publish != nil && (len(w.Here) > 0 || len(w.Gone) > 0 || w.Ask) {
		part := word{
			Here: w.Here[:min(maxNamed, len(w.Here))], Gone: w.Gone[:min(maxNamed, len(w.Gone))],
			Ask: w.Ask, For: int(x.life().Seconds()),
		}
		n++
		w = word{Here: w.Here[len(part.Here):], Gone: w.Gone[len(part.Gone):]}
		data, err := json.Marshal(part)
		if err != nil { // ids always have a JSON form
			return n
		}
		x.publish(&bus.Signal{Stream: stream, Type: Presence, Data: data, Bulk: true})
	}
	return n
}

// life is how long a report of now holds: three times the longest time until
// the next one of the same stream.
func (x *Exchange) life() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return 3 * (reportEvery + time.Duration(len(x.turns)/reportRate)*time.Second)
}
