package communitytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"

	"gotong.dev/gotong"
)

// refusal checks that a rule rejects a command with an error that has a code and
// a sentence.
func (w *World) refusal(cmd gotong.Command, err error) error {
	w.t.Helper()
	var e *gotong.Error
	if !errors.As(err, &e) || e.Code == "" || e.Code == gotong.CodeInternal || e.Detail == "" {
		w.t.Fatalf("%s was refused with %#v, which has no text for the caller", cmd.Type, err)
	}
	return err
}

func same(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

// Fields returns the names of the fields that an error reports.
func Fields(err error) []string {
	var e *gotong.Error
	if !errors.As(err, &e) {
		return nil
	}
	var names []string
	for _, f := range e.Fields {
		names = append(names, f.Field)
	}
	return names
}

// project runs the projection of one event on the state that the command
// needed, twice, and once with the event as the log gives it back.
func (w *World) project(kind gotong.Kind, l *loaded, e gotong.Event, r row) []gotong.Change {
	w.t.Helper()
	by := "Project of " + e.Type
	changes := kind.Project(l.strict(by), e)
	again := kind.Project(l.strict(by), w.decode(r))
	if !reflect.DeepEqual(changes, again) {
		w.t.Fatalf("%s is not deterministic:\n  %+v\n  %+v", by, changes, again)
	}
	l.unchanged(by)
	for _, c := range changes {
		l.state.SetDoc(c.Key, c.Doc)
		delete(l.docs, c.Key) // differs from the world's until the commit
	}
	return changes
}

// Grant returns what a kind's rules grant a viewer of a stream, and the streams
// that govern it.
func (w *World) Grant(s gotong.Stream, v gotong.Viewer) (gotong.Grant, []gotong.Stream) {
	w.t.Helper()
	kind := w.kinds[s.Kind()]
	l := w.load(s, func(st gotong.State) []gotong.Ref { return kind.AccessNeeds(st, v) })
	by := "Access of " + kind.Name
	g := kind.Access(l.strict(by), v)
	if !reflect.DeepEqual(g, kind.Access(l.strict(by), v)) {
		w.t.Fatalf("%s is not deterministic", by)
	}
	l.unchanged(by)
	var governing []gotong.Stream
	for _, ref := range l.refs {
		governing = append(governing, ref.Stream)
	}
	for _, span := range g.All() {
		if gotong.PartitionOf(w.heads[span.Stream].Home) != gotong.PartitionOf(w.heads[s].Home) {
			w.t.Fatalf("%s: %s and %s have no common order", by, s, span.Stream)
		}
		if !slices.Contains(governing, span.Stream) {
			w.t.Fatalf("%s: a span of %s, which its needs do not name", by, span.Stream)
		}
	}
	return g, governing
}

// State returns the state of a stream with what needs names; the state fails the
// test if it is asked for more.
func (w *World) State(s gotong.Stream, needs func(gotong.State) []gotong.Ref) gotong.State {
	w.t.Helper()
	return w.load(s, needs).strict("a viewer of " + s.Kind())
}

// Access returns a viewer's access to a stream.
func (w *World) Access(s gotong.Stream, v gotong.Viewer) gotong.Access {
	w.t.Helper()
	g, _ := w.Grant(s, v)
	return w.resolve(s, v, g)
}

func (w *World) resolve(s gotong.Stream, v gotong.Viewer, g gotong.Grant) gotong.Access {
	return gotong.Resolve(v, g, func(other gotong.Stream, seq uint64) uint64 {
		at := w.Position(other, seq)
		if at == 0 {
			return 0
		}
		first := uint64(1)
		for _, row := range w.rows {
			if row.event.Stream == s && row.position < at {
				first = row.event.Seq + 1
			}
		}
		return first
	})
}

// Position returns the position of an event of a stream; 0 if there is none.
func (w *World) Position(s gotong.Stream, seq uint64) uint64 {
	if r := w.row(s, seq); r != nil {
		return r.position
	}
	return 0
}

func (w *World) row(s gotong.Stream, seq uint64) *row {
	for i := range w.rows {
		if e := &w.rows[i].event; e.Stream == s && e.Seq == seq {
			return &w.rows[i]
		}
	}
	return nil
}

// History returns a stream's events with their overlays, as a viewer gets them.
func (w *World) History(s gotong.Stream, v gotong.Viewer) []gotong.Event {
	w.t.Helper()
	access, kind := w.Access(s, v), w.kinds[s.Kind()]
	var events []gotong.Event
	for _, row := range w.rows {
		e := w.decode(row)
		if e.Stream == s && access.Sees(e.Seq, e.Audience, kind.AboutOf(e)...) {
			events = append(events, w.overlaid(row, v.UserID, func(seq uint64) bool { return access.Sees(seq, e.Audience, e.Seq) }))
		}
	}
	return events
}

// Event returns an event of a stream with its overlay, as a viewer who sees
// everything gets it.
func (w *World) Event(s gotong.Stream, seq uint64) gotong.Event {
	w.t.Helper()
	r := w.row(s, seq)
	if r == nil {
		w.t.Fatalf("%s has no event %d", s, seq)
	}
	return w.overlaid(*r, "", func(uint64) bool { return true })
}

func (w *World) overlaid(r row, userID string, sees func(seq uint64) bool) gotong.Event {
	w.t.Helper()
	e := w.decode(r)
	kind := w.kinds[e.Stream.Kind()]
	if kind.Overlay == nil {
		return e
	}
	doc := w.Doc(gotong.Key{Collection: kind.Overlays, Owner: e.Stream.ID(), Name: gotong.SeqName(e.Seq)})
	if doc == nil && r.content != nil { // else perhaps erased, which the kind is shown
		return e
	}
	later := gotong.Later{Sees: sees, Own: e.Actor.UserID == userID}
	if text := w.row(e.Stream, kind.Laid(doc).Text); text != nil && sees(text.event.Seq) {
		t := w.decode(*text)
		later.Text = &t
	}
	return kind.Overlay(e, doc, later)
}

// checkOverlays checks that an overlay changes payloads only, that the result has
// the event's types, and that a viewer who sees all that Laid names gets all of it.
func (w *World) checkOverlays(kind gotong.Kind, s gotong.Stream) {
	w.t.Helper()
	if kind.Overlay == nil {
		return
	}
	for _, k := range w.Keys(kind.Overlays, s.ID()) {
		for _, r := range w.rows {
			if r.event.Stream != s || gotong.SeqName(r.event.Seq) != k.Name {
				continue
			}
			e := w.Event(s, r.event.Seq)
			laid := kind.Laid(w.Doc(k))
			within := w.overlaid(r, "", func(seq uint64) bool { return laid.First <= seq && seq <= laid.Last })
			if !reflect.DeepEqual(e, within) {
				w.t.Fatalf("the overlay of %s %d shows more than the events %+v", s, r.event.Seq, laid)
			}
			own := w.overlaid(r, e.Actor.UserID, func(uint64) bool { return true })
			if !laid.Own && !reflect.DeepEqual(e, own) {
				w.t.Fatalf("the overlay of %s %d shows its actor more than %+v says", s, r.event.Seq, laid)
			}
			t, _ := eventType(kind, e.Type)
			w.marshal(e.Type, t.Data, e.Data)
			if e.Content != nil {
				w.marshal(e.Type, *t.Content, e.Content)
			}
			if e.Data, e.Content = nil, nil; !reflect.DeepEqual(e, r.event) {
				w.t.Fatalf("the overlay of %s %d changes more than payloads", s, r.event.Seq)
			}
		}
	}
}

// checkAbout checks that an event is about earlier ones of its stream, and that all
// who see it may see them.
func (w *World) checkAbout(kind gotong.Kind, e gotong.Event) {
	w.t.Helper()
	for _, seq := range kind.AboutOf(e) {
		if seq == 0 || seq >= e.Seq {
			w.t.Fatalf("%s %d is about event %d, which is not an earlier one", e.Type, e.Seq, seq)
		}
		if other := w.row(e.Stream, seq).event; other.Audience != "" && other.Audience != e.Audience {
			w.t.Fatalf("%s is for %q and about an event for %q", e.Type, e.Audience, other.Audience)
		}
	}
}

// checkReplay checks that a replay of the log accepts what the rules decided.
func (w *World) checkReplay(kind gotong.Kind, r row) {
	w.t.Helper()
	if replay := w.replay[kind.Name]; replay != nil {
		if err := replay(w.decode(r)); err != nil {
			w.t.Fatalf("the replay rejects %s %d: %v", r.event.Type, r.event.Seq, err)
		}
	}
}

// checkAmends checks that Amends is true for an event that changes an overlay: if
// not, delivery would continue to show the old text.
func (w *World) checkAmends(kind gotong.Kind, e gotong.Event, changes []gotong.Change) {
	w.t.Helper()
	if kind.Amends == nil || kind.Amends(e) {
		return
	}
	for _, c := range changes {
		if c.Key.Collection == kind.Overlays {
			w.t.Fatalf("%s changes the overlay %s, which Amends denies", e.Type, c.Key.Name)
		}
	}
}

// view is what one viewer may see of one stream, and what governs it.
type view struct {
	grant     gotong.Grant
	governing []gotong.Stream
}

type look struct {
	stream gotong.Stream
	viewer gotong.Viewer
}

// accesses returns the view of every known viewer of every stream. The actor and
// the users whom the events affect become known.
func (w *World) accesses(actor gotong.Actor, kind gotong.Kind, events []gotong.Event) map[look]view {
	w.t.Helper()
	w.Watch(gotong.Viewer(actor))
	for _, e := range events {
		for _, id := range kind.Affects(e).Users {
			w.Watch(gotong.Viewer{UserID: id, Role: gotong.RoleUser})
		}
	}
	all := map[look]view{}
	for s := range w.heads {
		for _, v := range w.viewers {
			g, governing := w.Grant(s, v)
			all[look{s, v}] = view{g, governing}
		}
	}
	return all
}

// checkAffects checks that Affects names every user whose view changed, and that
// the events' stream is one that governs the view.
func (w *World) checkAffects(kind gotong.Kind, events []gotong.Event, before map[look]view) {
	w.t.Helper()
	for s := range w.heads {
		for _, v := range w.viewers {
			now, governing := w.Grant(s, v)
			was := before[look{s, v}]
			if reflect.DeepEqual(now, was.grant) {
				continue
			}
			if !slices.Contains(append(governing, was.governing...), events[0].Stream) {
				w.t.Fatalf("%s changed the access of %s to %s, which it does not govern",
					events[0].Type, v.UserID, s)
			}
			named := slices.ContainsFunc(events, func(e gotong.Event) bool {
				a := kind.Affects(e)
				return a.Everyone || slices.Contains(a.Users, v.UserID)
			})
			if !named {
				w.t.Fatalf("%s changed the access of %s to %s, but Affects does not name them:\n  was %+v\n  is  %+v",
					events[0].Type, v.UserID, s, was.grant, now)
			}
		}
	}
}

// Snapshot holds the documents of a moment; [World.Replay] brings them up to date.
type Snapshot struct {
	docs documents
	rows int
}

// Snapshot returns the present documents.
func (w *World) Snapshot() Snapshot { return Snapshot{maps.Clone(w.docs), len(w.rows)} }

// Replay projects the events after a snapshot onto it and fails the test where
// that is not what the documents are now (contract D11).
func (w *World) Replay(from Snapshot) {
	w.t.Helper()
	docs := maps.Clone(from.docs)
	heads := map[gotong.Stream]gotong.Head{}
	for i, r := range w.rows {
		e := w.decode(r)
		if i >= from.rows {
			state := gotong.NewState(e.Stream, heads[e.Stream])
			lazy := state.OnMiss(func(ref gotong.Ref) {
				if body, ok := docs[ref.Key]; ok {
					state.SetDoc(ref.Key, w.document(ref.Key, body))
				}
			})
			for _, c := range w.kinds[e.Stream.Kind()].Project(lazy, e) {
				docs.put(w, c)
			}
		}
		heads[e.Stream] = gotong.Head{Seq: e.Seq, At: e.At, Count: e.Count}
	}
	for k, body := range w.docs {
		if !bytes.Equal(docs[k], body) {
			w.t.Fatalf("rebuilt, the document %v is\n  %s\nand live\n  %s", k, docs[k], body)
		}
	}
	if len(docs) != len(w.docs) {
		w.t.Fatalf("rebuilt there are %d documents, live %d", len(docs), len(w.docs))
	}
}

// checkRebuild folds the log from zero: after every command while the log is short,
// and after some commands of a long one.
func (w *World) checkRebuild() {
	w.t.Helper()
	if n := len(w.rows); n <= 200 || n%128 == 0 {
		w.Replay(Snapshot{docs: documents{}})
	}
}

// checkClock decides again with the clock that the log keeps: the time that an
// event's data keeps as "now", or the event's own. The outcome must be the
// same.
func (w *World) checkClock(kind gotong.Kind, cmd gotong.Command, decision gotong.Decision) {
	w.t.Helper()
	var kept struct {
		Now gotong.Instant `json:"now"`
	}
	b, err := json.Marshal(decision.Facts[0].Data)
	if err == nil {
		err = json.Unmarshal(b, &kept)
	}
	if err != nil {
		w.t.Fatalf("%s: %v", cmd.Type, err)
	}
	if cmd.Now = kept.Now; kept.Now == 0 {
		cmd.Now = cmd.At
	}
	if again, err := w.decide(kind, cmd); err != nil || !reflect.DeepEqual(decision, again) {
		w.t.Fatalf("%s: by the clock that its event records: %+v %v, want %+v", cmd.Type, again, err, decision)
	}
}
