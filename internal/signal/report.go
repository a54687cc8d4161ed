package signal

import (
	"encoding/json"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
)

// word is what nodes tell each other of a stream's presence.
type word struct {
	Here []gotong.Actor `json:"here,omitempty"`
	Gone []gotong.Actor `json:"gone,omitempty"`
	Ask  bool           `json:"ask,omitempty"` // report the users who follow at your node
	For  int            `json:"for,omitempty"` // for how many seconds Here holds unless it is repeated
}

// life is how long the report holds.
func (w *word) life() time.Duration {
	return min(max(reportLife, time.Duration(min(w.For, int(maxReportLife.Seconds())))*time.Second), maxReportLife)
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
	return p, word{Here: p.actors()}
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
		if err != nil { // ids and roles always have a JSON form
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
