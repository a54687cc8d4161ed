package gotong

import (
	"fmt"
	"maps"
)

// Kind is the pure rules of one sort of stream. The engine and delivery know
// nothing of messages or members: all that is said of them stands in a Kind.
// Every function must be deterministic, must not block and must not change
// what it is handed.
type Kind struct {
	Name      string // the part of a stream's name before the slash
	Commands  []Type
	Events    []EventType
	Documents []Type   // by collection
	Signals   []string // the ephemeral types a reader may send
	Lends     *Lends   // its streams lend their members; nil where they do not

	// Home is where a stream that this command would create lives; an error
	// where the command creates none. Asked only while the stream does not exist.
	Home func(Command) (Stream, error)

	// Needs names the documents and events that Decide and Project will look
	// at. It is asked again with what it named before until it names nothing
	// new, so that a document can point to the next.
	Needs func(State, Command) []Ref

	// Decide accepts with facts, accepts without any (a no-op), or rejects
	// with an [Error].
	Decide func(State, Command) (Decision, error)

	// Project is the only way documents change. It looks only at documents and
	// events of its own stream, and changes only documents whose [Key.StreamID]
	// is that stream's.
	Project func(State, Event) []Change

	// AccessNeeds and Access return what a viewer may see. As with Needs,
	// AccessNeeds is asked until it names nothing new. The streams of its
	// references govern access: delivery watches them.
	AccessNeeds func(State, Viewer) []Ref
	Access      func(State, Viewer) Grant

	// Affects says whose access an event may have changed.
	Affects func(Event) Affected

	// About names the earlier events of the same stream, by seq, about which an
	// event speaks, from its data alone: an edit is about the message that it
	// edits. It is visible only where they are, and has their audience. Nil
	// where no event is about another.
	About func(Event) []uint64

	// Overlays is the collection of documents, keyed (stream id, [SeqName]),
	// that name the later events that changed an earlier one. They hold nothing
	// of those events' content: it is read where the overlay is. Laid says which
	// events one names, and Overlay applies one as far as a viewer sees those.
	// Empty and nil where old content never changes.
	Overlays string
	Laid     func(doc any) Laid
	Overlay  func(Event, any, Later) Event

	// Amends tells whether an event may change an overlay: delivery then drops
	// what it has cached of older events. Nil: every event that is not counted
	// may. It must never be false for one that does.
	Amends func(Event) bool
}

// Check reports what a kind lacks that every kind of a server needs: a name,
// its rules, and with Overlays all that reads them.
func (k *Kind) Check() error {
	overlaid, lends := k.Overlays != "", Lends{}
	if k.Lends != nil {
		lends = *k.Lends
	}
	for _, part := range []struct {
		what    string
		needed  bool
		missing bool
	}{
		{"Name", true, k.Name == ""}, {"Commands", true, len(k.Commands) == 0}, {"Events", true, len(k.Events) == 0},
		{"Home", true, k.Home == nil}, {"Needs", true, k.Needs == nil}, {"Decide", true, k.Decide == nil},
		{"Project", true, k.Project == nil}, {"AccessNeeds", true, k.AccessNeeds == nil}, {"Access", true, k.Access == nil},
		{"Affects", true, k.Affects == nil}, {"About", overlaid, k.About == nil},
		{"Laid", overlaid, k.Laid == nil}, {"Overlay", overlaid, k.Overlay == nil},
		{"Lends.Prefix", k.Lends != nil, lends.Prefix == ""}, {"Lends.OfUser", k.Lends != nil, lends.OfUser == ""},
		{"Overlays", k.Laid != nil || k.Overlay != nil, !overlaid},
	} {
		if part.needed && part.missing {
			return fmt.Errorf("gotong: kind %q has no %s", k.Name, part.what)
		}
	}
	return nil
}

// AboutOf is what [Kind.About] names; nothing where the kind has none.
func (k *Kind) AboutOf(e Event) []uint64 {
	if k.About == nil {
		return nil
	}
	return k.About(e)
}

// Laid names the events that an overlay lays over an earlier one. A viewer who
// sees all of First to Last gets all of it. The zero Laid shows everybody the
// same.
type Laid struct {
	First, Last uint64
	Text        uint64 // the one that holds the newest content; 0: it is the event's own, or gone
}

// Later is what a viewer sees of the events that an overlay names.
type Later struct {
	Sees func(seq uint64) bool
	Text *Event // that Laid.Text names; nil where the viewer does not see it
}

// Type names a Go type of a kind: a command, a document, or part of an event.
type Type struct {
	Name   string
	New    func() any // a pointer to a zero value, for schemas
	decode func(unmarshal Unmarshal, b []byte) (any, error)
}

// Unmarshal reads JSON into a pointer; the strict reader of the edge and the
// lenient one of the store are both of this shape.
type Unmarshal func(b []byte, into any) error

// TypeOf is the Type with this name whose values are T.
func TypeOf[T any](name string) Type {
	return Type{
		Name: name,
		New:  func() any { return new(T) },
		decode: func(unmarshal Unmarshal, b []byte) (any, error) {
			var v T
			if err := unmarshal(b, &v); err != nil {
				return nil, err
			}
			return v, nil
		},
	}
}

// Decode reads a value of the type, as T and not as a pointer to it.
func (t Type) Decode(unmarshal Unmarshal, b []byte) (any, error) { return t.decode(unmarshal, b) }

