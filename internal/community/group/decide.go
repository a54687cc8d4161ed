package group

import "gotong.dev/gotong"

// home: a group is its own home.
func home(cmd gotong.Command) (gotong.Stream, error) {
	if _, ok := cmd.Data.(Create); !ok {
		return "", gotong.NotFound()
	}
	return cmd.Stream, nil
}

func needs(_ gotong.State, cmd gotong.Command) []gotong.Ref {
	s := cmd.Stream
	refs := []gotong.Ref{
		{Stream: s, Key: GroupKey(s.ID())},
		{Stream: s, Key: gotong.MemberKey(s, cmd.Actor.UserID)},
	}
	target := ""
	switch c := cmd.Data.(type) {
	case Add:
		target = c.UserID
		refs = append(refs, gotong.AccountRef(target))
	case Remove:
		target = c.UserID
	case SetRole:
		target = c.UserID
	}
	if target != "" && target != cmd.Actor.UserID {
		refs = append(refs, gotong.Ref{Stream: s, Key: gotong.MemberKey(s, target)})
	}
	return refs
}

// ruling is what a decision looks at: the group and who asks.
type ruling struct {
	state gotong.State
	group Group
	cmd   gotong.Command
	role  Role // of the actor; empty where he is not a member
}

func (r ruling) roleOf(userID string) Role {
	m, _ := gotong.Doc[gotong.Membership](r.state, gotong.MemberKey(r.state.Stream, userID))
	return Role(m.Held())
}

// mayManage: admins and moderators add and remove.
func (r ruling) mayManage() bool { return r.role == Admin || r.role == Moderator }

func decide(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
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
	r := ruling{state: s, group: group, cmd: cmd}
	r.role = r.roleOf(cmd.Actor.UserID)
	if _, leaving := cmd.Data.(Leave); leaving {
		return r.leave()
	}
	if r.role == "" && !group.KnownToAll() {
		return gotong.Decision{}, gotong.NotFound()
	}
	switch c := cmd.Data.(type) {
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
	default:
		return gotong.Decision{}, gotong.NotFound()
	}
}

func create(s gotong.State, c Create) (gotong.Decision, error) {
	if s.Head.Exists() {
		return gotong.Reject(gotong.CodeConflict, "This group exists.")
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
		return gotong.Reject(gotong.CodeForbidden, "The group's admins and moderators add its members.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvJoined, Data: Member{r.cmd.Actor.UserID, Anggota}})
	}
}

// leave is a no-op for all who are not members; for a group by invitation only
// those who once were may know that it exists. The last member closes the group.
func (r ruling) leave() (gotong.Decision, error) {
	me := r.cmd.Actor.UserID
	if r.role == "" {
		_, once := gotong.Doc[gotong.Membership](r.state, gotong.MemberKey(r.state.Stream, me))
		if !r.group.KnownToAll() && !once {
			return gotong.Decision{}, gotong.NotFound()
		}
		return gotong.Accept()
	}
	if r.role == Admin && r.group.Leaders == 1 && r.group.Members > 1 {
		return gotong.Reject(gotong.CodeConflict, "The last admin must make another member admin first.")
	}
	return gotong.Accept(gotong.Fact{Type: EvLeft, Data: Gone{me}})
}

func (r ruling) add(c Add) (gotong.Decision, error) {
	role := c.Role
	if role == "" {
		role = Anggota
	}
	if !r.mayManage() || role != Anggota && r.role != Admin {
		return gotong.Reject(gotong.CodeForbidden, "Admins add members of any role, moderators ordinary ones.")
	}
	switch now := r.roleOf(c.UserID); {
	case now == role || now != "" && c.Role == "":
		return gotong.Accept()
	case now != "":
		return gotong.Reject(gotong.CodeConflict, "Is a member already, with another role; change the role instead.")
	case gotong.Disabled(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvAdded, Data: Member{c.UserID, role}})
	}
}

func (r ruling) remove(c Remove) (gotong.Decision, error) {
	if !r.mayManage() {
		return gotong.Reject(gotong.CodeForbidden, "Only admins and moderators remove members.")
	}
	switch target := r.roleOf(c.UserID); {
	case target == "":
		return gotong.Accept()
	case target == Admin && r.role != Admin:
		return gotong.Reject(gotong.CodeForbidden, "Only an admin removes an admin.")
	case target == Admin && r.group.Leaders == 1:
		return gotong.Reject(gotong.CodeConflict, "The last admin cannot be removed.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvRemoved, Data: Gone(c)})
	}
}

func (r ruling) setRole(c SetRole) (gotong.Decision, error) {
	if r.role != Admin {
		return gotong.Reject(gotong.CodeForbidden, "Only an admin changes roles.")
	}
	switch now := r.roleOf(c.UserID); {
	case now == "":
		return gotong.Reject(gotong.CodeNotFound, "Is not a member.")
	case now == c.Role:
		return gotong.Accept()
	case now == Admin && r.group.Leaders == 1:
		return gotong.Reject(gotong.CodeConflict, "The last admin must make another member admin first.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvRoleChanged, Data: Member(c)})
	}
}

// update keeps of the command what differs from what is; nothing is a no-op.
func (r ruling) update(c Update) (gotong.Decision, error) {
	if r.role != Admin {
		return gotong.Reject(gotong.CodeForbidden, "Only an admin changes the group.")
	}
	var data Updated
	if c.JoinPolicy != nil && *c.JoinPolicy != r.group.JoinPolicy {
		data.JoinPolicy = *c.JoinPolicy
	}
	text := NewText{changed(c.Name, r.group.Name), changed(c.Description, r.group.Description)}
	fact := gotong.Fact{Type: EvUpdated, Data: data}
	if text != (NewText{}) {
		fact.Content = text
	}
	if data == (Updated{}) && fact.Content == nil {
		return gotong.Accept()
	}
	return gotong.Accept(fact)
}

func changed(want *string, is string) *string {
	if want == nil || *want == is {
		return nil
	}
	return want
}
