package thread

import (
	"cmp"

	"gotong.dev/gotong"
)

func (r ruling) join() (gotong.Decision, error) {
	if r.me.role != "" {
		return gotong.Accept()
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	switch {
	case r.thread.Closed():
		return gotong.Reject(gotong.CodeConflict, "The thread is closed: its last member left.")
	case r.me.row.Holds(r.now()) || r.outOfHome().Holds(r.now()):
		return gotong.Reject(gotong.CodeForbidden, "You are banned here.")
	default:
		data := Joined{UserID: r.me.userID, Role: MemberRole, Now: r.compared(r.me.row.Ban, r.outOfHome())}
		return gotong.Accept(gotong.Fact{Type: EvJoined, Data: data})
	}
}

// outOfHome returns the actor's ban from the home, which also bars them from the
// home's public threads.
func (r ruling) outOfHome() gotong.Ban {
	if r.thread.Privacy != Public || !r.thread.Home.HasMembers() {
		return gotong.Ban{}
	}
	return gotong.MembershipOf(r.state, r.thread.Home, r.me.userID).Ban
}

// now returns the time with which deadlines are compared.
func (r ruling) now() gotong.Instant { return r.cmd.Now }

// compared returns the time that an event keeps if its decision compared it with
// the end of one of these bans; 0 if none has an end.
func (r ruling) compared(bans ...gotong.Ban) gotong.Instant {
	for _, b := range bans {
		if b.UntilMS != 0 {
			return r.now()
		}
	}
	return 0
}

// leave is a no-op for a user who is not a member but may know of the thread, or
// was once a member of its own: nobody leaves a thread whose members are borrowed.
// The thread closes when its last member leaves.
func (r ruling) leave() (gotong.Decision, error) {
	if r.me.role == "" {
		if r.me.row.Role == "" && !mayKnow(r.state, r.thread, r.me) {
			return gotong.Decision{}, gotong.NotFound()
		}
		return gotong.Accept()
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	if r.lastOwner(r.me) && r.thread.Roster.Members > 1 {
		return gotong.Reject(gotong.CodeConflict, "The last owner must make another member an owner first.")
	}
	return gotong.Accept(gotong.Fact{Type: EvLeft, Data: Left{r.me.userID}})
}

// lastOwner reports whether, without this user, no owner who can act would be left.
func (r ruling) lastOwner(st standing) bool { return r.thread.RestsOn(r.state, r.Accounts, st.userID) }

// tooMany reports whether the role is owner and the thread has as many owners as
// it may have.
func (r ruling) tooMany(role Role) bool {
	return role == Owner && len(r.thread.Leaders) >= gotong.MaxLeaders
}

func (r ruling) add(c Add) (gotong.Decision, error) {
	role := c.Role
	if role == "" {
		role = MemberRole
	}
	if !r.leads() || role != MemberRole && r.me.role != Owner {
		return gotong.Reject(gotong.CodeForbidden, "Only owners can add members with any role; admins can add ordinary members.")
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	target := r.standing(c.UserID)
	switch now := target.role; {
	case now == role || now != "" && c.Role == "":
		return gotong.Accept()
	case now != "":
		return gotong.Reject(gotong.CodeConflict, "The user is already a member, with another role; change the role instead.")
	case !imported(c.UserID) && !r.Accounts.CanAct(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	case target.row.Holds(r.now()):
		return gotong.Reject(gotong.CodeConflict, "The user is banned from the thread; lift the ban first.")
	case r.tooMany(role):
		return gotong.Reject(gotong.CodeConflict, "The thread already has 50 owners.")
	default:
		data := Added{UserID: c.UserID, Role: role, SentAtMS: c.SentAtMS, Now: r.compared(target.row.Ban)}
		return gotong.Accept(gotong.Fact{Type: EvAdded, Data: data, Content: c.content()})
	}
}

func (r ruling) remove(c Remove) (gotong.Decision, error) {
	if !r.moderates() {
		return gotong.Reject(gotong.CodeForbidden, "Only owners, admins and moderators can remove members.")
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	if err := cmp.Or(r.mayClaim(c.Origin), c.CheckNow(r.now())); err != nil {
		return gotong.Decision{}, err
	}
	switch target := r.standing(c.UserID); {
	case target.role == "" && (!c.Set() || c.Ban == target.row.Ban):
		return gotong.Accept()
	case r.outranked(target):
		return gotong.Reject(gotong.CodeForbidden, "The member's role is higher than yours.")
	case r.lastOwner(target):
		return gotong.Reject(gotong.CodeConflict, "The last owner cannot be removed.")
	default:
		data := Removed{UserID: c.UserID, SentAtMS: c.SentAtMS, Ban: c.Ban, Now: r.compared(c.Ban)}
		return gotong.Accept(gotong.Fact{Type: EvRemoved, Data: data, Content: c.content()})
	}
}

// unban lifts a ban; it changes nothing for a user who is not banned.
func (r ruling) unban(c Unban) (gotong.Decision, error) {
	if !r.moderates() {
		return gotong.Reject(gotong.CodeForbidden, "Only owners, admins and moderators can lift a ban.")
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	if !r.standing(c.UserID).row.Set() {
		return gotong.Accept()
	}
	return gotong.Accept(gotong.Fact{Type: EvUnbanned, Data: Unbanned(c)})
}

// content returns the name that came with an import; nil if there is none.
func (o Origin) content() any {
	if o.SentBy != "" {
		return SentBy{o.SentBy}
	}
	return nil
}

// mute works in threads with borrowed members too: mutes belong to the thread.
func (r ruling) mute(c Mute) (gotong.Decision, error) {
	if !r.moderates() {
		return gotong.Reject(gotong.CodeForbidden, "Only owners, admins and moderators can mute members.")
	}
	target := r.standing(c.UserID)
	muted := target.row.MutedAt(r.cmd.Now)
	switch {
	case target.role == "":
		return gotong.Reject(gotong.CodeNotFound, "The user is not a member.")
	case r.outranked(target):
		return gotong.Reject(gotong.CodeForbidden, "The member's role is higher than yours.")
	case c.UntilMS != 0 && c.UntilMS <= r.cmd.Now.Milli():
		return gotong.Decision{}, gotong.Invalid("until_ms", "must be in the future, or 0 to lift the mute")
	case c.UntilMS == 0 && !muted || muted && c.UntilMS == target.row.MuteUntilMS:
		return gotong.Accept()
	default:
		return gotong.Accept(gotong.Fact{Type: EvMuted, Data: Muted{UserID: c.UserID, UntilMS: c.UntilMS, Now: r.cmd.Now}})
	}
}

func (r ruling) setRole(c SetRole) (gotong.Decision, error) {
	if r.me.role != Owner {
		return gotong.Reject(gotong.CodeForbidden, "Only an owner can change roles.")
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	switch target := r.standing(c.UserID); {
	case target.role == "":
		return gotong.Reject(gotong.CodeNotFound, "The user is not a member.")
	case target.role == c.Role:
		return gotong.Accept()
	case c.Role == Owner && !r.Accounts.CanAct(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	case r.tooMany(c.Role):
		return gotong.Reject(gotong.CodeConflict, "The thread already has 50 owners.")
	case r.lastOwner(target):
		return gotong.Reject(gotong.CodeConflict, "The last owner must make another member an owner first.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvRoleChanged, Data: RoleChanged(c)})
	}
}

// MaxPolicyChanges is how often a thread's history policy may change: each
// change divides its history for every viewer.
const MaxPolicyChanges = 100

func (r ruling) setHistory(c SetHistory) (gotong.Decision, error) {
	switch {
	case !r.leads():
		return gotong.Reject(gotong.CodeForbidden, "Only owners and admins can change the history policy.")
	case c.Policy == r.thread.Policy():
		return gotong.Accept()
	case len(r.thread.History) > MaxPolicyChanges:
		return gotong.Reject(gotong.CodeConflict, "The history policy has been changed 100 times, which is the limit.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvHistoryChanged, Data: HistoryChanged(c)})
	}
}
