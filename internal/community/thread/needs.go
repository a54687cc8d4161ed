package thread

import "gotong.dev/gotong"

// errNoHome: the command creates no thread. One value serves all, because the
// edge asks at each command.
var errNoHome = gotong.NotFound()

func (r Rules) home(cmd gotong.Command) (gotong.Stream, error) {
	switch c := cmd.Data.(type) {
	case Create:
		return r.Lenders.HomeOf(c.ScopeID), nil
	case Direct:
		return cmd.Stream, nil
	default:
		return "", errNoHome
	}
}

func (r Rules) needs(s gotong.State, cmd gotong.Command) []gotong.Ref {
	if c, ok := cmd.Data.(Create); ok {
		return r.createNeeds(s, cmd, c)
	}
	if c, ok := cmd.Data.(Direct); ok {
		id := cmd.Stream.ID()
		return []gotong.Ref{
			{Stream: cmd.Stream, Key: ThreadKey(id)}, {Stream: cmd.Stream, Key: MemberKey(id, cmd.Actor.UserID)},
			gotong.AccountRef(c.UserID), gotong.SettingsRef(c.UserID),
		}
	}
	refs := make([]gotong.Ref, 0, 4) // as many as most commands need
	refs = append(refs, gotong.Ref{Stream: cmd.Stream, Key: ThreadKey(cmd.Stream.ID())})
	t, ok := gotong.Doc[Thread](s, ThreadKey(cmd.Stream.ID()))
	refs = addMember(refs, cmd.Stream, t, cmd.Actor.UserID) // at once, so that a post takes one read
	refs = append(refs, r.mentionRefs(s, t, cmd)...)
	if !ok {
		return refs
	}
	refs = append(refs, r.homeRefs(s, t, cmd.Actor.UserID)...)
	if other := t.Other(cmd.Actor.UserID); other != "" {
		refs = append(refs, gotong.SettingsRef(other))
	}
	if target := targetUser(cmd.Data); target != "" && target != cmd.Actor.UserID {
		refs = addMember(refs, cmd.Stream, t, target)
	}
	refs = append(refs, accountRefs(s.Stream, t, cmd)...)
	if target := targetMessage(cmd.Data); !target.IsZero() {
		refs = append(refs, messageRefs(s, cmd.Stream, target)...)
	}
	return append(append(refs, uploadRefs(cmd)...), reviewRefs(s, t, cmd)...)
}

// reviewRefs names what the rules on reviews look at. Of the posts, only those in a
// thread that borrows its members look at the home, on whose events they depend
// anyway.
func reviewRefs(s gotong.State, t Thread, cmd gotong.Command) (refs []gotong.Ref) {
	policy := t.Members == Home
	switch c := cmd.Data.(type) {
	case Post:
		if t.SlowS > 0 {
			refs = append(refs, gotong.Ref{Stream: cmd.Stream, Key: PaceKey(cmd.Stream.ID(), cmd.Actor.UserID)})
		}
	case Edit:
		if policy {
			refs = matterRefs(s, cmd.Stream, c.MessageID)
		}
	case Delete:
		policy = false
		if e, ok := s.Event(c.MessageID); ok {
			o, _ := gotong.Doc[Overlay](s, OverlayKey(cmd.Stream.ID(), e.Seq))
			if o.Moderated {
				refs = ModerationRefs(cmd.Stream, e.Seq)
			}
			refs = append(refs, pinRefs(s, cmd)...)
		}
	case Pin, Unpin:
		return []gotong.Ref{{Stream: cmd.Stream, Key: PinsKey(cmd.Stream.ID())}}
	case Advise:
		policy = true
		refs = matterRefs(s, cmd.Stream, c.MessageID)
	case Report:
		policy = true
		refs = matterRefs(s, cmd.Stream, c.MessageID)
		for _, by := range c.Reporters {
			refs = addMember(refs, cmd.Stream, t, by.UserID)
		}
	case Review, Appeal, Open:
		policy = false
		refs = append(matterRefs(s, cmd.Stream, targetMessage(c)), pinRefs(s, cmd)...)
	case Unhold:
		if policy = false; c.Seq > 0 {
			return ModerationRefs(cmd.Stream, c.Seq)
		}
		refs = matterRefs(s, cmd.Stream, c.MessageID)
	default:
		return nil
	}
	if policy && t.Home.HasMembers() {
		refs = append(refs, gotong.Ref{Stream: t.Home, Key: gotong.StreamKey(t.Home)})
	}
	return refs
}

// pinRefs names the pinned messages if the message of the command is one.
func pinRefs(s gotong.State, cmd gotong.Command) []gotong.Ref {
	if e, ok := s.Event(targetMessage(cmd.Data)); ok {
		if o, _ := gotong.Doc[Overlay](s, OverlayKey(cmd.Stream.ID(), e.Seq)); o.Pinned != 0 {
			return []gotong.Ref{{Stream: cmd.Stream, Key: PinsKey(cmd.Stream.ID())}}
		}
	}
	return nil
}

