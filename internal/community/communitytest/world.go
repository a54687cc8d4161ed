package communitytest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"gotong.dev/gotong"
)

// T is what the world needs of a test; *testing.T and *rapid.T have it.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// World is a log and its documents. It keeps documents and events as JSON, so that
// a test sees only what a database would keep.
type World struct {
	t      T
	kinds  map[string]gotong.Kind
	replay map[string]func(gotong.Event) error // by kind; not of each
	now    gotong.Instant
	serial uint64

	rows      []row
	heads     map[gotong.Stream]gotong.Head
	positions [gotong.Partitions]uint64
	docs      documents
	writers   map[gotong.Key]gotong.Stream // of each document, who wrote it first
	claims    map[gotong.Claim]gotong.Stream
	viewers   []gotong.Viewer
}

// row is one event as a store keeps it.
type row struct {
	event         gotong.Event // without payloads
	position      uint64
	data, content []byte
}

// Run returns an empty world of these kinds. It checks first what must hold of them
// before any command.
func Run(t T, kinds ...gotong.Kind) *World {
	t.Helper()
	w := &World{
		t: t, kinds: map[string]gotong.Kind{}, replay: map[string]func(gotong.Event) error{}, now: 1_700_000_000_000_000,
		heads: map[gotong.Stream]gotong.Head{}, docs: documents{},
		writers: map[gotong.Key]gotong.Stream{}, claims: map[gotong.Claim]gotong.Stream{},
	}
	for _, k := range kinds {
		k = gotong.WithErasure(k)
		w.kinds[k.Name] = k
		if k.Replay != nil {
			w.replay[k.Name] = k.Replay()
		}
		w.checkTypes(k)
	}
	return w
}

// Fork returns a copy of the world. Commands in one do not change the other.
func (w *World) Fork() *World {
	w.t.Helper()
	fork := *w
	fork.rows, fork.viewers = slices.Clone(w.rows), slices.Clone(w.viewers)
	fork.heads, fork.docs, fork.writers, fork.claims = maps.Clone(w.heads), maps.Clone(w.docs), maps.Clone(w.writers), maps.Clone(w.claims)
	fork.replay = map[string]func(gotong.Event) error{}
	for name := range w.replay {
		fork.replay[name] = w.kinds[name].Replay()
	}
	for _, r := range w.rows {
		fork.checkReplay(w.kinds[r.event.Stream.Kind()], r)
	}
	return &fork
}

// User returns an actor without special rights.
func User(id string) gotong.Actor { return gotong.Actor{UserID: id, Role: gotong.RoleUser} }

// Moderator returns an actor who moderates the platform.
func Moderator(id string) gotong.Actor { return gotong.Actor{UserID: id, Role: gotong.RoleModerator} }

// Admin returns an actor who administers the platform.
func Admin(id string) gotong.Actor { return gotong.Actor{UserID: id, Role: gotong.RoleAdmin} }

// System returns the server itself as an actor.
func System() gotong.Actor { return gotong.Actor{UserID: "system", Role: gotong.RoleSystem} }

// Now returns the world's time, which advances by a millisecond with each command.
func (w *World) Now() gotong.Instant { return w.now }

// Pass advances the world's clock by d, or sets it back if d is negative.
func (w *World) Pass(d time.Duration) { w.now = w.now.Add(d) }

// Watch adds viewers whose access is compared before and after each command;
// actors, and users that an event affects, are watched by themselves.
func (w *World) Watch(viewers ...gotong.Viewer) {
	for _, v := range viewers {
		if !slices.Contains(w.viewers, v) {
			w.viewers = append(w.viewers, v)
		}
	}
}

// Head returns the head of a stream.
func (w *World) Head(s gotong.Stream) gotong.Head { return w.heads[s] }

// Do runs a command that must be accepted, and returns its events; none for a no-op.
func (w *World) Do(actor gotong.Actor, s gotong.Stream, data any) []gotong.Event {
	w.t.Helper()
	events, err := w.Try(actor, s, data)
	if err != nil {
		w.t.Fatalf("%s: %T%+v by %s: %v", s, data, data, actor.UserID, err)
	}
	return events
}

// Idle runs a command that must be accepted and change nothing.
func (w *World) Idle(actor gotong.Actor, s gotong.Stream, data any) {
	w.t.Helper()
	if events := w.Do(actor, s, data); len(events) > 0 {
		w.t.Fatalf("%s: %T%+v by %s made %d events, want a no-op", s, data, data, actor.UserID, len(events))
	}
}

// Refuse runs a command that must be rejected with this code.
func (w *World) Refuse(actor gotong.Actor, s gotong.Stream, data any, code gotong.Code) {
	w.t.Helper()
	_, err := w.Try(actor, s, data)
	if gotong.CodeOf(err) != code {
		w.t.Fatalf("%s: %T%+v by %s: got %v, want %s", s, data, data, actor.UserID, err, code)
	}
}

