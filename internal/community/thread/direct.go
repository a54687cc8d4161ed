package thread

import (
	"slices"

	"gotong.dev/gotong"
)

// DirectScope is the scope of direct threads. No other thread can be created in it.
const DirectScope = "direct"

// directPrefix begins the ids of direct threads.
const directPrefix = "direct-"

// Direct starts the direct thread of the actor and another user, or returns the actor
// to it.
type Direct struct {
	UserID string `json:"user_id"`
}

var errNoAccount = gotong.NewError(gotong.CodeNotFound, "There is no such account, or it is disabled.")

// DirectOf returns the direct thread of two users, whichever of them starts it. It is
// its own home.
func DirectOf(a, b string) gotong.Stream {
	return gotong.NewStream(Name, directPrefix+gotong.DeriveID(DirectScope, min(a, b), max(a, b)))
}

// Direct reports whether it is the thread of two users. They stay its only members,
// neither has rights over the other, and each can leave and return.
func (t Thread) Direct() bool { return len(t.Pair) > 0 }

// Other returns the other user of a direct thread; empty for any other thread.
func (t Thread) Other(userID string) string {
	for _, id := range t.Pair {
		if id != userID {
			return id
		}
	}
	return ""
}

// direct creates the thread or, for a user who left it, joins. It is a no-op for a
// member: of two users who start it at the same time, the second gets the first one's.
func (r Rules) direct(s gotong.State, cmd gotong.Command, c Direct) (gotong.Decision, error) {
	me := cmd.Actor.UserID
	switch left, _ := gotong.Doc[Member](s, MemberKey(s.Stream.ID(), me)); {
	case c.UserID == me || s.Stream != DirectOf(me, c.UserID):
		return gotong.Decision{}, gotong.Invalid("user_id", "must be another user, with whom this is the direct thread")
	case left.Active():
		return gotong.Accept()
	case gotong.Blocks(s, c.UserID, me): // a blocked user learns no more than about a disabled account
		return gotong.Decision{}, errNoAccount
	case s.Head.Exists():
		return gotong.Accept(gotong.Fact{Type: EvJoined, Data: Joined{UserID: me, Role: MemberRole}})
	case !r.Accounts.CanAct(s, c.UserID):
		return gotong.Decision{}, errNoAccount
	}
	pair := []string{me, c.UserID}
	slices.Sort(pair)
	return gotong.Accept(gotong.Fact{Type: EvCreated, Data: Created{
		ScopeID: DirectScope, Home: s.Stream, Privacy: Private, History: All, Members: Own, Pair: pair,
	}})
}

func (c Direct) Validate(check *gotong.Check) { check.ID("user_id", c.UserID) }
