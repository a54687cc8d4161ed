package inbox

import (
	"maps"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

// read writes what one event causes.
func (w *writer) read(e gotong.Event) {
	w.number = 0
	me := Item{Seq: e.Seq, By: e.Actor.UserID}
	switch d := e.Data.(type) {
	case thread.Created:
		w.createThread(e, d)
	case group.Created:
		w.sit(e, e.Actor.UserID, []string{string(group.Admin)})
	case cases.Created:
		w.sit(e, e.Actor.UserID, []string{string(cases.Author)})
	case thread.Posted:
		w.post(e, d)
	case thread.Edited:
		w.edit(e, d)
	case thread.Decided:
		w.own = d.Own
	case thread.Held:
		if d.By == thread.ByNewcomer { // the rules hold it, and not the author who wrote it
			e.Actor = gotong.Actor{}
		}
		if d.By != thread.ByAppeal { // else it is the author's own act
			w.decide(e, d.TargetSeq)
		}
	case thread.Blocked:
		w.decide(e, d.TargetSeq)
	case thread.Released:
		w.decide(e, d.TargetSeq)
	case thread.Deleted:
		w.decide(e, d.TargetSeq)
	case group.Invited:
		me.Kind, me.UntilMS = Invited, d.UntilMS
		w.give(d.UserID, e, me)
	case group.Answered:
		if e.Type == group.EvRejected {
			me.Kind = Declined
			w.give(d.UserID, e, me)
		}
	case cases.Proposed:
		me.Kind = GateOpened
		w.giveAll(e.Stream, e, me, "", &reach{})
	case cases.Reminded:
		me.Kind, me.By = GateClosing, ""
		w.give(strings.TrimPrefix(string(e.Audience), string(gotong.ForUser(""))), e, me)
	default:
		w.membership(e, me)
	}
}

func (w *writer) createThread(e gotong.Event, d thread.Created) {
	switch {
	case d.Members == thread.Home:
	case len(d.Pair) > 0:
		for _, id := range d.Pair {
			w.sit(e, id, []string{string(thread.MemberRole)})
			w.give(id, e, Item{Kind: Added, Seq: e.Seq, By: e.Actor.UserID})
		}
	default:
		w.sit(e, e.Actor.UserID, []string{string(thread.Owner)})
	}
}

// membership writes that somebody else added the user, or removed them.
func (w *writer) membership(e gotong.Event, me Item) {
	userID, roles := seat(e)
	if userID == "" {
		return
	}
	switch was := w.sit(e, userID, roles); {
	case !was && len(roles) > 0:
		me.Kind = Added
	case was && len(roles) == 0:
		me = Item{Kind: Removed, Seq: e.Seq}
	default:
		return
	}
	w.give(userID, e, me)
}

// post notes the author, and writes whom the message concerns: each user once.
func (w *writer) post(e gotong.Event, d thread.Posted) {
	by := maps.Clone(doc[map[uint64]string](w, authorsKey(e.Stream, e.Seq)))
	if by == nil {
		by = map[uint64]string{}
	}
	by[e.Seq] = e.Actor.UserID
	w.made[authorsKey(e.Stream, e.Seq)] = by
	of, i, r := whose(e.Stream, d.Lender), Item{Kind: Message, Seq: e.Seq, By: e.Actor.UserID, Siaga: d.Siaga}, reach{Siaga: d.Siaga}
	if d.ReplySeq > 0 {
		i.Answers = true
		w.reach(doc[map[uint64]string](w, authorsKey(e.Stream, d.ReplySeq))[d.ReplySeq], of, e, i, &r)
		i.Answers = false
	}
	w.mention(e, of, i, d.Mentions, &r)
	if d.Siaga && len(r.Wide) == 0 {
		w.giveAll(of, e, i, "", &r)
	}
	w.keep(e.Stream, e.Seq, r)
}

// edit writes the mentions that an edit adds. Those that it withdraws are not shown any
// more, because reading looks at the newest text.
func (w *writer) edit(e gotong.Event, d thread.Edited) {
	r := doc[reach](w, reachKey(e.Stream, d.TargetSeq))
	r.Users = slices.Clone(r.Users)
	w.mention(e, whose(e.Stream, d.Lender), Item{Kind: Message, Seq: d.TargetSeq, By: e.Actor.UserID, Siaga: r.Siaga}, d.Mentions, &r)
	w.keep(e.Stream, d.TargetSeq, r)
}

func (w *writer) keep(s gotong.Stream, seq uint64, r reach) {
	if slices.Sort(r.Users); len(r.Users) > 0 || len(r.Wide) > 0 || r.Siaga {
		w.made[reachKey(s, seq)] = r
	}
}

// mention gives items to the users whom a text names, then to those whom it addresses
// together: last in the list of a wide stream, whose item is not for those who have one
// of their own. Leaders, too, get one of their own for such an item.
func (w *writer) mention(e gotong.Event, of gotong.Stream, i Item, mentions []thread.Mention, r *reach) {
	for _, m := range mentions {
		switch {
		case m.UserID == "":
			if special := m.Role != "" && !ordinary([]string{m.Role}); special && len(r.Wide) == 0 {
				w.giveAll(of, e, i, m.Role, r)
			}
		case len(r.Wide) == 0 || !doc[belongs](w, spansKey(m.UserID, w.p, of)).at(r.Wide...):
			w.reach(m.UserID, of, e, i, r)
		}
	}
	for _, m := range mentions {
		if m.Group != "" || m.Role != "" && ordinary([]string{m.Role}) {
			w.giveAll(of, e, i, m.Role, r)
		}
	}
}

// reach gives a user an item about a message unless they have one.
func (w *writer) reach(userID string, of gotong.Stream, e gotong.Event, i Item, r *reach) {
	if userID == "" || userID == e.Actor.UserID || slices.Contains(r.Users, userID) {
		return
	}
	if roles := doc[roster](w, rosterKey(of)).Roles[userID]; i.Kind == Message && !ordinary(roles) {
		i.Roles = roles
	}
	w.give(userID, e, i)
	r.Users = append(r.Users, userID)
}

// decide writes what somebody else decided about a message to its author. It keeps what
// the message reaches as it is, so that [Changed] knows for whom it may show less or more.
func (w *writer) decide(e gotong.Event, seq uint64) {
	w.keep(e.Stream, seq, doc[reach](w, reachKey(e.Stream, seq)))
	if w.own {
		w.own = false
		return
	}
	author := doc[map[uint64]string](w, authorsKey(e.Stream, seq))[seq]
	w.give(author, e, Item{Kind: Decided, Seq: seq, Decision: e.Type})
}
