package communitytest

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gotong.dev/gotong"
)

// documents are rows of collections as JSON.
type documents map[gotong.Key][]byte

// put applies a change after checking that the collection's type can hold it.
func (d documents) put(w *World, c gotong.Change) {
	w.t.Helper()
	if c.Doc == nil {
		delete(d, c.Key)
		return
	}
	body, err := json.Marshal(c.Doc)
	if err != nil {
		w.t.Fatalf("document of %s: %v", c.Key.Collection, err)
	}
	if back := w.document(c.Key, body); !reflect.DeepEqual(back, c.Doc) {
		w.t.Fatalf("document of %s does not survive JSON:\n  was %#v\n  is  %#v", c.Key.Collection, c.Doc, back)
	}
	d[c.Key] = body
}

// document returns a row as its collection's type.
func (w *World) document(k gotong.Key, body []byte) any {
	w.t.Helper()
	for _, kind := range w.kinds {
		for _, t := range kind.Documents {
			if t.Name != k.Collection {
				continue
			}
			doc, err := t.Decode(json.Unmarshal, body)
			if err != nil {
				w.t.Fatalf("document of %s: %v", k.Collection, err)
			}
			return doc
		}
	}
	w.t.Fatalf("no kind has the collection %s", k.Collection)
	return nil
}

// Doc returns a document as its kind's type; nil if there is none.
func (w *World) Doc(k gotong.Key) any {
	w.t.Helper()
	body, ok := w.docs[k]
	if !ok {
		return nil
	}
	return w.document(k, body)
}

// Keys returns the keys of one owner's documents in a collection, in order.
func (w *World) Keys(collection, owner string) []gotong.Key {
	keys := slices.Collect(maps.Keys(w.docs))
	keys = slices.DeleteFunc(keys, func(k gotong.Key) bool { return k.Collection != collection || k.Owner != owner })
	slices.SortFunc(keys, func(a, b gotong.Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
}

// loaded is a state, and what it holds.
type loaded struct {
	w     *World
	state gotong.State
	refs  []gotong.Ref
	docs  map[gotong.Key]any
	event map[gotong.EventID]gotong.Event
}

// checkCollections fails the test if references name a collection that no kind has:
// a database cannot look there. Accounts may be of another issuer.
func (w *World) checkCollections(s gotong.Stream, refs []gotong.Ref) {
	known := map[string]bool{"": true, gotong.AccountRef("").Key.Collection: true, gotong.SettingsRef("").Key.Collection: true}
	for _, k := range w.kinds {
		for _, d := range k.Documents {
			known[d.Name] = true
		}
	}
	for _, r := range refs {
		if !known[r.Key.Collection] {
			w.t.Fatalf("%s: its needs name %s, which no kind has", s, r.Key.Collection)
		}
	}
}

// load asks needs until it names nothing new, as the engine does.
func (w *World) load(s gotong.Stream, needs func(gotong.State) []gotong.Ref) *loaded {
	w.t.Helper()
	l := &loaded{
		w: w, state: gotong.NewState(s, w.heads[s]),
		docs: map[gotong.Key]any{}, event: map[gotong.EventID]gotong.Event{},
	}
	for range 5 {
		missing := slices.DeleteFunc(needs(l.state), l.state.Has)
		w.checkCollections(s, missing)
		if len(missing) == 0 {
			return l
		}
		for _, r := range missing {
			l.fetch(r)
		}
	}
	w.t.Fatalf("the needs of %s do not settle", s.Kind())
	return nil
}

func (l *loaded) fetch(r gotong.Ref) {
	l.w.t.Helper()
	if r.Claim != (gotong.Claim{}) {
		l.state.SetClaim(r.Claim, l.w.claims[r.Claim])
		return
	}
	if _, err := gotong.ParseStream(string(r.Stream)); err != nil {
		l.w.t.Fatalf("the reference %+v names no stream", r)
	}
	if writer, ok := l.w.writers[r.Key]; ok && writer != r.Stream {
		l.w.t.Fatalf("the reference %+v names another stream than %s, which writes the document", r, writer)
	}
	l.refs = append(l.refs, r)
	l.state.SetHead(r.Stream, l.w.heads[r.Stream])
	if r.Event.IsZero() {
		l.docs[r.Key] = l.w.Doc(r.Key)
		l.state.SetDoc(r.Key, l.docs[r.Key])
		return
	}
	l.event[r.Event] = l.w.find(r.Stream, r.Event)
	l.state.SetEvent(r.Event, l.event[r.Event])
}

func (w *World) find(s gotong.Stream, id gotong.EventID) gotong.Event {
	for _, r := range w.rows {
		if r.event.Stream == s && r.event.ID == id {
			return w.decode(r)
		}
	}
	return gotong.Event{}
}

// strict returns the state, which fails the test if it is asked for what the needs
// did not name.
func (l *loaded) strict(by string) gotong.State {
	return l.state.OnMiss(func(r gotong.Ref) {
		l.w.t.Helper()
		l.w.t.Fatalf("%s looked at %+v, which its needs did not name", by, r)
	})
}

// unchanged fails the test if a rule changed its arguments.
func (l *loaded) unchanged(by string) {
	l.w.t.Helper()
	for k, doc := range l.docs {
		if !reflect.DeepEqual(doc, l.w.Doc(k)) {
			l.w.t.Fatalf("%s changed the document %v", by, k)
		}
	}
	for id, e := range l.event {
		if !reflect.DeepEqual(e, l.w.find(e.Stream, id)) {
			l.w.t.Fatalf("%s changed the event %s", by, id)
		}
	}
}
