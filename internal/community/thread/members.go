package thread

import "gotong.dev/gotong"

func (r ruling) join() (gotong.Decision, error) {
	if r.me.role != "" {
		return gotong.Accept()
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	if r.thread.Closed() {
		return gotong.Reject(gotong.CodeConflict, "The thread is closed: its last member left.")
	}
	return gotong.Accept(gotong.Fact{Type: EvJoined, Data: Joined{r.me.userID, MemberRole}})
}

// leave is a no-op for all who are not members and may know of the thread, or
// did as members. The last member closes the thread.
func (r ruling) leave() (gotong.Decision, error) {
	if r.me.role == "" {
		if r.me.base.Role == "" && !mayKnow(r.state, r.thread, r.me) {
			return gotong.Decision{}, gotong.NotFound()
		}
		return gotong.Accept()
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	if r.lastOwner(r.me) && r.thread.Roster.Members > 1 {
		return gotong.Reject(gotong.CodeConflict, "The last owner must make another member owner first.")
	}
	return gotong.Accept(gotong.Fact{Type: EvLeft, Data: Left{r.me.userID}})
}

func (r ruling) lastOwner(st standing) bool { return st.role == Owner && r.thread.Leaders == 1 }

func (r ruling) add(c Add) (gotong.Decision, error) {
	role := c.Role
	if role == "" {
		role = MemberRole
	}
	if !r.leads() || role != MemberRole && r.me.role != Owner {
		return gotong.Reject(gotong.CodeForbidden, "Owners add members of any role, admins ordinary ones.")
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	switch now := standingOf(r.state, r.thread, c.UserID).role; {
	case now == role || now != "" && c.Role == "":
		return gotong.Accept()
	case now != "":
		return gotong.Reject(gotong.CodeConflict, "Is a member already, with another role; change the role instead.")
	case !imported(c.UserID) && gotong.Disabled(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	default:
		data := Added{UserID: c.UserID, Role: role, SentAtMS: c.SentAtMS}
		return gotong.Accept(gotong.Fact{Type: EvAdded, Data: data, Content: c.content()})
	}
}

func (r ruling) remove(c Remove) (gotong.Decision, error) {
	if !r.moderates() {
		return gotong.Reject(gotong.CodeForbidden, "Only owners, admins and moderators remove members.")
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	if err := r.mayClaim(c.Origin); err != nil {
		return gotong.Decision{}, err
	}
	switch target := standingOf(r.state, r.thread, c.UserID); {
	case target.role == "":
		return gotong.Accept()
	case r.outranked(target):
		return gotong.Reject(gotong.CodeForbidden, "The member's role is higher than yours.")
	case r.lastOwner(target):
		return gotong.Reject(gotong.CodeConflict, "The last owner cannot be removed.")
	default:
		data := Removed{UserID: c.UserID, SentAtMS: c.SentAtMS}
		return gotong.Accept(gotong.Fact{Type: EvRemoved, Data: data, Content: c.content()})
	}
}

// content is nil where no name came with an import.
func (o Origin) content() any {
	if o.SentBy != "" {
		return SentBy{o.SentBy}
	}
	return nil
}

// mute works in threads with borrowed members too: it is the thread's own.
func (r ruling) mute(c Mute) (gotong.Decision, error) {
	if !r.moderates() {
		return gotong.Reject(gotong.CodeForbidden, "Only owners, admins and moderators mute members.")
	}
	target := standingOf(r.state, r.thread, c.UserID)
	muted := target.row.MutedAt(r.cmd.Now)
	switch {
	case target.role == "":
		return gotong.Reject(gotong.CodeNotFound, "Is not a member.")
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
		return gotong.Reject(gotong.CodeForbidden, "Only an owner changes roles.")
	}
	if err := r.elsewhere(); err != nil {
		return gotong.Decision{}, err
	}
	switch target := standingOf(r.state, r.thread, c.UserID); {
	case target.role == "":
		return gotong.Reject(gotong.CodeNotFound, "Is not a member.")
	case target.role == c.Role:
		return gotong.Accept()
	case r.lastOwner(target):
		return gotong.Reject(gotong.CodeConflict, "The last owner must make another member owner first.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvRoleChanged, Data: RoleChanged(c)})
	}
}

// MaxPolicyChanges is how often a thread's history policy may change: each
// change divides its history for every reader.
const MaxPolicyChanges = 100

func (r ruling) setHistory(c SetHistory) (gotong.Decision, error) {
	switch {
	case !r.leads():
		return gotong.Reject(gotong.CodeForbidden, "Only owners and admins change the history policy.")
	case c.Policy == r.thread.Policy():
		return gotong.Accept()
	case len(r.thread.History) > MaxPolicyChanges:
		return gotong.Reject(gotong.CodeConflict, "The history policy was changed too often.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvHistoryChanged, Data: HistoryChanged(c)})
	}
}
