package cases

import (
	"slices"

	"gotong.dev/gotong"
)

// ruling is what a decision looks at: the case, who asks, and the gate.
type ruling struct {
	Rules
	state gotong.State
	cmd   gotong.Command
	doc   Case
	gate  Gate // the one that the command names, or else the open one

	me     Member
	member bool // the actor is a member
}

func (r ruling) actor() string { return r.cmd.Actor.UserID }

// roles returns the actor's present roles in the case, which the event of what they
// do keeps.
func (r ruling) roles() []Role {
	if !r.member {
		return nil
	}
	return r.me.TrackRoles
}

// moderates reports a platform moderator or admin, never the server itself.
func (r ruling) moderates() bool {
	return r.cmd.Actor.Role.CanModerate() && r.cmd.Actor.Role != gotong.RoleSystem
}

func (r Rules) decide(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
	if cmd.Actor.Role == gotong.RoleAnonymous {
		return gotong.Reject(gotong.CodeUnauthorized, "Sign in first.")
	}
	doc, ok := gotong.Doc[Case](s, CaseKey(s.Stream.ID()))
	if c, creates := cmd.Data.(Create); creates {
		if s.Head.Exists() {
			return gotong.Reject(gotong.CodeConflict, "This case exists.")
		}
		return r.create(s, cmd, c)
	}
	if !ok || !r.MayKnow(s, gotong.Viewer{UserID: cmd.Actor.UserID, Role: cmd.Actor.Role}) {
		return gotong.Decision{}, gotong.NotFound()
	}
	is := ruling{Rules: r, state: s, cmd: cmd, doc: doc}
	is.me, is.member = r.memberOf(s, doc, cmd.Actor.UserID)
	gate, _ := targets(cmd.Data)
	if gate == 0 {
		gate = doc.Gate
	}
	if gate > 0 {
		is.gate, _ = gotong.Doc[Gate](s, GateKey(s.Stream.ID(), gate))
	}
	switch c := cmd.Data.(type) {
	case Leave:
		return is.leave()
	case Seating:
		return is.seat(c)
	case Remove:
		return is.remove(c)
	case Propose:
		return is.propose(c)
	default:
		return is.onGate(c)
	}
}

func (r Rules) create(s gotong.State, cmd gotong.Command, c Create) (gotong.Decision, error) {
	home := r.Lenders.HomeOf(c.ScopeID)
	if r.inHome(s, home, cmd.Actor.UserID) == gotong.Outside {
		return gotong.Decision{}, gotong.NotFound()
	}
	track, ok := r.Tracks.tracks[c.Track]
	if !ok {
		return gotong.Decision{}, gotong.Invalid("track", "must be the name of a track")
	}
	return gotong.Accept(gotong.Fact{
		Type:    EvCreated,
		Data:    Created{ScopeID: c.ScopeID, Home: home, Track: c.Track, Stage: track.stages[0], Privacy: c.Privacy},
		Content: Text{Title: c.Title, Description: c.Description},
	})
}

// manages reports whether the actor may say who the members are.
func (r ruling) manages() bool { return r.moderates() || r.member && r.me.holds(Author, PIC) }

// leave changes nothing for users who are not members.
func (r ruling) leave() (gotong.Decision, error) {
	if !r.me.Active() {
		return gotong.Accept()
	}
	return gotong.Accept(gotong.Fact{Type: EvRemoved, Data: Removed{r.actor()}})
}

func (r ruling) remove(c Remove) (gotong.Decision, error) {
	m, _ := r.memberOf(r.state, r.doc, c.UserID)
	switch {
	case !r.manages():
		return gotong.Reject(gotong.CodeForbidden, "Only the author, a PIC or a moderator can remove members.")
	case !m.Active():
		return gotong.Accept()
	case m.holds(Author) && !r.moderates() && c.UserID != r.actor():
		return gotong.Reject(gotong.CodeForbidden, "Only a moderator can remove the author.")
	default:
		return gotong.Accept(gotong.Fact{Type: EvRemoved, Data: Removed(c)})
	}
}

func (r ruling) seat(c Seating) (gotong.Decision, error) {
	if !r.manages() {
		return gotong.Reject(gotong.CodeForbidden, "Only the author, a PIC or a moderator can set members.")
	}
	roles := c.TrackRoles
	switch author := c.UserID == r.doc.CreatedBy; {
	case !author && roles[0] == Author:
		return gotong.Reject(gotong.CodeConflict, "Only the user who created the case can be its author.")
	case author && roles[0] != Author:
		roles = append([]Role{Author}, roles...)
	}
	m, is := r.memberOf(r.state, r.doc, c.UserID)
	switch {
	case m.Active() && slices.Equal(m.TrackRoles, roles):
		return gotong.Accept()
	case !is && !r.Accounts.CanAct(r.state, c.UserID):
		return gotong.Reject(gotong.CodeNotFound, "There is no such account, or it is disabled.")
	case !is && r.inHome(r.state, r.doc.Home, c.UserID) == gotong.Outside:
		return gotong.Reject(gotong.CodeConflict, "The user is not a member of the group.")
	case !m.Active() && len(r.doc.Seats) >= MaxMembers:
		return gotong.Reject(gotong.CodeConflict, "The case already has 1,000 members.")
	}
	return gotong.Accept(gotong.Fact{Type: EvSeated, Data: Seated{UserID: c.UserID, TrackRoles: roles}})
}
