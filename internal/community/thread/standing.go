package thread

import "gotong.dev/gotong"

// standing is what a user is to a thread now. The role is empty for who is
// not an active member; a mute may be there all the same.
type standing struct {
	userID string
	role   Role
	row    Member            // in the thread's own collection
	base   gotong.Membership // where the user is a member: here or in the home
}

// standingOf is the one place that tells who is a member and as what, for
// decisions and for reading.
func standingOf(s gotong.State, t Thread, userID string) standing {
	row, _ := gotong.Doc[Member](s, gotong.MemberKey(s.Stream, userID))
	if t.Members == Home {
		base, _ := gotong.Doc[gotong.Membership](s, gotong.MemberKey(t.Home, userID))
		return borrowed(t, userID, row, base)
	}
	return standing{userID: userID, role: Role(row.Held()), row: row, base: row.Membership}
}

func borrowed(t Thread, userID string, row Member, base gotong.Membership) standing {
	st := standing{userID: userID, row: row, base: base}
	if base.Active() {
		st.role = RoleIn(t, userID, base.Role)
	}
	return st
}

// RoleIn is what a role among the members of the thread's governing stream is
// to the thread itself; empty where it is none.
func RoleIn(t Thread, userID, role string) Role {
	switch {
	case t.Members != Home:
		return Role(role)
	case homeRoles[role] != "" && userID == t.CreatedBy:
		return Owner
	default:
		return homeRoles[role]
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
