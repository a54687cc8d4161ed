package engine

import (
	"slices"

	"gotong.dev/gotong"
)

// needs returns what the rules need for a command. If they look at an event,
// that includes what decides whether the actor may see it.
func (l *lane) needs(s gotong.State, cmd *gotong.Command) []gotong.Ref {
	refs := l.kind.Needs(s, *cmd)
	if l.kind.AccessNeeds == nil || !namesEvent(refs) {
		return refs
	}
	for _, r := range l.kind.AccessNeeds(s, viewerOf(cmd)) {
		if !slices.Contains(refs, r) {
			refs = append(refs, r)
		}
	}
	return refs
}

func namesEvent(refs []gotong.Ref) bool {
	return slices.ContainsFunc(refs, func(r gotong.Ref) bool { return !r.Event.IsZero() })
}

func viewerOf(cmd *gotong.Command) gotong.Viewer {
	return gotong.Viewer{UserID: cmd.Actor.UserID, Role: cmd.Actor.Role}
}

// sight returns the lane's state as the command's actor sees it: the one
// visibility function, applied to the documents that decide the command. The
// lane does not cache it, because the next command has another actor. What the
// command needs has been looked up.
func (l *lane) sight(t *task) (gotong.State, error) {
	if l.kind.Access == nil || !namesEvent(t.refs) {
		return *l.state, nil
	}
	viewer := viewerOf(&t.cmd)
	access, err := l.engine.places.Resolve(t.ctx, l.engine.opts.Store, l.stream,
		[]gotong.Viewer{viewer}, []gotong.Grant{l.kind.Access(*l.state, viewer)})
	if err != nil {
		return *l.state, err
	}
	return l.state.WithSight(func(e gotong.Event) bool {
		return e.Stream == l.stream && access[0].Sees(e.Seq, e.Audience, l.kind.AboutOf(e)...)
	}), nil
}
