package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"gotong.dev/gotong"
)

// replay returns a function for [gotong.Kind.Replay]. It counts the votes of each
// gate again, and keeps the open gates alone.
func replay() func(gotong.Event) error {
	open := map[gotong.Stream]Gate{}
	return func(e gotong.Event) error {
		was, is := open[e.Stream]
		if d, ok := e.Data.(Proposed); ok {
			if is || d.Seq != e.Seq {
				return fmt.Errorf("transition %d: it cannot be proposed here", d.Seq)
			}
			open[e.Stream] = proposed(e, d)
			return nil
		}
		seq := GateOf(e)
		switch err := was.follows(e); {
		case seq == 0:
			return nil
		case !is || was.Seq != seq:
			return fmt.Errorf("transition %d: it is not open", seq)
		case err != nil:
			return fmt.Errorf("transition %d: %w", seq, err)
		}
		if g := was.next(e); g.Phase.Open() {
			open[e.Stream] = g
		} else {
			delete(open, e.Stream)
		}
		return nil
	}
}

// follows returns an error if the rules do not make this event of the open gate.
func (g Gate) follows(e gotong.Event) error {
	switch d := e.Data.(type) {
	case Extended:
		from := map[string]Phase{EvObjected: InConsent, EvApproved: InApproval, EvDisputed: InChallenge}[e.Type]
		return g.within(d.Now, from)
	case Voted:
		return g.within(d.Now, InVote, InRatifying)
	case Voided:
		if at, is := g.find(d.UserID); !is || g.Ballots[at].Seq != d.Vote {
			return fmt.Errorf("it voids event %d, which is no vote of %s that counts", d.Vote, d.UserID)
		}
		return g.within(d.Now, InVote, InRatifying)
	case Resolved:
		return g.within(d.Now, InDispute)
	case Tallied:
		return g.tallies(d)
	case Outcome:
		return g.gives(e.Type, d)
	default:
		return nil
	}
}

// within returns an error unless the gate was in one of these phases, in its
// window.
func (g Gate) within(now gotong.Instant, phases ...Phase) error {
	if g.Count != nil && g.Phase != InChallenge && g.Phase != InDispute || !slices.Contains(phases, g.Phase) || now >= g.ClosesAt {
		return errors.New("the event is not possible in this phase, or its window has closed")
	}
	return nil
}

func (g Gate) tallies(d Tallied) error {
	if !g.Phase.Votes() || g.Count != nil || d.Now < g.ClosesAt {
		return errors.New("its votes are counted before their window has closed, or twice")
	}
	want := g.tally(d.Now)
	if a, b := want.String(), d.String(); a != b {
		return fmt.Errorf("the votes before the tally give %s, not %s", a, b)
	}
	return nil
}

// String returns the JSON.
func (t Tallied) String() string {
	b, _ := json.Marshal(t) //nolint:errchkjson // plain fields always have a JSON form
	return string(b)
}

func (g Gate) gives(event string, d Outcome) error {
	want, why := g.end()
	late := d.Now >= g.ClosesAt || g.Terms.Gate == None || why == WhyConfirmed || why == WhyOverruled
	if event == EvCancelled {
		want, why = EvCancelled, WhyWithdrawn
		late = g.within(d.Now, InConsent, InVote, InApproval) == nil
	}
	if !late || g.Phase.Votes() && g.Count == nil && event != EvCancelled {
		return errors.New("it ends before its window has closed, or without a tally")
	}
	if event != want || d.Why != why || d.Stage != g.outcome(want, why, d.Now).Stage {
		return fmt.Errorf("the events before its outcome give %s (%s) in stage %s, not %s (%s) in stage %s",
			want, why, g.outcome(want, why, d.Now).Stage, event, d.Why, d.Stage)
	}
	return nil
}

var evidence = gotong.Evidence{
	// The proposal and, unless the gate is secret, the votes.
	Of: func(e gotong.Event) []uint64 {
		t, ok := e.Data.(Tallied)
		if !ok || t.Secret {
			return nil
		}
		seqs := append([]uint64{t.Gate}, t.Seqs...)
		for _, b := range t.Ballots {
			seqs = append(seqs, b.Seq)
		}
		return seqs
	},
	Check: func(e gotong.Event, of []gotong.Event) error {
		t, tallies := e.Data.(Tallied)
		p, opens := of[0].Data.(Proposed)
		if !tallies || !opens || p.Seq != of[0].Seq || p.Seq != t.Gate {
			return errors.New("the first is not the proposal")
		}
		g := Gate{Proposed: p, Voided: t.Voided, Phase: InVote}
		if t.Objection {
			g.Objector = "known to those who see the objection"
		}
		for _, v := range of[1:] {
			if d, ok := v.Data.(Voted); !ok || d.Gate != t.Gate || g.voted(v.Actor.UserID) {
				return fmt.Errorf("event %d is not a vote, or not the only one of its voter", v.Seq)
			}
			g = g.next(v)
		}
		if a, b := g.tally(t.Now).String(), t.String(); a != b {
			return fmt.Errorf("transition %d: its votes give %s, not %s", t.Gate, a, b)
		}
		return nil
	},
}
