package cases

import "gotong.dev/gotong"

func (r Rules) accessNeeds(s gotong.State, v gotong.Viewer) []gotong.Ref {
	c, _ := gotong.Doc[Case](s, CaseKey(s.Stream.ID()))
	refs := []gotong.Ref{{Stream: s.Stream, Key: CaseKey(s.Stream.ID())}}
	return append(refs, gotong.ChainRefs(gotong.Chain(s.Stream, c.Home), v.UserID)...)
}

// access gives members all of a case's events, also those from before they were
// added, except for votes and reminders, which are for one user each.
func (r Rules) access(s gotong.State, v gotong.Viewer) gotong.Grant {
	c, ok := gotong.Doc[Case](s, CaseKey(s.Stream.ID()))
	if !ok {
		return gotong.Grant{}
	}
	m, is := r.memberOf(s, c, v.UserID)
	if !is {
		return gotong.Grant{}
	}
	return gotong.Grant{Readable: true, Roles: m.Roles(), Spans: []gotong.Span{{Stream: s.Stream}}}
}

// admits lets the author and a PIC decide on webhooks; platform moderators may only
// remove them.
func (r Rules) admits(s gotong.State, cmd gotong.Command) error {
	doc, ok := gotong.Doc[Case](s, CaseKey(s.Stream.ID()))
	if !ok || !r.MayKnow(s, gotong.Viewer{UserID: cmd.Actor.UserID, Role: cmd.Actor.Role}) {
		return gotong.NotFound()
	}
	is := ruling{Rules: r, state: s, cmd: cmd, doc: doc}
	is.me, is.member = r.memberOf(s, doc, cmd.Actor.UserID)
	if _, adds := cmd.Data.(gotong.AddWebhook); !adds && is.manages() || is.member && is.me.holds(Author, PIC) {
		return nil
	}
	return gotong.NewError(gotong.CodeForbidden, "Only the author and a PIC decide on webhooks.")
}

func affects(e gotong.Event) gotong.Affected {
	switch d := e.Data.(type) {
	case Created:
		return gotong.Affected{Users: []string{e.Actor.UserID}}
	case Seated:
		return gotong.Affected{Users: []string{d.UserID}}
	case Removed:
		return gotong.Affected{Users: []string{d.UserID}}
	default:
		return gotong.Affected{}
	}
}
