package thread

import "gotong.dev/gotong"

// standing is a user's role in a thread now, and the rows that it follows from. The
// role is empty for a user who is not an active member; such a user may be muted
// nevertheless.
type standing struct {
	userID string
	role   Role
	row    Member            // in the thread's own collection
	base   gotong.Membership // where the user is a member: here or in the home
}

// standingOf returns a user's standing. It is the one place that decides who is a
// member and in which role, for commands and for reading.
func (r Rules) standingOf(s gotong.State, t Thread, userID string) standing {
	row, _ := gotong.Doc[Member](s, MemberKey(s.Stream.ID(), userID))
	base := baseOf(s, t, userID)
	return standing{userID: userID, role: r.RoleIn(t, userID, base.Held()), row: row, base: base}
}

// baseOf returns a user's membership in the thread, or in the home whose members
// it borrows.
func baseOf(s gotong.State, t Thread, userID string) gotong.Membership {
	if t.Members == Home {
		return memberOf(s, t.Home, userID)
	}
	row, _ := gotong.Doc[Member](s, MemberKey(s.Stream.ID(), userID))
	return row.Membership
}

// standing returns a user's standing in the thread of the command.
func (r ruling) standing(userID string) standing { return r.standingOf(r.state, r.thread, userID) }

// memberOf returns a user's membership in a home.
func memberOf(s gotong.State, home gotong.Stream, userID string) gotong.Membership {
	m, _ := gotong.Doc[gotong.Membership](s, gotong.MemberKey(home, userID))
	return m
}

// RoleIn returns the role in a thread that follows from a role in the stream that
// has its members; empty if it gives none. The creator of a thread owns it while
// they are a member of the home.
func (r Rules) RoleIn(t Thread, userID, role string) Role {
	if t.Members != Home {
		return Role(role)
	}
	switch standing := r.Homes.Standing(t.Home, role); {
	case standing == gotong.Outside:
		return ""
	case userID == t.CreatedBy:
		return Owner
	case standing == gotong.Leading:
		return Admin
	default:
		return MemberRole
	}
}

// power returns the rank with which an actor acts on others: that of their role in
// the thread or, if it is higher, of their platform role. A platform moderator
// counts as an admin of the thread, a platform admin as an owner.
func (st standing) power(platform gotong.Role) int {
	switch {
	case platform.IsAdmin():
		return max(st.role.rank(), Owner.rank())
	case platform.CanModerate():
		return max(st.role.rank(), Admin.rank())
	default:
		return st.role.rank()
	}
}

// Governing returns the stream in which the members of the thread s join and leave.
func Governing(t Thread, s gotong.Stream) gotong.Stream {
	if t.Members == Home {
		return t.Home
	}
	return s
}
