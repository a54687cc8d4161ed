package thread

import "gotong.dev/gotong"

// standing is what a user is to a thread now. The role is empty for a
// user who is not an active member, and a mute may exist nevertheless.
type standing struct {
	userID string
	role   Role
	row    Member            // in the thread's own collection
	base   gotong.Membership // where the user is a member: here or in the home
}

// standingOf is the one place that tells who is a member and as what, for
// decisions and for reading.
func (r Rules) standingOf(s gotong.State, t Thread, userID string) standing {
	row, _ := gotong.Doc[Member](s, MemberKey(s.Stream.ID(), userID))
	base := baseOf(s, t, userID)
	return standing{userID: userID, role: r.RoleIn(t, userID, base.Held()), row: row, base: base}
}

// baseOf is the membership of a user in the thread or in the home that it
// borrows its members from.
func baseOf(s gotong.State, t Thread, userID string) gotong.Membership {
	if t.Members == Home {
		return memberOf(s, t.Home, userID)
	}
	row, _ := gotong.Doc[Member](s, MemberKey(s.Stream.ID(), userID))
	return row.Membership
}

// standing is what a user is to the thread that is decided on.
func (r ruling) standing(userID string) standing { return r.standingOf(r.state, r.thread, userID) }

// memberOf is what a user is to a home.
func memberOf(s gotong.State, home gotong.Stream, userID string) gotong.Membership {
	m, _ := gotong.Doc[gotong.Membership](s, gotong.MemberKey(home, userID))
	return m
}

// RoleIn is what a role among the members of the thread's governing stream is
// to the thread itself; empty where it is none. Who created the thread owns it
// while a member of the home.
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

// power is what an actor may do about others: the rank of the role in the
// thread or, where it is higher, of the platform role. A platform moderator
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

// Governing is the stream in which the members of the thread s come and go.
func Governing(t Thread, s gotong.Stream) gotong.Stream {
	if t.Members == Home {
		return t.Home
	}
	return s
}
