package thread

import "gotong.dev/gotong"

func project(s gotong.State, e gotong.Event) []gotong.Change {
	switch d := e.Data.(type) {
	case Created:
		return created(e, d)
	case HistoryChanged:
		return historyChanged(s, e, d)
	case Updated, Archived, Unarchived, Slowed, gotong.Erased:
		return retitled(s, e)
	case Joined:
		return seated(s, e, d.UserID, d.Role)
	case Added:
		return seated(s, e, d.UserID, d.Role)
	case RoleChanged:
		return seated(s, e, d.UserID, d.Role)
	case Left:
		return seated(s, e, d.UserID, "")
	case Removed:
		return seated(s, e, d.UserID, "")
	case Appointed:
		return seated(s, e, d.UserID, d.Role)
	case Unbanned:
		return seated(s, e, d.UserID, "")
	case Muted:
		return muted(s, e, d)
	case Edited:
		return edited(s, e, d)
	case Deleted:
		return deleted(s, e, d)
	case Reacted:
		return reacted(s, e, d)
	case Pinned:
		return pinned(s, e, d, e.Seq)
	case Unpinned:
		return pinned(s, e, Pinned(d), 0)
	case Advised:
		return advised(s, e, d)
	case Held:
		return heldBack(s, e, d)
	case Released:
		return released(s, e, d)
	case Blocked:
		return blocked(s, e, d)
	case Reported:
		return counted(s, e, d)
	case Decided:
		return noted(s, e, d.TargetSeq)
	case Appealed:
		return noted(s, e, d.TargetSeq)
	case Opened:
		return noted(s, e, d.TargetSeq)
	case Posted: // a post without attachments that is no reply writes no document, except in slow mode
		return append(posted(e, d), paced(e, d)...)
	default:
		return nil
	}
}

func created(e gotong.Event, d Created) []gotong.Change {
	id, me := e.Stream.ID(), e.Actor.UserID
	t := Thread{
		ScopeID: d.ScopeID, Home: d.Home, Lender: d.Lender, CreatedBy: me, Privacy: d.Privacy, Members: d.Members,
		CreatedAt: e.At, Pair: d.Pair,
		History: []PolicyChange{{Seq: e.Seq, Count: e.Count, Policy: d.History}},
		Titled:  Titled{}.set(e, func(string) bool { return true }),
	}
	var changes []gotong.Change
	if d.Privacy == Public {
		changes = append(changes, gotong.List(OfScopeKey(d.ScopeID, e.At, id), e.Stream, true))
	}
	if d.Members == Home {
		changes = append(changes, gotong.List(OfLenderKey(d.Lender, e.At, id), e.Stream, true))
		return append(changes, gotong.Change{Key: ThreadKey(id), Doc: t})
	}
	first, role := []string{me}, Owner
	if t.Direct() {
		first, role = d.Pair, MemberRole
	}
	for _, user := range first {
		t.Roster = t.Move(user, "", string(role), string(Owner))
		row := Member{Membership: gotong.Membership{}.Join(e, string(role))}
		changes = append(changes, gotong.Change{Key: MemberKey(id, user), Doc: row},
			gotong.List(OfUserKey(user, e.At, id), e.Stream, true))
	}
	return append(changes, gotong.Change{Key: ThreadKey(id), Doc: t})
}

func historyChanged(s gotong.State, e gotong.Event, d HistoryChanged) []gotong.Change {
	key := ThreadKey(e.Stream.ID())
	t, _ := gotong.Doc[Thread](s, key)
	n := len(t.History)
	t.History = append(t.History[:n:n], PolicyChange{Seq: e.Seq, Count: e.Count, Policy: d.Policy})
	return []gotong.Change{{Key: key, Doc: t}}
}

