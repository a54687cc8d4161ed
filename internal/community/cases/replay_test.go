package cases_test

import (
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
)

// voted returns the events of a case whose vote passed, after an objection. One
// voter, budi, voted twice; the second vote counts.
func voted(t *testing.T) []gotong.Event {
	t.Helper()
	v := found(t, "tuntaskan", budi, citra)
	g := v.propose(cases.Propose{To: "bahas"})
	v.close(g.Seq)
	g = v.propose(cases.Propose{To: "garap"})
	v.Do(budi, v.s, cases.Object{Gate: g.Seq, Reason: "Belum ada dana"})
	v.Do(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.No})
	v.Do(budi, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
	v.Do(citra, v.s, cases.Cast{Gate: g.Seq, Choice: cases.No})
	v.Do(ani, v.s, cases.Cast{Gate: g.Seq, Choice: cases.Yes})
	v.close(g.Seq)
	var events []gotong.Event
	for seq := uint64(1); seq <= v.Head(v.s).Seq; seq++ {
		events = append(events, v.Event(v.s, seq))
	}
	return events
}

// edit changes the data of the first event of a type, from the last one back.
func edit[D any](events []gotong.Event, of string, change func(*D)) []gotong.Event {
	for i := range slices.Backward(events) {
		if d, ok := events[i].Data.(D); ok && events[i].Type == of {
			change(&d)
			events[i].Data = d
			return events
		}
	}
	panic("there is no " + of)
}

// without returns the events without those of a type.
func without(events []gotong.Event, of string) []gotong.Event {
	return slices.DeleteFunc(events, func(e gotong.Event) bool { return e.Type == of })
}

// TestReplay: whatever an event says that the events before it do not give is found,
// and the transition is named.
func TestReplay(t *testing.T) {
	forged := map[string]func([]gotong.Event) []gotong.Event{
		"a yes too many": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvTallied, func(d *cases.Tallied) { d.Yes++ })
		},
		"a vote that passed did not": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvTallied, func(d *cases.Tallied) { d.Passed, d.Why = false, cases.WhyQuorum })
		},
		"another choice in the list": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvTallied, func(d *cases.Tallied) { d.Ballots[0].Choice = cases.No })
		},
		"another seq in the list": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvTallied, func(d *cases.Tallied) { d.Ballots[0].Seq-- })
		},
		"secret, although the proposal was not": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvTallied, func(d *cases.Tallied) { d.Secret = true })
		},
		"a smaller quorum": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvTallied, func(d *cases.Tallied) { d.Needed = 0 })
		},
		"a tally within the window": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvTallied, func(d *cases.Tallied) { d.Now -= 1e12 })
		},
		"another vote": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvVoted, func(d *cases.Voted) { d.Choice = cases.Abstain })
		},
		"a vote that is gone": func(list []gotong.Event) []gotong.Event {
			return slices.DeleteFunc(list, func(e gotong.Event) bool { return e.Type == cases.EvVoted && e.Actor.UserID == "citra" })
		},
		"a vote after the window": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvVoted, func(d *cases.Voted) { d.Now += 1e12 })
		},
		"no tally":     func(list []gotong.Event) []gotong.Event { return without(list, cases.EvTallied) },
		"no objection": func(list []gotong.Event) []gotong.Event { return without(list, cases.EvObjected) },
		"no proposal":  func(list []gotong.Event) []gotong.Event { return without(list, cases.EvProposed) },
		"two tallies": func(list []gotong.Event) []gotong.Event {
			at := slices.IndexFunc(list, func(e gotong.Event) bool { return e.Type == cases.EvTallied })
			return slices.Insert(list, at, list[at])
		},
		"two outcomes": func(list []gotong.Event) []gotong.Event { return append(list, list[len(list)-1]) },
		"an outcome of another sort": func(list []gotong.Event) []gotong.Event {
			list[len(list)-1].Type = cases.EvRejected
			return list
		},
		"an outcome for another reason": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvApplied, func(d *cases.Outcome) { d.Why = cases.WhyConsent })
		},
		"an outcome with another stage": func(list []gotong.Event) []gotong.Event {
			return edit(list, cases.EvApplied, func(d *cases.Outcome) { d.Stage = "tuntas" })
		},
		"an outcome without objection in time": func(list []gotong.Event) []gotong.Event {
			at := slices.IndexFunc(list, func(e gotong.Event) bool { return e.Type == cases.EvApplied })
			return edit(list[:at+1], cases.EvApplied, func(d *cases.Outcome) { d.Now = 1 })
		},
		"a proposal within a proposal": func(list []gotong.Event) []gotong.Event {
			return without(list, cases.EvApplied)
		},
		"a vote voided that nobody cast": func(list []gotong.Event) []gotong.Event {
			at := slices.IndexFunc(list, func(e gotong.Event) bool { return e.Type == cases.EvTallied })
			d := list[at].Data.(cases.Tallied)
			return slices.Insert(list, at, gotong.Event{
				Stream: list[0].Stream, Seq: list[at].Seq, Type: cases.EvVoided,
				Data: cases.Voided{Gate: d.Gate, UserID: "dedi", Vote: 3, Now: 1},
			})
		},
		"a withdrawal after the vote": func(list []gotong.Event) []gotong.Event {
			last := &list[len(list)-1]
			last.Type = cases.EvCancelled
			return edit(list, cases.EvCancelled, func(d *cases.Outcome) { d.Why, d.Stage = cases.WhyWithdrawn, "bahas" })
		},
	}
	kind, _ := rules(cases.BuiltIn())
	run := func(list []gotong.Event) error {
		replay := kind.Replay()
		for _, e := range list {
			if err := replay(e); err != nil {
				return err
			}
		}
		return nil
	}
	if err := run(voted(t)); err != nil {
		t.Fatalf("an honest log: %v", err)
	}
	for name, forge := range forged {
		if err := run(forge(voted(t))); err == nil || !strings.Contains(err.Error(), "transition") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
