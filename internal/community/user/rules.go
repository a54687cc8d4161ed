package user

import "gotong.dev/gotong"

// The types of event.
const (
	EvRegistered  = "user.registered"
	EvRoleChanged = "user.role_changed"
	EvDisabled    = "user.disabled"
	EvEnabled     = "user.enabled"

	EvPasswordChanged = "user.password_changed"
	EvEmailChanged    = "user.email_changed"
	EvDeleted         = "user.deleted"

	EvWebhookFailing = "user.webhook_failing"
)

func events() []gotong.EventType {
	return []gotong.EventType{
		gotong.EventOf[Registered](EvRegistered), gotong.EventOf[RoleChanged](EvRoleChanged),
		gotong.EventWith[Switched, Reason](EvDisabled), gotong.EventWith[Switched, Reason](EvEnabled),
		gotong.EventOf[PasswordChanged](EvPasswordChanged), gotong.EventOf[EmailChanged](EvEmailChanged),
		gotong.EventOf[Deleted](EvDeleted),
		gotong.EventOf[WebhookFailing](EvWebhookFailing),
		gotong.EventOf[Blocked](EvBlocked), gotong.EventOf[Blocked](EvUnblocked), gotong.EventOf[Prefer](EvPreferred),
	}
}

// Registered is the data of user.registered.
type Registered struct {
	CommunityID string      `json:"community_id"`
	Role        gotong.Role `json:"role"`
}

// RoleChanged is the data of user.role_changed.
type RoleChanged struct {
	Role gotong.Role `json:"role"`
}

// Switched is the data of user.disabled and user.enabled.
type Switched struct {
	Enabled bool `json:"enabled"`
}

// PasswordChanged is the data of user.password_changed. The account's earlier logins
// end, except one that was used to change the password.
type PasswordChanged struct{}

// EmailChanged is the data of user.email_changed.
type EmailChanged struct{}

// Deleted is the data of user.deleted: the user deleted their account for good.
type Deleted struct{}

// WebhookFailing is the data of user.webhook_failing: a webhook that the user
// registered has accepted nothing since an instant and will be disabled.
type WebhookFailing struct {
	WebhookID  string         `json:"webhook_id"`
	Since      gotong.Instant `json:"since"`
	DisabledAt gotong.Instant `json:"disabled_at"`
}

// Reason is the content of user.disabled and user.enabled.
type Reason struct {
	Reason string `json:"reason"`
}

// home returns the account itself: it is its own home.
func home(cmd gotong.Command) (gotong.Stream, error) {
	if _, ok := cmd.Data.(Register); !ok {
		return "", gotong.NotFound()
	}
	return cmd.Stream, nil
}

func needs(_ gotong.State, cmd gotong.Command) []gotong.Ref {
	refs := []gotong.Ref{{Stream: cmd.Stream, Key: UserKey(cmd.Stream.ID())}}
	if own(cmd.Data) {
		return append(refs, gotong.SettingsRef(cmd.Stream.ID()))
	}
	if _, ok := cmd.Data.(Register); !ok && cmd.Actor.Role != gotong.RoleSystem {
		refs = append(refs, gotong.AccountRef(cmd.Actor.UserID))
	}
	return refs
}

// mayAdmin checks that the actor is an admin now, by their account if it is of
// this server, because the token may be older. Admins cannot disable themselves
// or change their own role, so there is always one left.
func mayAdmin(s gotong.State, cmd gotong.Command) error {
	switch {
	case !cmd.Actor.Role.IsAdmin():
		return gotong.NewError(gotong.CodeForbidden, "Only platform admins can change accounts.")
	case cmd.Actor.Role == gotong.RoleSystem:
		return nil
	}
	me, ours := gotong.Doc[User](s, UserKey(cmd.Actor.UserID))
	_, enabling := cmd.Data.(Enable)
	switch {
	case ours && (!me.Enabled || me.Role != gotong.RoleAdmin):
		return gotong.NewError(gotong.CodeForbidden, "You are no longer an admin.")
	case cmd.Actor.UserID == s.Stream.ID() && !enabling:
		return gotong.NewError(gotong.CodeForbidden, "You cannot change your own account; another admin must do it.")
	default:
		return nil
	}
}

func decide(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
	if c, ok := cmd.Data.(Register); ok {
		return register(s, c)
	}
	if own(cmd.Data) {
		return set(s, cmd)
	}
	if c, ok := cmd.Data.(Amend); ok {
		return amend(s, cmd.Actor, c)
	}
	if err := mayAdmin(s, cmd); err != nil {
		return gotong.Decision{}, err
	}
	u, ok := gotong.Doc[User](s, UserKey(s.Stream.ID()))
	if !ok {
		return gotong.Decision{}, gotong.NotFound()
	}
	if _, warns := cmd.Data.(WarnOfWebhook); u.Deleted && warns {
		return gotong.Accept() // nobody reads it
	}
	if u.Deleted {
		return gotong.Reject(gotong.CodeConflict, "The user has deleted this account.")
	}
	switch c := cmd.Data.(type) {
	case WarnOfWebhook:
		if cmd.Actor.Role != gotong.RoleSystem {
			return gotong.Reject(gotong.CodeForbidden, "Only the server warns of webhooks.")
		}
		return gotong.Accept(gotong.Fact{Type: EvWebhookFailing, Data: WebhookFailing(c)})
	case SetRole:
		if c.Role == u.Role {
			return gotong.Accept()
		}
		return gotong.Accept(gotong.Fact{Type: EvRoleChanged, Data: RoleChanged(c)})
	case Disable:
		return u.turn(EvDisabled, false, c.Reason)
	case Enable:
		return u.turn(EvEnabled, true, c.Reason)
	default:
		return gotong.Decision{}, gotong.NotFound()
	}
}