// seated gives a user a role in the thread; an empty role ends the membership.
func seated(s gotong.State, e gotong.Event, userID string, role Role) []gotong.Change {
	id := e.Stream.ID()
	t, _ := gotong.Doc[Thread](s, ThreadKey(id))
	m, _ := gotong.Doc[Member](s, MemberKey(id, userID))
	before := m.Held()
	m.Membership = m.Seat(e, string(role))
	switch d := e.Data.(type) {
	case Removed:
		m.Ban = d.Ban
	case Unbanned:
		m.Ban = gotong.Ban{}
	case Appointed:
		m.Appointed = m.Appointed || d.Outsider
	}
	changes := []gotong.Change{{Key: MemberKey(id, userID), Doc: m}}
	if !imported(userID) {
		t.Roster = t.Move(userID, before, string(role), string(Owner))
		changes = append(changes, gotong.Change{Key: ThreadKey(id), Doc: t})
	}
	if t.Closed() && t.Privacy == Public {
		changes = append(changes, gotong.List(OfScopeKey(t.ScopeID, t.CreatedAt, id), e.Stream, false))
	}
	if (before == "") != (role == "") {
		changes = append(changes, gotong.List(OfUserKey(userID, t.CreatedAt, id), e.Stream, role != ""))
	}
	return changes
}

func muted(s gotong.State, e gotong.Event, d Muted) []gotong.Change {
	key := MemberKey(e.Stream.ID(), d.UserID)
	m, _ := gotong.Doc[Member](s, key)
	m.MuteUntilMS = d.UntilMS
	if m.Role == "" && m.MuteUntilMS == 0 {
		return []gotong.Change{{Key: key}} // a borrowed member who is not muted has no row
	}
	return []gotong.Change{{Key: key, Doc: m}}
}

func edited(s gotong.State, e gotong.Event, d Edited) []gotong.Change {
	key := OverlayKey(e.Stream.ID(), d.TargetSeq)
	o, _ := gotong.Doc[Overlay](s, key)
	changes := superseded(e, d.MessageID, o)
	o.MessageID, o.N, o.Revision = d.MessageID, d.N, d.Revision
	o.EditSeq, o.EditedAt = e.Seq, e.At
	return append(changes, gotong.Change{Key: key, Doc: o})
}

func deleted(s gotong.State, e gotong.Event, d Deleted) []gotong.Change {
	id := e.Stream.ID()
	key := OverlayKey(id, d.TargetSeq)
	o, _ := gotong.Doc[Overlay](s, key)
	changes := superseded(e, d.MessageID, o)
	gone := Overlay{
		MessageID: d.MessageID, N: d.N, Revision: d.Revision, EditedAt: o.EditedAt, DeletedAt: e.At,
	}
	if o.Moderated {
		matter := docketOf(s, e, d.TargetSeq)
		changes = append(changes, matter.settled()...)
	}
	if o.Pinned != 0 {
		changes = append(changes, repinned(s, id, d.TargetSeq, false))
	}
	return append(changes, gotong.Change{Key: key, Doc: gone},
		gotong.Change{Key: DeletedKey(id, d.N), Doc: gotong.Entry{ID: d.MessageID.String()}})
}

func reacted(s gotong.State, e gotong.Event, d Reacted) []gotong.Change {
	key := OverlayKey(e.Stream.ID(), d.TargetSeq)
	o, _ := gotong.Doc[Overlay](s, key)
	o = o.react(e, d.Emoji, d.On)
	if o.empty() {
		return []gotong.Change{{Key: key}}
	}
	o.MessageID, o.N = d.MessageID, d.N
	return []gotong.Change{{Key: key, Doc: o}}
}

// superseded marks the edit that held the newest text so far as replaced.
func superseded(e gotong.Event, message gotong.EventID, o Overlay) []gotong.Change {
	if o.EditSeq == 0 {
		return nil
	}
	void := Overlay{MessageID: message, Superseded: true}
	return []gotong.Change{{Key: OverlayKey(e.Stream.ID(), o.EditSeq), Doc: void}}
}
