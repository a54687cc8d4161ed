package demo

import (
	"cmp"
	"context"
	_ "embed" // the track of the case
	"fmt"
	"time"

	"gotong.dev/gotong/client"
)

// Tracks is the file of tracks that the server needs for the case.
//
//go:embed tracks.yaml
var Tracks []byte

// look is how long a neighbour waits before they look again whether a gate has
// closed.
const look = 2 * time.Second

// move is one step of the case: the author proposes it, somebody may object, and
// then these neighbours vote.
type move struct {
	from, to  string
	objector  name
	objection string
	votes     []ballot
}

type ballot struct {
	who    name
	choice string
}

// moves lead the case through the whole track.
var moves = []move{
	{from: "keresahan", to: "bahas"},
	{
		from: "bahas", to: "rancang", objector: endah,
		objection: "Kas tinggal Rp2.175.000. Sebelum dirancang, biayanya dipilih bersama dulu.",
		votes:     []ballot{{endah, "no"}, {rudi, "yes"}, {sari, "yes"}, {wati, "abstain"}, {joko, "yes"}},
	},
	{from: "rancang", to: "garap"},
	{from: "garap", to: "periksa", votes: []ballot{{rudi, "yes"}, {wati, "yes"}, {endah, "yes"}}},
	{from: "periksa", to: "tuntas", votes: []ballot{{sari, "yes"}, {joko, "yes"}, {endah, "yes"}, {rudi, "yes"}}},
}

// file opens the case in the group: of the founder, with Rudi in charge.
func (n *Neighbourhood) file(ctx context.Context) error {
	founder := n.people[joko].client
	var err error
	n.Case, err = founder.CreateCase(ctx, client.NewCase{
		ScopeID: n.Group.GroupID, Track: "tuntaskan kilat", Title: "Pintu air timur macet", Privacy: "private",
		Description: "Pintu air timur tidak bisa diangkat penuh, sehingga air lama surut.",
	}, n.once("case"))
	if err != nil {
		return fmt.Errorf("case: %w", err)
	}
	for _, who := range cast[1:] {
		role := cmp.Or(map[name]string{rudi: "pic", guest: "saksi"}[who], "participant")
		_, err := founder.SetCaseMember(ctx, n.Case.CaseID, n.people[who].auth.UserID, []string{role}, n.once("seat "+string(who)))
		if err != nil {
			return fmt.Errorf("%s in the case: %w", who, err)
		}
	}
	return nil
}

// Deliberate takes the case through its track once, from the stage where it is, in
// about two minutes. It returns when the case is done or ctx ends.
func (n *Neighbourhood) Deliberate(ctx context.Context) {
	for _, m := range moves {
		err := n.closed(ctx)
		var c client.Case
		if err == nil {
			c, err = n.people[joko].client.Case(ctx, n.Case.CaseID)
		}
		if err == nil && c.Stage == m.from {
			err = n.take(ctx, m)
		}
		if err != nil {
			if ctx.Err() == nil {
				n.opts.Log.InfoContext(ctx, "the neighbours stopped before the case was resolved", "cause", err)
			}
			return
		}
	}
}

// closed waits until no gate of the case is open.
func (n *Neighbourhood) closed(ctx context.Context) error {
	for {
		c, err := n.people[joko].client.Case(ctx, n.Case.CaseID)
		if err != nil || c.Transition == "" {
			return err
		}
		if !n.opts.Pause(ctx, look) {
			return ctx.Err()
		}
	}
}

func (n *Neighbourhood) take(ctx context.Context, m move) error {
	if !n.opts.Pause(ctx, look) {
		return ctx.Err()
	}
	t, err := n.people[joko].client.Propose(ctx, client.Proposal{CaseID: n.Case.CaseID, From: m.from, To: m.to})
	if err == nil && m.objector != "" && n.opts.Pause(ctx, 2*look) {
		_, err = n.people[m.objector].client.Object(ctx, t.TransitionID, m.objection)
	}
	for _, b := range m.votes {
		if err != nil || !n.opts.Pause(ctx, look) {
			break
		}
		_, err = n.people[b.who].client.Vote(ctx, t.TransitionID, b.choice)
	}
	if err != nil {
		return err
	}
	return n.closed(ctx)
}