func register(s gotong.State, c Register) (gotong.Decision, error) {
	if s.Head.Exists() {
		return gotong.Reject(gotong.CodeConflict, "This account already exists.")
	}
	return gotong.Decision{
		Facts: []gotong.Fact{{
			Type: EvRegistered, Data: Registered{CommunityID: c.CommunityID, Role: gotong.RoleUser},
		}},
		Claims: []gotong.Claim{
			NameClaim(c.Username), {Space: ClaimUsername, Name: Look(c.Username)},
		},
	}, nil
}

// amend lets users alone change their own accounts. An admin's role must be taken away
// by another one first, so there is always one left.
func amend(s gotong.State, by gotong.Actor, c Amend) (gotong.Decision, error) {
	u, ok := gotong.Doc[User](s, UserKey(s.Stream.ID()))
	switch {
	case !ok || !u.Enabled || by.UserID != s.Stream.ID():
		return gotong.Decision{}, gotong.NotFound()
	case c.Seq != s.Head.Seq+1:
		return gotong.Reject(gotong.CodeConflict, "The account has changed meanwhile; try again.")
	case c.Event == EvDeleted && u.Role == gotong.RoleAdmin:
		return gotong.Reject(gotong.CodeForbidden, "You are an admin; another admin must take that role from you first.")
	case c.Event == EvDeleted:
		return gotong.Accept(gotong.Fact{Type: EvDeleted, Data: Deleted{}})
	case c.Event == EvEmailChanged:
		return gotong.Accept(gotong.Fact{Type: EvEmailChanged, Data: EmailChanged{}})
	default:
		return gotong.Accept(gotong.Fact{Type: EvPasswordChanged, Data: PasswordChanged{}})
	}
}

func (u User) turn(event string, enabled bool, reason string) (gotong.Decision, error) {
	if u.Enabled == enabled {
		return gotong.Accept()
	}
	fact := gotong.Fact{Type: event, Data: Switched{enabled}}
	if reason != "" {
		fact.Content = Reason{reason}
	}
	return gotong.Accept(fact)
}

func project(s gotong.State, e gotong.Event) []gotong.Change {
	key := UserKey(e.Stream.ID())
	if d, ok := e.Data.(Registered); ok {
		u := User{Role: d.Role, Enabled: true, CommunityID: d.CommunityID, CreatedAt: e.At, Standing: e.Seq}
		return []gotong.Change{{Key: key, Doc: u}}
	}
	if own(e.Data) {
		return settled(s, e)
	}
	u, _ := gotong.Doc[User](s, key)
	switch d := e.Data.(type) {
	case RoleChanged:
		u.Role, u.Standing = d.Role, e.Seq
	case PasswordChanged:
		u.Standing = e.Seq
	case Switched:
		u.Enabled, u.Standing = d.Enabled, e.Seq
		return listed(u, e)
	case Deleted:
		u.Enabled, u.Deleted, u.Standing = false, true, e.Seq
		return listed(u, e)
	default:
		return nil
	}
	return []gotong.Change{{Key: key, Doc: u}}
}

// listed returns an account and its line among those that are disabled.
func listed(u User, e gotong.Event) []gotong.Change {
	line := gotong.List(DisabledKey(u.CreatedAt, e.Stream.ID()), e.Stream, !u.Enabled)
	return []gotong.Change{{Key: UserKey(e.Stream.ID()), Doc: u}, line}
}

func accessNeeds(s gotong.State, _ gotong.Viewer) []gotong.Ref {
	return []gotong.Ref{{Stream: s.Stream, Key: UserKey(s.Stream.ID())}}
}

// access lets admins read an account, and its user while it is enabled.
func access(s gotong.State, v gotong.Viewer) gotong.Grant {
	u, ok := gotong.Doc[User](s, UserKey(s.Stream.ID()))
	self := v.UserID == s.Stream.ID() && u.Enabled
	if !ok || !self && !v.Role.IsAdmin() {
		return gotong.Grant{}
	}
	return gotong.Grant{Readable: true, Spans: []gotong.Span{{Stream: s.Stream}}}
}

// affects returns the account's own user. What admins may read follows from their
// platform role, which their tokens carry.
func affects(e gotong.Event) gotong.Affected {
	return gotong.Affected{Users: []string{e.Stream.ID()}}
}
