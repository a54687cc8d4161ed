package group

import "gotong.dev/gotong"

// home: a group is its own home.
func home(cmd gotong.Command) (gotong.Stream, error) {
	if _, ok := cmd.Data.(Create); !ok {
		return "", gotong.NotFound()
	}
	return cmd.Stream, nil
}

func needs(state gotong.State, cmd gotong.Command) []gotong.Ref {
	s := cmd.Stream
	refs := []gotong.Ref{
		{Stream: s, Key: GroupKey(s.ID())},
		{Stream: s, Key: gotong.MemberKey(s, cmd.Actor.UserID)},
	}
	if group, ok := gotong.Doc[Group](state, GroupKey(s.ID())); ok {
		refs = append(refs, accountRefs(s, group, cmd)...)
	}
	refs = append(refs, joiningRefs(state, cmd)...)
	if c, ok := cmd.Data.(gotong.Erase); ok { // perhaps of requests, whose documents hold a message
		for _, id := range c.Events {
			if e, ok := state.Event(id); ok {
				refs = append(refs, gotong.Ref{Stream: s, Key: RequestKey(s.ID(), RequestID(e.Seq))})
			}
		}
	}
	if target := targetUser(cmd.Data); target != "" && target != cmd.Actor.UserID {
		refs = append(refs, gotong.Ref{Stream: s, Key: gotong.MemberKey(s, target)})
	}
	return refs
}

// accountRefs names the accounts that the rules on leading look at: of the user
// who is to get a role, and of all admins where one of them may go.
func accountRefs(s gotong.Stream, group Group, cmd gotong.Command) []gotong.Ref {
	switch c := cmd.Data.(type) {
	case Add:
		return []gotong.Ref{gotong.AccountRef(c.UserID)}
	case Invite:
		return []gotong.Ref{gotong.AccountRef(c.UserID)}
	case Appoint:
		refs := append(group.LeaderRefs(), gotong.AccountRef(c.UserID))
		return append(refs, gotong.MemberRefs(s, c.Members)...)
	case Leave:
		if group.Leads(cmd.Actor.UserID) {
			return group.LeaderRefs()
		}
	case Remove:
		if group.Leads(c.UserID) {
			return group.LeaderRefs()
		}
	case SetRole:
		if group.Leads(c.UserID) {
			return group.LeaderRefs()
		}
		if c.Role == Admin {
			return []gotong.Ref{gotong.AccountRef(c.UserID)}
		}
	}
	return nil
}

func targetUser(data any) string {
	switch c := data.(type) {
	case Add:
		return c.UserID
	case Remove:
		return c.UserID
	case Unban:
		return c.UserID
	case Appoint:
		return c.UserID
	case SetRole:
		return c.UserID
	case Invite:
		return c.UserID
	case WithdrawInvite:
		return c.UserID
	default:
		return ""
	}
}

// ruling is what a decision looks at: the group and who asks.
type ruling struct {
	state gotong.State
	group Group
	cmd   gotong.Command
	role  Role // of the actor; empty where they are not a member

	accounts gotong.Accounts
}

func (r ruling) member(userID string) gotong.Membership {
	m, _ := gotong.Doc[gotong.Membership](r.state, gotong.MemberKey(r.state.Stream, userID))
	return m
}

func (r ruling) roleOf(userID string) Role { return Role(r.member(userID).Held()) }

func (r ruling) now() gotong.Instant { return r.cmd.Now }

// compared is the clock for an event whose decision compared
// it with the end of this ban; 0 where it has none.
func (r ruling) compared(b gotong.Ban) gotong.Instant {
	if b.UntilMS == 0 {
		return 0
	}
	return r.now()
}

// lastAdmin reports whether nobody could act as admin any more without them.
func (r ruling) lastAdmin(userID string) bool { return r.group.RestsOn(r.state, r.accounts, userID) }

// tooMany refuses one admin more than a group may have.
func (r ruling) tooMany(role Role) bool {
	return role == Admin && len(r.group.Leaders) >= gotong.MaxLeaders
}

