package upload

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
)

// Rules are the rules of uploads to threads with these rules.
type Rules struct{ Threads thread.Rules }

// Kind returns the rules as a kind.
func (r Rules) Kind() gotong.Kind {
	return gotong.Kind{
		Name: Name,
		Commands: []gotong.Type{
			gotong.TypeOf[Start](CmdStart).OfServer(), gotong.TypeOf[Store](CmdStore).OfServer(),
			gotong.TypeOf[Collect](CmdCollect).OfServer(), gotong.TypeOf[Erase](CmdErase).OfServer(),
		},
		Events: []gotong.EventType{
			gotong.EventWith[Started, Named](EvStarted).Of(gotong.Conversation), gotong.EventOf[Finished](EvStored),
			gotong.EventOf[Ended](EvCollected), gotong.EventOf[Ended](EvErased),
		},
		Documents: []gotong.Type{gotong.TypeOf[Upload](Name + "s")},
		Home:      home, Needs: r.needs, Decide: r.decide, Project: project,
		AccessNeeds: accessNeeds, Access: access, Affects: affects,
		Timers: timers, Timed: []string{EvStarted},
	}
}

func home(cmd gotong.Command) (gotong.Stream, error) {
	if c, ok := cmd.Data.(Start); ok {
		return c.Home, nil
	}
	return "", gotong.NotFound()
}

// ofThread returns the state as one of the thread, whose documents it also holds.
func ofThread(s gotong.State, in gotong.Stream) gotong.State { s.Stream = in; return s }

func (r Rules) needs(s gotong.State, cmd gotong.Command) []gotong.Ref {
	id := cmd.Stream.ID()
	refs := []gotong.Ref{{Stream: cmd.Stream, Key: Key(id)}}
	if c, ok := cmd.Data.(Start); ok {
		return append(refs, r.Threads.KnowNeeds(ofThread(s, c.Thread), gotong.Viewer(cmd.Actor))...)
	}
	u, ok := gotong.Doc[Upload](s, Key(id))
	if _, stores := cmd.Data.(Store); !ok || stores {
		return refs
	}
	key := thread.AttachedKey(u.Thread.ID(), id)
	refs = append(refs, gotong.Ref{Stream: u.Thread, Key: key})
	if _, erases := cmd.Data.(Erase); erases {
		if a, ok := gotong.Doc[thread.Attached](s, key); ok {
			refs = append(refs, gotong.Ref{Stream: u.Thread, Event: a.MessageID},
				gotong.Ref{Stream: u.Thread, Key: thread.OverlayKey(u.Thread.ID(), a.Seq)})
		}
	}
	return refs
}

func (r Rules) decide(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
	if c, ok := cmd.Data.(Start); ok {
		return r.start(s, cmd, c)
	}
	u, ok := gotong.Doc[Upload](s, Key(s.Stream.ID()))
	server := cmd.Actor.Role == gotong.RoleSystem
	if _, collects := cmd.Data.(Collect); !ok || !server && (!collects || u.Owner != cmd.Actor.UserID) {
		return gotong.Decision{}, gotong.NotFound()
	}
	if c, ok := cmd.Data.(Store); ok {
		if u.State != Open {
			return gotong.Reject(gotong.CodeConflict, "The upload has ended.")
		}
		return gotong.Accept(gotong.Fact{Type: EvStored, Data: Finished{u.Owner, u.Home, u.Max, File(c)}})
	}
	a, attached := gotong.Doc[thread.Attached](s, thread.AttachedKey(u.Thread.ID(), s.Stream.ID()))
	_, erases := cmd.Data.(Erase)
	switch {
	case u.State == Collected || u.State == Erased:
		return gotong.Accept()
	case erases && (!attached || !thread.Gone(s, u.Thread, a)):
		return gotong.Reject(gotong.CodeConflict, "The message of the upload was neither deleted nor erased.")
	case erases:
		return gotong.Accept(u.end(EvErased, cmd, false))
	case attached && server:
		return gotong.Accept()
	case attached:
		return gotong.Reject(gotong.CodeConflict, "The file is in a message; delete the message instead.")
	case server && cmd.Now < u.Began.Add(Lifetime):
		return gotong.Reject(gotong.CodeNotYet, "The upload has not expired yet.")
	default:
		return gotong.Accept(u.end(EvCollected, cmd, server))
	}
}

func (r Rules) start(s gotong.State, cmd gotong.Command, c Start) (gotong.Decision, error) {
	t, _ := gotong.Doc[thread.Thread](s, thread.ThreadKey(c.Thread.ID()))
	if cmd.Actor.Role == gotong.RoleAnonymous || s.Head.Exists() || c.Home == "" || t.Home != c.Home {
		return gotong.Decision{}, gotong.NotFound()
	}
	if err := r.Threads.MayPost(ofThread(s, c.Thread), cmd); err != nil {
		return gotong.Decision{}, err
	}
	return gotong.Accept(gotong.Fact{
		Type: EvStarted, Data: Started{Thread: c.Thread, Home: c.Home, Size: c.Size}, Content: Named{c.Name},
	})
}

// end ends the upload, and erases its name.
func (u Upload) end(event string, cmd gotong.Command, late bool) gotong.Fact {
	d := Ended{Owner: u.Owner, Home: u.Home, Bytes: u.Bytes(), Open: u.State == Open}
	if late {
		d.Now = cmd.Now
	}
	return gotong.Fact{Type: event, Data: d, Erases: []uint64{1}}
}

func project(s gotong.State, e gotong.Event) []gotong.Change {
	key := Key(e.Stream.ID())
	u, _ := gotong.Doc[Upload](s, key)
	switch d := e.Data.(type) {
	case Started:
		u = Upload{Thread: d.Thread, Home: d.Home, Owner: e.Actor.UserID, State: Open, Began: e.At, Max: d.Size}
		name, _ := e.Content.(Named) // empty if it was erased
		u.Name = name.Name
	case Finished:
		u.File, u.State = d.File, Stored
	case Ended:
		u.Name, u.State = "", map[string]State{EvCollected: Collected, EvErased: Erased}[e.Type]
	case gotong.Erased:
		if d.Seq == 1 {
			u.Name = ""
		}
	}
	return []gotong.Change{{Key: key, Doc: u}}
}

// timers returns when the upload is collected if it is in no message.
func timers(e gotong.Event) []gotong.Timer {
	return []gotong.Timer{{Due: e.At.Add(Lifetime), Command: CmdCollect, Data: Collect{}}}
}

func accessNeeds(s gotong.State, _ gotong.Viewer) []gotong.Ref {
	return []gotong.Ref{{Stream: s.Stream, Key: Key(s.Stream.ID())}}
}

// access shows an upload to its owner alone. Who sees the file in a message follows
// from the message.
func access(s gotong.State, v gotong.Viewer) gotong.Grant {
	if u, ok := gotong.Doc[Upload](s, Key(s.Stream.ID())); !ok || u.Owner != v.UserID {
		return gotong.Grant{}
	}
	return gotong.Grant{Readable: true, Spans: []gotong.Span{{Stream: s.Stream}}}
}

func affects(e gotong.Event) gotong.Affected {
	if e.Type == EvStarted {
		return gotong.Affected{Users: []string{e.Actor.UserID}}
	}
	return gotong.Affected{}
}
