package group

import "gotong.dev/gotong"

func accessNeeds(s gotong.State, v gotong.Viewer) []gotong.Ref {
	return []gotong.Ref{{Stream: s.Stream, Key: gotong.MemberKey(s.Stream, v.UserID)}}
}

// spans returns all of the group's events; for an outsider who was appointed,
// those since then.
func spans(s gotong.Stream, m gotong.Membership) []gotong.Span {
	if m.Appointed {
		return m.Spans(s)
	}
	return []gotong.Span{{Stream: s}}
}

// access gives members all of a group's events, also those from before they
// joined.
func access(s gotong.State, v gotong.Viewer) gotong.Grant {
	m, _ := gotong.Doc[gotong.Membership](s, gotong.MemberKey(s.Stream, v.UserID))
	if !m.Active() {
		return gotong.Grant{}
	}
	roles := []string{m.Role}
	if Role(m.Role) != Anggota {
		roles = append(roles, Managing)
	}
	return gotong.Grant{Readable: true, Roles: roles, Spans: spans(s.Stream, m)}
}

func affects(e gotong.Event) gotong.Affected {
	switch d := e.Data.(type) {
	case Created:
		return gotong.Affected{Users: []string{e.Actor.UserID}}
	case Member:
		return gotong.Affected{Users: []string{d.UserID}}
	case Gone:
		return gotong.Affected{Users: []string{d.UserID}}
	case Removed:
		return gotong.Affected{Users: []string{d.UserID}}
	case Appointed:
		return gotong.Affected{Users: []string{d.UserID}}
	default:
		return gotong.Affected{}
	}
}

// MayKnow reports whether a user may know that the group exists and see its
// detail: every user may, unless the group is by invitation; then only members.
func MayKnow(g Group, m gotong.Membership) bool { return g.KnownToAll() || m.Active() }

// MayListMembers reports whether a user may see who the members are.
func MayListMembers(g Group, m gotong.Membership) bool {
	return g.JoinPolicy == Terbuka || m.Active()
}
