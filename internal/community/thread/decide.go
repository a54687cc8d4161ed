package thread

import (
	"cmp"

	"gotong.dev/gotong"
)

// ruling is what a decision looks at: the command, the thread and the actor.
type ruling struct {
	Rules
	state  gotong.State
	thread Thread
	cmd    gotong.Command
	me     standing
}

func (r Rules) decide(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
	if cmd.Actor.Role == gotong.RoleAnonymous {
		return gotong.Reject(gotong.CodeUnauthorized, "Sign in first.")
	}
	if c, ok := cmd.Data.(Create); ok {
		return r.create(s, cmd, c)
	}
	if c, ok := cmd.Data.(Direct); ok {
		return r.direct(s, cmd, c)
	}
	t, ok := gotong.Doc[Thread](s, ThreadKey(s.Stream.ID()))
	if !ok {
		return gotong.Decision{}, gotong.NotFound()
	}
	on := ruling{r, s, t, cmd, r.standingOf(s, t, cmd.Actor.UserID)}
	switch c := cmd.Data.(type) { // these also work on threads of which the actor may not know
	case Leave:
		return on.leave()
	case Appoint:
		return on.appoint(c)
	case Advise:
		return on.advise(c)
	case Unhold:
		return on.unhold(c)
	case Report:
		return on.report(c)
	case Review:
		return on.review(c)
	case Open:
		return on.open(c)
	}
	if !mayKnow(s, t, on.me) {
		return gotong.Decision{}, gotong.NotFound()
	}
	return on.dispatch()
}

func (r ruling) dispatch() (gotong.Decision, error) {
	switch c := r.cmd.Data.(type) {
	case Join:
		return r.join()
	case Add:
		return r.add(c)
	case Remove:
		return r.remove(c)
	case Mute:
		return r.mute(c)
	case SetRole:
		return r.setRole(c)
	case Unban:
		return r.unban(c)
	case SetHistory:
		return r.setHistory(c)
	case Update:
		return r.update(c)
	case Post:
		return r.post(c)
	case Edit:
		return r.edit(c)
	case Delete:
		return r.delete(c)
	case React:
		return r.react(c)
	case Pin:
		return r.pin(c.MessageID, true)
	case Unpin:
		return r.pin(c.MessageID, false)
	case Appeal:
		return r.appeal(c)
	default:
		return gotong.Decision{}, gotong.NotFound()
	}
}

func (r Rules) create(s gotong.State, cmd gotong.Command, c Create) (gotong.Decision, error) {
	home := r.Lenders.HomeOf(c.ScopeID)
	if c.Members == Home && c.Lender == "" {
		c.Lender = home
	}
	switch {
	case c.Lender != "" && !c.Lender.HasMembers():
		return gotong.Decision{}, gotong.Invalid("members", "can be home only in the scope of a group, or with a lender")
	case s.Head.Exists():
		return gotong.Reject(gotong.CodeConflict, "This thread already exists.")
	case home.HasMembers() && !gotong.MembershipOf(s, home, cmd.Actor.UserID).Active() && cmd.Actor.Role != gotong.RoleSystem:
		return gotong.Reject(gotong.CodeNotFound, "There is no such group, or you are not a member of it.")
	}
	if c.Lender != "" && c.Lender != home {
		if err := r.mayBorrow(s, cmd, c, home); err != nil {
			return gotong.Decision{}, err
		}
	}
	d := Created{
		ScopeID: c.ScopeID, Home: home, Lender: c.Lender, Privacy: c.Privacy,
		History: cmp.Or(c.History, All), Members: cmp.Or(c.Members, Own),
	}
	if c.Lender != "" {
		d.Members = Home
	}
	return gotong.Accept(gotong.Fact{Type: EvCreated, Data: d, Content: c.content()})
}

// mayBorrow decides whether the actor may create a thread of the home that
// borrows the members of a stream in it. Only the members of the lender know of
// the thread.
func (r Rules) mayBorrow(s gotong.State, cmd gotong.Command, c Create, home gotong.Stream) error {
	lender, _ := s.HeadOf(c.Lender)
	member := lender.Exists() && r.Lenders.Standing(c.Lender,
		r.Lenders.Held(s, gotong.Chain(c.Lender, lender.Home), cmd.Actor.UserID)) != gotong.Outside
	switch {
	case !lender.Exists() || !member && cmd.Actor.Role != gotong.RoleSystem:
		return gotong.NewError(gotong.CodeNotFound, "There is no such lender, or you are not a member of it.")
	case lender.Home != home:
		return gotong.Invalid("lender", "must have the same home as the thread: create the thread in the lender's scope")
	case c.Privacy != Private:
		return gotong.Invalid("privacy_level", "must be private if the members are not those of the group itself")
	default:
		return nil
	}
}

// elsewhere rejects changes to members that the thread only borrows.
func (r ruling) elsewhere() error {
	if r.thread.Members == Home {
		return gotong.NewError(gotong.CodeConflict,
			"This thread has the members of "+string(r.thread.Lender)+"; change the membership there.")
	}
	return nil
}

// leads reports whether the actor is an owner or admin of the thread itself.
func (r ruling) leads() bool { return r.me.role.rank() >= Admin.rank() }

// moderates reports whether the actor may act on others, as an owner or admin
// of the thread or as a moderator of the platform; nobody may in a direct one.
func (r ruling) moderates() bool {
	return !r.thread.Direct() && r.me.power(r.cmd.Actor.Role) >= Admin.rank()
}

// broadcasts reports whether the actor may send an emergency broadcast. In a thread that
// borrows its members it passes their blocks, so to have created the thread is not enough.
func (r ruling) broadcasts() bool {
	office := r.thread.Members != Home || r.cmd.Actor.Role.CanModerate() ||
		r.Lenders.Standing(r.thread.Lender, r.me.base.Held()) == gotong.Leading
	return office && r.moderates()
}

// outranked reports whether the target's role is higher than what the actor
// may act on.
func (r ruling) outranked(target standing) bool {
	return target.role.rank() > r.me.power(r.cmd.Actor.Role)
}

// mayClaim rejects an origin unless the actor is an owner or admin.
func (r ruling) mayClaim(o Origin) error {
	if o != (Origin{}) && !r.leads() {
		return gotong.NewError(gotong.CodeForbidden, "Only owners and admins can import messages.")
	}
	return nil
}
