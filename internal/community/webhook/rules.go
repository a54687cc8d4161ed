package webhook

import (
	"slices"

	"gotong.dev/gotong"
)

var errNoHome = gotong.NotFound()

func (r Rules) home(cmd gotong.Command) (gotong.Stream, error) {
	c, ok := cmd.Data.(Register)
	if !ok {
		return "", errNoHome
	}
	return r.Lenders.HomeOf(c.ScopeID), nil
}

func (r Rules) needs(s gotong.State, cmd gotong.Command) []gotong.Ref {
	if c, ok := cmd.Data.(Register); ok {
		return gotong.RegistrarRefs(r.Lenders.HomeOf(c.ScopeID), cmd.Actor.UserID)
	}
	refs := accessNeeds(s, gotong.Viewer(cmd.Actor))
	if w, ok := gotong.Doc[Webhook](s, Key(cmd.Stream.ID())); ok {
		refs = append(refs, gotong.RegistrarRefs(w.Home, w.Registrant)...)
	}
	return refs
}

func (r Rules) decide(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
	if cmd.Actor.Role == gotong.RoleAnonymous {
		return gotong.Reject(gotong.CodeUnauthorized, "Sign in first.")
	}
	if c, ok := cmd.Data.(Register); ok {
		return r.register(s, cmd, c)
	}
	w, ok := gotong.Doc[Webhook](s, Key(s.Stream.ID()))
	server := cmd.Actor.Role == gotong.RoleSystem
	if !ok || !server && !r.may(s, w.Home, cmd.Actor) {
		return gotong.Decision{}, gotong.NotFound()
	}
	if _, over := cmd.Data.(TakeOver); w.Ended != "" && (!over || w.Ended != Lapsed) {
		if _, ends := cmd.Data.(End); ends {
			return gotong.Accept()
		}
		return gotong.Reject(gotong.CodeConflict,
			"The webhook has ended. If its registrant lost the right to it, take it over; otherwise register another one.")
	}
	switch c := cmd.Data.(type) {
	case Disable:
		return w.disable(c, server)
	case End:
		return r.end(s, w, c, server)
	}
	if _, replays := cmd.Data.(Replay); server && !replays { // an operator may have events sent again
		return gotong.Reject(gotong.CodeForbidden, "Only people can change webhooks.")
	}
	return w.change(cmd)
}

func (r Rules) register(s gotong.State, cmd gotong.Command, c Register) (gotong.Decision, error) {
	home := r.Lenders.HomeOf(c.ScopeID)
	switch {
	case s.Head.Exists():
		return gotong.Reject(gotong.CodeConflict, "This webhook already exists.")
	case !r.may(s, home, cmd.Actor) && home.HasMembers():
		return gotong.Decision{}, gotong.NotFound()
	case !r.may(s, home, cmd.Actor):
		return gotong.Reject(gotong.CodeForbidden, "Only platform admins can register webhooks outside groups.")
	}
	profile := c.Profile
	if profile == "" {
		profile = Standard
	}
	return gotong.Accept(gotong.Fact{Type: EvRegistered, Data: Created{
		ScopeID: c.ScopeID, Home: home, Profile: profile, Types: c.Types, Streams: c.Streams,
	}})
}

func (w Webhook) change(cmd gotong.Command) (gotong.Decision, error) {
	switch c := cmd.Data.(type) {
	case Update:
		if c == (Update{}) {
			return gotong.Accept()
		}
		return gotong.Accept(gotong.Fact{Type: EvUpdated, Data: Updated(c)})
	case Rotate:
		return gotong.Accept(gotong.Fact{Type: EvRotated, Data: Rotated{}})
	case Skip:
		return gotong.Accept(gotong.Fact{Type: EvSkipped, Data: Skipped(c)})
	case Replay:
		return gotong.Accept(gotong.Fact{Type: EvReplayed, Data: Replayed(c)})
	case TakeOver:
		if w.Registrant == cmd.Actor.UserID && w.Ended == "" {
			return gotong.Accept()
		}
		return gotong.Accept(gotong.Fact{Type: EvTakenOver, Data: TakenOver{}})
	case Enable:
		if w.Disabled == "" {
			return gotong.Accept()
		}
		return gotong.Accept(gotong.Fact{Type: EvEnabled, Data: Enabled{}})
	default:
		return gotong.Decision{}, gotong.NotFound()
	}
}

func (w Webhook) disable(c Disable, server bool) (gotong.Decision, error) {
	switch {
	case w.Disabled != "":
		return gotong.Accept()
	case !server:
		c.Why = ByAdmin
	}
	return gotong.Accept(gotong.Fact{Type: EvDisabled, Data: Stopped(c)})
}

func (r Rules) end(s gotong.State, w Webhook, c End, server bool) (gotong.Decision, error) {
	if !server {
		c.Why = ByAdmin
	} else if r.Accounts.MayRegister(s, w.Home, w.Registrant) {
		return gotong.Accept()
	}
	return gotong.Accept(gotong.Fact{Type: EvEnded, Data: Stopped(c)})
}

func project(s gotong.State, e gotong.Event) []gotong.Change {
	key := Key(s.Stream.ID())
	if d, ok := e.Data.(Created); ok {
		w := Webhook{ScopeID: d.ScopeID, Profile: d.Profile, Types: d.Types, Streams: d.Streams, CreatedAt: e.At}
		w.Home = d.Home
		w.begin(e)
		line := OfScopeKey(w.ScopeID, w.CreatedAt, s.Stream.ID())
		return []gotong.Change{{Key: key, Doc: w}, gotong.List(line, s.Stream, true)}
	}
	w, ok := gotong.Doc[Webhook](s, key)
	if !ok {
		return nil
	}
	switch d := e.Data.(type) {
	case Updated:
		if d.Types != nil {
			w.Types = slices.Clone(*d.Types)
		}
		if d.Streams != nil {
			w.Streams = slices.Clone(*d.Streams)
		}
	case TakenOver:
		w.begin(e)
	case Enabled:
		w.Disabled = ""
	case Stopped:
		return w.stop(s, e, d.Why)
	default:
		return nil
	}
	return []gotong.Change{{Key: key, Doc: w}}
}

// begin makes the actor the registrant. What a webhook that had ended did not see
// remains unseen.
func (w *Webhook) begin(e gotong.Event) {
	w.Registrant, w.Ended = e.Actor.UserID, ""
	if !w.Active() {
		w.Membership = w.Join(e, string(gotong.RoleWebhook))
	}
}

func (w Webhook) stop(s gotong.State, e gotong.Event, why Why) []gotong.Change {
	key := Key(s.Stream.ID())
	if e.Type == EvDisabled {
		w.Disabled = why
		return []gotong.Change{{Key: key, Doc: w}}
	}
	w.Ended = why
	if w.Active() {
		w.Membership = w.Leave(e)
	}
	changes := []gotong.Change{{Key: key, Doc: w}}
	if why == ByAdmin {
		changes = append(changes, gotong.List(OfScopeKey(w.ScopeID, w.CreatedAt, s.Stream.ID()), s.Stream, false))
	}
	return changes
}
