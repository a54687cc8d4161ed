package thread

import "gotong.dev/gotong"

// RoleIn is what a role among the members of t's governing stream is to the
// thread itself, for lists of members; empty where it is none.
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

// Governing is the stream in which the members of the thread s come and go.
func Governing(t Thread, s gotong.Stream) gotong.Stream { return t.governing(s) }