// Try runs a command as the engine does, with every check of this package.
func (w *World) Try(actor gotong.Actor, s gotong.Stream, data any) ([]gotong.Event, error) {
	w.t.Helper()
	kind, ok := w.kinds[s.Kind()]
	if !ok {
		w.t.Fatalf("no kind for %s", s)
	}
	w.now += 1000
	w.serial++
	cmd := gotong.Command{
		Stream: s, Actor: actor, Data: data, RequestID: fmt.Sprintf("request-%d", w.serial),
		At: gotong.NextInstant(w.now, w.heads[s].At), Now: w.now,
	}
	if _, erasing := data.(gotong.Erase); !erasing { // which has a route, and is in no kind's list
		cmd = w.overTheWire(kind, cmd)
	}
	if c, ok := cmd.Data.(gotong.Cleaner); ok {
		if cleaned := c.Clean(); cleaned != nil {
			cmd.Data = cleaned
		}
	}
	if err := gotong.Validate(cmd.Data); err != nil {
		return nil, w.refusal(cmd, err)
	}
	return w.run(kind, cmd)
}

func (w *World) run(kind gotong.Kind, cmd gotong.Command) ([]gotong.Event, error) {
	w.t.Helper()
	home := w.heads[cmd.Stream].Home
	if !w.heads[cmd.Stream].Exists() {
		var err error
		if home, err = kind.Home(cmd); err != nil {
			return nil, w.refusal(cmd, err)
		}
	}
	decision, err := w.decide(kind, cmd)
	if err != nil {
		return nil, w.refusal(cmd, err)
	}
	for _, c := range decision.Claims {
		if _, taken := w.claims[c]; taken {
			return nil, gotong.NewError(gotong.CodeExists, "This "+c.Space+" is taken.")
		}
	}
	if len(decision.Facts) == 0 {
		return nil, nil
	}
	w.checkClock(kind, cmd, decision)
	return w.commit(kind, cmd, home, decision), nil
}

// decide decides twice, on states that were loaded separately, and compares.
func (w *World) decide(kind gotong.Kind, cmd gotong.Command) (gotong.Decision, error) {
	w.t.Helper()
	r := gotong.Viewer{UserID: cmd.Actor.UserID, Role: cmd.Actor.Role}
	needs := func(s gotong.State) []gotong.Ref {
		refs := kind.Needs(s, cmd)
		if kind.AccessNeeds != nil {
			refs = append(refs, kind.AccessNeeds(s, r)...)
		}
		return refs
	}
	sight := func(s gotong.State) gotong.State {
		if kind.Access == nil {
			return s
		}
		access := w.resolve(cmd.Stream, r, kind.Access(s, r))
		return s.WithSight(func(e gotong.Event) bool { return access.Sees(e.Seq, e.Audience, kind.AboutOf(e)...) })
	}
	first, second := w.load(cmd.Stream, needs), w.load(cmd.Stream, needs)
	by := "Decide of " + cmd.Type
	decision, err := kind.Decide(sight(first.strict(by)), cmd)
	again, errAgain := kind.Decide(sight(second.strict(by)), cmd)
	if !reflect.DeepEqual(decision, again) || !same(err, errAgain) {
		w.t.Fatalf("%s: Decide is not deterministic: %+v %v, then %+v %v", cmd.Type, decision, err, again, errAgain)
	}
	first.unchanged("Decide of " + cmd.Type)
	return decision, err
}

func (w *World) commit(
	kind gotong.Kind, cmd gotong.Command, home gotong.Stream, decision gotong.Decision,
) []gotong.Event {
	w.t.Helper()
	loaded := w.load(cmd.Stream, func(s gotong.State) []gotong.Ref { return kind.Needs(s, cmd) })
	partition := gotong.PartitionOf(home)
	position := w.positions[partition] + 1
	head := w.heads[cmd.Stream]
	head.Home = home
	var events []gotong.Event
	var changes []gotong.Change
	for _, f := range decision.Facts {
		e := w.stamp(cmd, f, head)
		r := w.encode(kind, f, e)
		r.position = position
		made := w.project(kind, loaded, e, r)
		w.checkAmends(kind, e, made)
		w.checkAbout(kind, e)
		w.checkReplay(kind, r)
		changes = append(changes, made...)
		for _, seq := range f.Erases {
			w.row(cmd.Stream, seq).content = nil
		}
		head = gotong.Head{Seq: e.Seq, At: e.At, Count: e.Count, Home: home}
		loaded.state.Head = head
		events = append(events, e)
		w.rows = append(w.rows, r)
	}
	before := w.accesses(cmd.Actor, kind, events)
	for _, c := range changes {
		w.write(cmd.Stream, c)
	}
	for _, c := range decision.Claims {
		w.claims[c] = cmd.Stream
	}
	w.heads[cmd.Stream], w.positions[partition] = head, position
	w.checkAffects(kind, events, before)
	w.checkRebuild()
	w.checkOverlays(kind, cmd.Stream)
	w.checkErasure(cmd)
	return events
}

func (w *World) stamp(cmd gotong.Command, f gotong.Fact, head gotong.Head) gotong.Event {
	w.serial++
	at := gotong.NextInstant(cmd.At, head.At)
	e := gotong.Event{
		Stream: cmd.Stream, Seq: head.Seq + 1, ID: gotong.NewEventID(at, w.serial), Type: f.Type, At: at,
		Audience: f.Audience, Count: head.Count, Actor: f.By(cmd.Actor), RequestID: cmd.RequestID,
		Data: f.Data, Content: f.Content,
	}
	if f.Counted {
		e.Count++
	}
	return e
}

// write applies one change to the documents, as JSON.
func (w *World) write(s gotong.Stream, c gotong.Change) {
	w.t.Helper()
	if first, ok := w.writers[c.Key]; ok && first != s {
		w.t.Fatalf("document %v is written by %s and by %s", c.Key, first, s)
	}
	w.writers[c.Key] = s
	w.docs.put(w, c)
}
