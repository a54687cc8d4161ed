package thread

import "gotong.dev/gotong"

// standing is a user's role in a thread now, and the rows that it follows from. The
// role is empty for a user who is not an active member; such a user may be muted
// nevertheless.
type standing struct {
	userID string
	role   Role
	row    Member            // in the thread's own collection
	base   gotong.Membership // where the user is a member: here or in the lender
}

// standingOf returns a user's standing. It is the one place that decides who is a
// member and in which role, for commands and for reading.
func (r Rules) standingOf(s gotong.State, t Thread, userID string) standing {
	row, _ := gotong.Doc[Member](s, MemberKey(s.Stream.ID(), userID))
	st := standing{userID: userID, row: row, base: row.Membership}
	held := row.Held()
	if t.Members == Home {
		st.base = gotong.MembershipOf(s, t.Lender, userID)
		held = r.Lenders.Held(s, gotong.Chain(t.Lender, t.Home), userID)
	}
	st.role = r.RoleIn(t, userID, held)
	return st
}

// standing returns a user's standing in the thread of the command.
func (r ruling) standing(userID string) standing { return r.standingOf(r.state, r.thread, userID) }

// RoleIn returns the role in a thread that follows from a role in the stream that
// has its members; empty if it gives none. The creator of a thread owns it while
// they are a member of the lender.
func (r Rules) RoleIn(t Thread, userID, role string) Role {
	if t.Members != Home {
		return Role(role)
	}
	switch standing := r.Lenders.Standing(t.Lender, role); {
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

// Chain returns the streams of which a user must be a member to be one of the
// thread s: first the one in which its members join and leave.
func Chain(t Thread, s gotong.Stream) []gotong.Stream {
	if t.Members == Home {
		return gotong.Chain(t.Lender, t.Home)
	}
	return []gotong.Stream{s}
}
