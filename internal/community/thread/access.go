package thread

import (
	"slices"
	"time"

	"gotong.dev/gotong"
)

// accessNeeds names the viewer's row in the thread at once, because it is needed
// in any case.
func accessNeeds(s gotong.State, viewer gotong.Viewer) []gotong.Ref {
	t, _ := gotong.Doc[Thread](s, ThreadKey(s.Stream.ID()))
	return addMember([]gotong.Ref{{Stream: s.Stream, Key: ThreadKey(s.Stream.ID())}}, s.Stream, t, viewer.UserID)
}

// access returns what a viewer may see of a thread, public or not: only members
// see events, namely those of the stretches in which the history policy was all,
// and those of their own memberships.
func (r Rules) access(s gotong.State, viewer gotong.Viewer) gotong.Grant {
	t, ok := gotong.Doc[Thread](s, ThreadKey(s.Stream.ID()))
	if !ok {
		return gotong.Grant{}
	}
	st := r.standingOf(s, t, viewer.UserID)
	if st.role == "" {
		return gotong.Grant{}
	}
	roles := []string{string(st.role)}
	if st.role.rank() >= Admin.rank() {
		roles = append(roles, Reviewer)
	}
	g := gotong.Grant{
		Readable: true, Roles: roles,
		SilentUntil: gotong.InstantOf(time.UnixMilli(st.row.MuteUntilMS)),
	}
	if t.ArchivedAt != 0 {
		g.SilentUntil = gotong.InstantOf(time.UnixMilli(gotong.MaxTimeMS))
	}
	chain := Chain(t, s.Stream)
	g.Spans = spans(s.Stream, t, st.base, chain[0])
	for _, home := range chain[1:] {
		g.Within = append(g.Within, spans(s.Stream, t, gotong.MembershipOf(s, home, viewer.UserID), home))
	}
	return g
}

// spans returns what a user may see as a member of this stream: the stretches open
// to all members, and those of the membership unless the open ones cover them.
func spans(stream gotong.Stream, t Thread, m gotong.Membership, of gotong.Stream) []gotong.Span {
	if m.Appointed {
		return m.Spans(of)
	}
	open := openSpans(stream, t.History)
	visible := slices.Clone(open)
	for _, own := range m.Spans(of) {
		if !slices.ContainsFunc(open, func(o gotong.Span) bool { return covers(o, own) }) {
			visible = append(visible, own)
		}
	}
	return visible
}

// openSpans returns the spans of the stream during which the history policy was
// [All].
func openSpans(stream gotong.Stream, history []PolicyChange) []gotong.Span {
	var list []gotong.Span
	for i, h := range history {
		if h.Policy != All {
			continue
		}
		span := gotong.Span{Stream: stream, From: h.Seq}
		if h.Seq == 1 {
			span.From = 0 // from the beginning: needs no look-up
		}
		if i+1 < len(history) {
			span.To = history[i+1].Seq
		}
		list = append(list, span)
	}
	return list
}

// covers reports whether inner lies within outer. It is false if they are of two
// streams, unless outer has no end on either side.
func covers(outer, inner gotong.Span) bool {
	if outer.From == 0 && outer.To == 0 {
		return true
	}
	return outer.Stream == inner.Stream && outer.From <= inner.From &&
		(outer.To == 0 || inner.To != 0 && inner.To <= outer.To)
}

// open: a public thread is open to every webhook of its home.
func open(doc any) bool {
	t, ok := doc.(Thread)
	return ok && t.Privacy == Public
}

// admits lets those who may add and remove members decide on webhooks.
func (r Rules) admits(s gotong.State, cmd gotong.Command) error {
	t, ok := gotong.Doc[Thread](s, ThreadKey(s.Stream.ID()))
	is := ruling{Rules: r, state: s, thread: t, cmd: cmd}
	if is.me = is.standing(cmd.Actor.UserID); !ok || !mayKnow(s, t, is.me) {
		return gotong.NotFound()
	}
	if _, adds := cmd.Data.(gotong.AddWebhook); !adds && is.moderates() || is.leads() {
		return nil
	}
	return gotong.NewError(gotong.CodeForbidden, "Only owners and admins decide on webhooks.")
}

func affects(e gotong.Event) gotong.Affected {
	switch d := e.Data.(type) {
	case Created:
		if d.Members == Home {
			return gotong.Affected{Everyone: true}
		}
		return gotong.Affected{Users: append([]string{e.Actor.UserID}, d.Pair...)}
	case HistoryChanged, Archived, Unarchived: // in an archived thread, nobody sends a signal
		return gotong.Affected{Everyone: true}
	case Joined:
		return gotong.Affected{Users: []string{d.UserID}}
	case Added:
		return gotong.Affected{Users: []string{d.UserID}}
	case Left:
		return gotong.Affected{Users: []string{d.UserID}}
	case Removed:
		return gotong.Affected{Users: []string{d.UserID}}
	case RoleChanged:
		return gotong.Affected{Users: []string{d.UserID}}
	case Appointed:
		return gotong.Affected{Users: []string{d.UserID}}
	case Muted: // may still read, but send no signal
		return gotong.Affected{Users: []string{d.UserID}}
	default:
		return gotong.Affected{}
	}
}

// KnowNeeds names what [Rules.MayKnow] looks at.
func (r Rules) KnowNeeds(s gotong.State, viewer gotong.Viewer) []gotong.Ref {
	refs := accessNeeds(s, viewer)
	if t, ok := gotong.Doc[Thread](s, ThreadKey(s.Stream.ID())); ok {
		refs = append(refs, r.homeRefs(s, t, viewer.UserID)...)
	}
	return refs
}

// MayKnow reports whether a user may know that the thread exists: they may read
// it, or it is public and they may know of its home.
func (r Rules) MayKnow(s gotong.State, viewer gotong.Viewer) bool {
	t, ok := gotong.Doc[Thread](s, ThreadKey(s.Stream.ID()))
	return ok && mayKnow(s, t, r.standingOf(s, t, viewer.UserID))
}

func mayKnow(s gotong.State, t Thread, st standing) bool {
	if st.role != "" || t.Privacy != Public || !t.Home.HasMembers() {
		return st.role != "" || t.Privacy == Public
	}
	home, ok := gotong.Doc[gotong.Known](s, gotong.StreamKey(t.Home))
	return ok && home.KnownToAll() || gotong.MembershipOf(s, t.Home, st.userID).Active()
}