// mayManage: admins and moderators add and remove.
func (r ruling) mayManage() bool { return r.role == Admin || r.role == Moderator }

func decide(s gotong.State, cmd gotong.Command, accounts gotong.Accounts) (gotong.Decision, error) {
	if cmd.Actor.Role == gotong.RoleAnonymous {
		return gotong.Reject(gotong.CodeUnauthorized, "Sign in first.")
	}
	if c, ok := cmd.Data.(Create); ok {
		return create(s, c)
	}
	group, ok := gotong.Doc[Group](s, GroupKey(s.Stream.ID()))
	if !ok {
		return gotong.Decision{}, gotong.NotFound()
	}
	r := ruling{state: s, group: group, cmd: cmd, accounts: accounts}
	r.role = r.roleOf(cmd.Actor.UserID)
	switch c := cmd.Data.(type) { // also of groups that the actor may not know
	case Leave:
		return r.leave()
	case Appoint:
		return r.appoint(c)
	case Accept:
		return r.accept()
	case Decline:
		return r.decline()
	case Withdraw:
		return r.withdraw(c)
	}
	if r.role == "" && !group.KnownToAll() {
		return gotong.Decision{}, gotong.NotFound()
	}
	return r.dispatch()
}

func (r ruling) dispatch() (gotong.Decision, error) {
	switch c := r.cmd.Data.(type) {
	case Join:
		return r.join()
	case Update:
		return r.update(c)
	case Add:
		return r.add(c)
	case Remove:
		return r.remove(c)
	case SetRole:
		return r.setRole(c)
	case Unban:
		return r.unban(c)
	case Ask:
		return r.ask(c)
	case Approve:
		return r.approve(c)
	case Reject:
		return r.reject(c)
	case Invite:
		return r.invite(c)
	case WithdrawInvite:
		return r.withdrawInvite(c)
	default:
		return gotong.Decision{}, gotong.NotFound()
	}
}

func create(s gotong.State, c Create) (gotong.Decision, error) {
	if s.Head.Exists() {
		return gotong.Reject(gotong.CodeConflict, "This group already exists.")
	}
	return gotong.Accept(gotong.Fact{
		Type:    EvCreated,
		Data:    Created{EntityType: c.EntityType, JoinPolicy: c.JoinPolicy},
		Content: Text{Name: c.Name, Description: c.Description},
	})
}

func (r ruling) join() (gotong.Decision, error) {
	switch {
	case r.role != "":
		return gotong.Accept()
	case r.group.Closed():
		return gotong.Reject(gotong.CodeConflict, "The group is closed: its last member left.")
	case r.group.JoinPolicy != Terbuka:
		return gotong.Reject(gotong.CodeForbidden, "The group is not open: request to join it, or wait for an invitation.")
	case r.member(r.cmd.Actor.UserID).Holds(r.now()):
		return gotong.Reject(gotong.CodeForbidden, "You are banned here.")
	default:
		me := r.cmd.Actor.UserID
		data := Member{UserID: me, Role: Anggota, Now: r.compared(r.member(me).Ban)}
		return gotong.Accept(gotong.Fact{Type: EvJoined, Data: data})
	}
}

// leave is a no-op for all who are not members; for a group by invitation only
// those who once were may know that it exists. The last member closes the group.
func (r ruling) leave() (gotong.Decision, error) {
	me := r.cmd.Actor.UserID
	if r.role == "" {
		if once := r.member(me).Role != ""; !r.group.KnownToAll() && !once {
			return gotong.Decision{}, gotong.NotFound()
		}
		return gotong.Accept()
	}
	if r.lastAdmin(me) && r.group.Members > 1 {
		return gotong.Reject(gotong.CodeConflict, "The last admin must make another member an admin first.")
	}
	return gotong.Accept(gotong.Fact{Type: EvLeft, Data: Gone{me}})
}