// EventType is the pair of Go types of one sort of event. The JSON names of
// data and content do not overlap: readers get them as one object.
type EventType struct {
	Name    string
	Data    Type
	Content *Type // nil where the event has none
}

// EventOf is an event type with data D and no content.
func EventOf[D any](name string) EventType { return EventType{Name: name, Data: TypeOf[D](name)} }

// EventWith is an event type with data D and content C.
func EventWith[D, C any](name string) EventType {
	c := TypeOf[C](name)
	return EventType{Name: name, Data: TypeOf[D](name), Content: &c}
}

// Cleaner is what a command's type offers where it carries text: itself with
// each text as it is compared and kept, or nil where it is clean already. The
// engine asks once, before it validates the command and before a rule sees it.
type Cleaner interface{ Clean() any }

// Validator is what a command's type offers where its fields have rules that
// need no state. The error is an [Error] with [CodeInvalid].
type Validator interface{ Validate() error }

// Key names a document, a register or a claim: a collection, its owner within
// it, and a name; order is by owner, then name, as bytes.
type Key struct {
	Collection string
	Owner      string
	Name       string
}

// RegisterChange sets the register of Key to Body if its version is Expect, and
// deletes it where Body is nil. The version of one that does not exist is 0.
type RegisterChange struct {
	Key     Key
	Expect  uint64
	Body    []byte
	Expires Instant // 0 is never
}

// SeqName is n as a Key's Name: 16 decimal digits, so that names sort as numbers.
func SeqName(n uint64) string { return fmt.Sprintf("%016d", n) }

// Ref names what a rule needs to see: a document that the events of Stream
// project to, or one event of it. A commit that used a reference holds only
// while that stream's head is where it was.
type Ref struct {
	Stream Stream
	Key    Key
	Event  EventID // set instead of Key to name an event
}

// Change is one effect of an event on documents. A nil Doc deletes.
type Change struct {
	Key Key
	Doc any
}

// Claim is a row that must not exist yet, such as an e-mail address.
type Claim struct {
	Space string
	Name  string
}

// Decision is what an accepted command does. No facts is a no-op.
type Decision struct {
	Facts  []Fact
	Claims []Claim
}

// Accept is the decision for these facts.
func Accept(facts ...Fact) (Decision, error) { return Decision{Facts: facts}, nil }

// Reject is the answer of a rule that refuses.
func Reject(code Code, detail string) (Decision, error) { return Decision{}, NewError(code, detail) }

// State is the documents and events that a rule asked for, valid at Head.
type State struct {
	Stream Stream
	Head   Head
	docs   map[Key]any
	events map[EventID]Event
	heads  map[Stream]Head
	miss   func(Ref)
	sees   func(Event) bool
}

// NewState is a state at this head that knows no document yet.
func NewState(stream Stream, head Head) State {
	return State{
		Stream: stream, Head: head,
		docs: map[Key]any{}, events: map[EventID]Event{}, heads: map[Stream]Head{},
	}
}

// SetDoc notes a document; nil notes that it does not exist.
func (s State) SetDoc(k Key, doc any) { s.docs[k] = doc }

// SetEvent notes an event of a stream; an event without Seq notes that there
// is none with this id.
func (s State) SetEvent(id EventID, e Event) { s.events[id] = e }

// SetHead notes the head of another stream whose documents the state holds.
func (s State) SetHead(stream Stream, h Head) { s.heads[stream] = h }

// HeadOf is the head of another stream the state holds documents of.
func (s State) HeadOf(stream Stream) (Head, bool) { h, ok := s.heads[stream]; return h, ok }

// Adopt takes over what another state of the same stream holds; false where
// the two disagree about the head of a third stream.
func (s State) Adopt(other State) bool {
	for stream, h := range other.heads {
		if mine, ok := s.heads[stream]; stream != s.Stream && ok && mine.Seq != h.Seq {
			return false
		}
		s.heads[stream] = h
	}
	maps.Copy(s.docs, other.docs)
	maps.Copy(s.events, other.events)
	return true
}

// WithSight is the state that answers [State.Sees] with sees.
func (s State) WithSight(sees func(Event) bool) State { s.sees = sees; return s }

// Sees reports whether the actor of the command that is being decided may see
// an event of the state. What they may not see does not exist for them.
func (s State) Sees(e Event) bool { return s.sees != nil && s.sees(e) }

// OnMiss is the state that calls miss before it answers for a document or an
// event that nobody looked up. miss may note it, as a rebuild does that loads
// as it goes, or complain, as a test of [Kind.Needs] does. The reference it is
// given has no Stream.
func (s State) OnMiss(miss func(Ref)) State { s.miss = miss; return s }

func (s State) want(r Ref) {
	if s.miss != nil && !s.Has(r) {
		s.miss(r)
	}
}

// Has reports whether what r names was looked up, be it there or not.
func (s State) Has(r Ref) bool {
	if !r.Event.IsZero() {
		_, ok := s.events[r.Event]
		return ok
	}
	_, ok := s.docs[r.Key]
	return ok
}

// Doc is a document of the state as its type; false where it does not exist
// or was not asked for.
func Doc[T any](s State, k Key) (T, bool) {
	s.want(Ref{Key: k})
	v, ok := s.docs[k].(T)
	return v, ok
}

// Event is an event of the state; false where it does not exist or was not
// asked for.
func (s State) Event(id EventID) (Event, bool) {
	s.want(Ref{Event: id})
	e := s.events[id]
	return e, e.Seq > 0
}