func matterRefs(s gotong.State, stream gotong.Stream, id gotong.EventID) []gotong.Ref {
	if e, ok := s.Event(id); ok {
		return ModerationRefs(stream, e.Seq)
	}
	return nil
}

// createNeeds names the actor's memberships of a home that has members and of the
// lender: only their members create threads there. The head of the lender tells
// its home. A stream that cannot lend has no members to look for.
func (r Rules) createNeeds(s gotong.State, cmd gotong.Command, c Create) []gotong.Ref {
	home := r.Lenders.HomeOf(c.ScopeID)
	var refs []gotong.Ref
	if home.HasMembers() {
		refs = gotong.ChainRefs([]gotong.Stream{home}, cmd.Actor.UserID)
	}
	if c.Lender != "" && c.Lender != home && r.Lenders.Lends(c.Lender) {
		lender, _ := s.HeadOf(c.Lender)
		refs = append(refs, gotong.ChainRefs(gotong.Chain(c.Lender, lender.Home), cmd.Actor.UserID)...)
	}
	return refs
}

// addMember adds the rows that decide a user's standing in the thread.
func addMember(refs []gotong.Ref, s gotong.Stream, t Thread, userID string) []gotong.Ref {
	refs = append(refs, gotong.Ref{Stream: s, Key: MemberKey(s.ID(), userID)})
	if t.Members == Home {
		refs = append(refs, gotong.ChainRefs(gotong.Chain(t.Lender, t.Home), userID)...)
	}
	return refs
}

// accountRefs names the accounts that the rules on ownership look at: that of the
// user who gets a role, and those of all owners if one of them may lose it.
func accountRefs(s gotong.Stream, t Thread, cmd gotong.Command) []gotong.Ref {
	switch c := cmd.Data.(type) {
	case Add:
		if !imported(c.UserID) {
			return []gotong.Ref{gotong.AccountRef(c.UserID)}
		}
	case Appoint:
		refs := append(t.LeaderRefs(), gotong.AccountRef(c.UserID))
		return append(refs, gotong.MemberRefs(s, c.Members)...)
	case Leave:
		if t.Leads(cmd.Actor.UserID) {
			return t.LeaderRefs()
		}
	case Remove:
		if t.Leads(c.UserID) {
			return t.LeaderRefs()
		}
	case SetRole:
		if t.Leads(c.UserID) {
			return t.LeaderRefs()
		}
		if c.Role == Owner {
			return []gotong.Ref{gotong.AccountRef(c.UserID)}
		}
	}
	return nil
}

// homeRefs returns the documents that decide whether a non-member may know of a
// public thread in a home that lends members. It returns none for a member, whose
// commands would otherwise conflict with every event of the home.
func (r Rules) homeRefs(s gotong.State, t Thread, userID string) []gotong.Ref {
	asked := s.Has(gotong.Ref{Key: MemberKey(s.Stream.ID(), userID)})
	if t.Privacy != Public || !t.Home.HasMembers() || !asked || r.standingOf(s, t, userID).role != "" {
		return nil
	}
	return []gotong.Ref{
		{Stream: t.Home, Key: gotong.StreamKey(t.Home)}, {Stream: t.Home, Key: gotong.MemberKey(t.Home, userID)},
	}
}

// messageRefs names a message and, once its seq is known, its overlay.
func messageRefs(s gotong.State, stream gotong.Stream, id gotong.EventID) []gotong.Ref {
	refs := []gotong.Ref{{Stream: stream, Event: id}}
	if e, ok := s.Event(id); ok {
		refs = append(refs, gotong.Ref{Stream: stream, Key: OverlayKey(stream.ID(), e.Seq)})
	}
	return refs
}

func targetUser(data any) string {
	switch c := data.(type) {
	case Add:
		return c.UserID
	case Remove:
		return c.UserID
	case Mute:
		return c.UserID
	case SetRole:
		return c.UserID
	case Unban:
		return c.UserID
	case Appoint:
		return c.UserID
	default:
		return ""
	}
}

func targetMessage(data any) gotong.EventID {
	switch c := data.(type) {
	case Post:
		return c.ReplyTo
	case Edit:
		return c.MessageID
	case Delete:
		return c.MessageID
	case React:
		return c.MessageID
	case Pin:
		return c.MessageID
	case Unpin:
		return c.MessageID
	case Advise:
		return c.MessageID
	case Review:
		return c.MessageID
	case Appeal:
		return c.MessageID
	case Open:
		return c.MessageID
	case Report:
		return c.MessageID
	case Unhold:
		return c.MessageID
	default:
		return gotong.EventID{}
	}
}