func (r ruling) add(c Add) (gotong.Decision, error) {
	role := c.Role
	if role == "" {
		role = Anggota
	}
	if !r.mayManage() || role != Anggota && r.role != Admin {
		return gotong.Reject(gotong.CodeForbidden, "Only admins can add members with any role; moderators can add ordinary members.")
	}
	switch now := r.roleOf(c.UserID); {
	case now == role || now != "" && c.Role == "":
		return gotong.Accept()
	case now != "":
		return gotong.Reject(gotong.CodeConflict, "The user is already a member, with another role; change the role instead.")
	case !r.accounts.CanAct(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	case r.member(c.UserID).Holds(r.now()):
		return gotong.Reject(gotong.CodeConflict, "The user is banned from the group; lift the ban first.")
	case r.tooMany(role):
		return gotong.Reject(gotong.CodeConflict, "The group already has 50 admins.")
	default:
		data := Member{UserID: c.UserID, Role: role, Now: r.compared(r.member(c.UserID).Ban)}
		return gotong.Accept(gotong.Fact{Type: EvAdded, Data: data})
	}
}

func (r ruling) remove(c Remove) (gotong.Decision, error) {
	if !r.mayManage() {
		return gotong.Reject(gotong.CodeForbidden, "Only admins and moderators can remove members.")
	}
	if err := c.CheckNow(r.now()); err != nil {
		return gotong.Decision{}, err
	}
	switch target := r.roleOf(c.UserID); {
	case target == "" && (!c.Set() || c.Ban == r.member(c.UserID).Ban):
		return gotong.Accept()
	case target == Admin && r.role != Admin:
		return gotong.Reject(gotong.CodeForbidden, "Only an admin can remove an admin.")
	case r.lastAdmin(c.UserID):
		return gotong.Reject(gotong.CodeConflict, "The last admin cannot be removed.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvRemoved, Data: Removed{c.UserID, r.compared(c.Ban), c.Ban}})
	}
}

func (r ruling) setRole(c SetRole) (gotong.Decision, error) {
	if r.role != Admin {
		return gotong.Reject(gotong.CodeForbidden, "Only an admin can change roles.")
	}
	switch now := r.roleOf(c.UserID); {
	case now == "":
		return gotong.Reject(gotong.CodeNotFound, "The user is not a member.")
	case now == c.Role:
		return gotong.Accept()
	case c.Role == Admin && !r.accounts.CanAct(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	case r.tooMany(c.Role):
		return gotong.Reject(gotong.CodeConflict, "The group already has 50 admins.")
	case r.lastAdmin(c.UserID):
		return gotong.Reject(gotong.CodeConflict, "The last admin must make another member an admin first.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvRoleChanged, Data: Member{UserID: c.UserID, Role: c.Role}})
	}
}

// unban lifts a ban; it changes nothing for a user who is not banned.
func (r ruling) unban(c Unban) (gotong.Decision, error) {
	switch {
	case !r.mayManage():
		return gotong.Reject(gotong.CodeForbidden, "Only admins and moderators can lift a ban.")
	case !r.member(c.UserID).Set():
		return gotong.Accept()
	default:
		return gotong.Accept(gotong.Fact{Type: EvUnbanned, Data: Gone(c)})
	}
}

// update keeps of the command what differs from what is; nothing is a no-op.
func (r ruling) update(c Update) (gotong.Decision, error) {
	if r.role != Admin {
		return gotong.Reject(gotong.CodeForbidden, "Only an admin can change the group.")
	}
	var data Updated
	if c.JoinPolicy != nil && *c.JoinPolicy != r.group.JoinPolicy {
		data.JoinPolicy = *c.JoinPolicy
	}
	if c.Policy != nil && *c.Policy != r.group.Policy {
		data.Policy = c.Policy
	}
	text := NewText{changed(c.Name, r.group.Name), changed(c.Description, r.group.Description)}
	fact := gotong.Fact{Type: EvUpdated}
	if text != (NewText{}) {
		fact.Content = text
	}
	if data.Renamed, data.Redescribed = text.Name != nil, text.Description != nil; data == (Updated{}) {
		return gotong.Accept()
	}
	fact.Data = data
	return gotong.Accept(fact)
}

func changed(want *string, is string) *string {
	if want == nil || *want == is {
		return nil
	}
	return want
}
