package group

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// The names of the commands.
const (
	CmdCreate  = "group.create"
	CmdJoin    = "group.join"
	CmdLeave   = "group.leave"
	CmdUpdate  = "group.update"
	CmdAdd     = "member.add"
	CmdRemove  = "member.remove"
	CmdRole    = "member.role"
	CmdUnban   = "member.unban"
	CmdAppoint = "member.appoint"
)

func commands() []gotong.Type {
	return append(joiningCommands(), []gotong.Type{
		gotong.TypeOf[Create](CmdCreate), gotong.TypeOf[Join](CmdJoin), gotong.TypeOf[Leave](CmdLeave),
		gotong.TypeOf[Update](CmdUpdate), gotong.TypeOf[Add](CmdAdd), gotong.TypeOf[Remove](CmdRemove),
		gotong.TypeOf[SetRole](CmdRole), gotong.TypeOf[Unban](CmdUnban), gotong.TypeOf[Appoint](CmdAppoint),
	}...)
}

// Create makes a group; who creates it is its first admin.
type Create struct {
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	EntityType  EntityType `json:"entity_type"`
	JoinPolicy  JoinPolicy `json:"join_policy"`
}

// Join makes the actor a member of an open group.
type Join struct{}

// Leave ends the actor's membership.
type Leave struct{}

// Update changes what is set; at least one field.
type Update struct {
	Name        *string     `json:"name,omitempty"`
	Description *string     `json:"description,omitempty"`
	JoinPolicy  *JoinPolicy `json:"join_policy,omitempty"`

	Policy *gotong.Policy `json:"policy,omitempty"`
}

// Add makes somebody a member; without a role, an ordinary one.
type Add struct {
	UserID string `json:"user_id"`
	Role   Role   `json:"role,omitempty"`
}

// Remove ends a user's membership. With a ban it also keeps the user out,
// whether a member or not.
type Remove struct {
	UserID string `json:"user_id"`
	gotong.Ban
}

// Unban lifts a user's ban.
type Unban struct {
	UserID string `json:"user_id"`
}

// Appoint makes a user admin of a group that has no admin who can act: a member
// or, if no member can act, an outsider. For an outsider, Members names all
// members.
type Appoint struct {
	UserID  string   `json:"user_id"`
	Members []string `json:"members,omitempty"`
}

// SetRole changes a member's role.
type SetRole struct {
	UserID string `json:"user_id"`
	Role   Role   `json:"role"`
}

func (c Create) Clean() any {
	c.Name, c.Description = text.Name.Clean(c.Name), text.Description.Clean(c.Description)
	return c
}

func (c Update) Clean() any {
	c.Name, c.Description = cleaned(text.Name, c.Name), cleaned(text.Description, c.Description)
	return c
}

func cleaned(sort text.Sort, s *string) *string {
	if s == nil {
		return nil
	}
	clean := sort.Clean(*s)
	return &clean
}

func (c Create) Validate(check *gotong.Check) {
	text.Name.Check(check, "name", c.Name)
	text.Description.Check(check, "description", c.Description)
	check.That(c.EntityType == Kelompok || c.EntityType == Lembaga, "entity_type", "must be kelompok or lembaga")
	checkPolicy(check, c.JoinPolicy)
}

func (c Update) Validate(check *gotong.Check) {
	check.That(c != Update{}, "name", "or another field must be there")
	if c.Name != nil {
		text.Name.Check(check, "name", *c.Name)
	}
	if c.Description != nil {
		text.Description.Check(check, "description", *c.Description)
	}
	if c.JoinPolicy != nil {
		checkPolicy(check, *c.JoinPolicy)
	}
	if c.Policy != nil {
		c.Policy.Check(check)
	}
}

func (c Add) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	check.That(c.Role == "" || c.Role.Valid(), "role", "must be admin, moderator or anggota")
}

func (c Remove) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	c.Check(check)
}

func (c Unban) Validate(check *gotong.Check) { check.ID("user_id", c.UserID) }

func (c Appoint) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	gotong.CheckMembers(check, c.Members)
}

func (c SetRole) Validate(check *gotong.Check) {
	check.ID("user_id", c.UserID)
	check.That(c.Role.Valid(), "role", "must be admin, moderator or anggota")
}

func checkPolicy(check *gotong.Check, p JoinPolicy) {
	check.That(p.Valid(), "join_policy", "must be terbuka, persetujuan or undangan")
}
