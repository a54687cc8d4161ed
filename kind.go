package gotong

import (
	"fmt"
	"sync"
)

// Kind is the pure rules of one sort of stream. The engine and delivery know
// nothing of messages or members; only Kinds do. Every function must be
// deterministic, must not block and must not change its arguments.
type Kind struct {
	Name      string // the part of a stream's name before the slash
	Commands  []Type
	Events    []EventType
	Documents []Type   // by collection
	Signals   []string // the ephemeral types that a viewer may send
	Lends     *Lends   // set if its streams lend their members

	// Home returns the home of the stream that this command would create, or an
	// error if the command creates none. It is called only while the stream
	// does not exist.
	Home func(Command) (Stream, error)

	// Needs returns the documents and events that Decide and Project use. It is
	// called again with the state that it asked for until it returns nothing
	// new, so that a document can name the next one.
	Needs func(State, Command) []Ref

	// Decide accepts with facts, accepts without any (a no-op), or rejects with
	// an [Error].
	Decide func(State, Command) (Decision, error)

	// Project returns the changes of documents, which change in no other way.
	// It uses only documents and events of its own stream, and changes only
	// documents whose [Key.StreamID] is that stream's.
	Project func(State, Event) []Change

	// AccessNeeds and Access return what a viewer may see. Like Needs,
	// AccessNeeds is called until it returns nothing new. The streams of its
	// references govern access, and delivery watches them.
	AccessNeeds func(State, Viewer) []Ref
	Access      func(State, Viewer) Grant

	// Affects returns whose access an event may have changed.
	Affects func(Event) Affected

	// Webhooks are the rules by which webhooks read its streams, see
	// [WithWebhooks]. Nil: none reads any.
	Webhooks *Webhooks

	// Timers returns the commands that the server issues at a later time because
	// of this event, from the event alone. Nil if none is.
	Timers func(Event) []Timer

	// Timed are the types of the events that may have timers; nil stands for all.
	Timed []string

	// Replay returns a function for one log. It is called with each event of the
	// kind's streams in order, and returns an error if the events before it in its
	// stream do not give what it says, such as a count of votes. Data is kept for
	// ever, so this holds after erasures too. Nil if no event says such a thing.
	Replay func() func(Event) error

	// Evidence is set if an event is computed from earlier ones that not everybody
	// sees who sees it.
	Evidence *Evidence

	// About returns the seqs of the earlier events of the stream that an event
	// concerns, from its data alone: an edit concerns the message that it
	// edits. The event is visible only if they are. It has their audience, or any
	// if they are for everybody. Nil means that no event concerns another.
	About func(Event) []uint64

	// Overlays is the collection of documents, keyed (stream id, [SeqName]),
	// that name the later events which changed an earlier one. They hold no
	// content of those events; it is read with the overlay. Laid returns the
	// events that a document names, and Overlay applies it as far as a viewer
	// sees them; the document of an erased event may be nil. Empty and nil if old
	// content never changes.
	Overlays string
	Laid     func(doc any) Laid
	Overlay  func(Event, any, Later) Event

	// Amends reports whether an event may change an overlay; delivery then
	// drops its cache of older events. It must not return false for an event
	// that does. Nil stands for every event that is not counted.
	Amends func(Event) bool
}

// Timer is a command that the system actor issues at Due or later. The rules
// reject it with [CodeNotYet] if it is too early by their clock, and accept it
// without facts if it is no longer needed.
type Timer struct {
	Due     Instant
	Command string
	Data    any
}

// Evidence says from what events are computed. Of returns the seqs of earlier events
// of the stream whose data all may have who see the event, whatever the audience
// of the others: the proof of the event carries them, without content. Check
// returns an error if these events, in the order of Of, do not give the event.
type Evidence struct {
	Of    func(Event) []uint64
	Check func(e Event, of []Event) error
}

// Check returns an error that names what a kind lacks: a name, rules, or, with
// Overlays, the functions that read them.
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
		{"Lends.OfUser", k.Lends != nil, lends.OfUser == ""}, {"Lends.Roles", k.Lends != nil, len(lends.Roles) == 0},
		{"Overlays", k.Laid != nil || k.Overlay != nil, !overlaid},
	} {
		if part.needed && part.missing {
			return fmt.Errorf("gotong: kind %q has no %s", k.Name, part.what)
		}
	}
	return nil
}

// AboutOf returns the result of [Kind.About], or nothing if the kind has none.
func (k *Kind) AboutOf(e Event) []uint64 {
	if k.About == nil {
		return nil
	}
	return k.About(e)
}

// Laid names the events that an overlay applies to an earlier one. A viewer who
// sees all of First to Last gets all of it. The zero Laid is the same for every
// viewer.
type Laid struct {
	First, Last uint64
	Text        uint64 // the event with the newest content; 0: the content is the event's own, or erased
	Own         bool   // the actor of the event is shown more of it than others
}

// Later is what a viewer sees of the events that an overlay names.
type Later struct {
	Sees func(seq uint64) bool
	Text *Event // the event of Laid.Text; nil if the viewer may not see it
	Own  bool   // the viewer is the actor of the event
}

// Type names a Go type of a kind: a command, a document, or part of an event.
type Type struct {
	Name   string
	New    func() any // a pointer to a zero value, for schemas
	Server bool       // a command that only jobs of the server issue, see [Type.OfServer]
	decode func(unmarshal Unmarshal, b []byte) (any, error)
}

// Unmarshal decodes JSON into a pointer. The edge passes a strict one, the
// store a lenient one.
type Unmarshal func(b []byte, into any) error

// TypeOf returns the Type with this name whose values are T.
func TypeOf[T any](name string) Type {
	// A value that is read into lies on the heap, because unmarshal is any function;
	// so the next one is read into the same.
	rooms := sync.Pool{New: func() any { return new(T) }}
	return Type{
		Name: name,
		New:  func() any { return new(T) },
		decode: func(unmarshal Unmarshal, b []byte) (any, error) {
			room := rooms.Get().(*T) //nolint:forcetypeassert // the pool holds nothing else
			if err := unmarshal(b, room); err != nil {
				return nil, err
			}
			var empty T
			v := *room
			*room = empty
			rooms.Put(room)
			return v, nil
		},
	}
}

// OfServer returns the type of a command that clients cannot send: the edge
// accepts it from nobody, and the published documents leave it out.
func (t Type) OfServer() Type { t.Server = true; return t }

// Decode decodes a value of the type, as a T, not as a pointer to it.
func (t Type) Decode(unmarshal Unmarshal, b []byte) (any, error) { return t.decode(unmarshal, b) }

// EventType is the pair of Go types of one sort of event. The JSON names of
// data and content must not overlap, because clients get them as one object.
type EventType struct {
	Name      string
	Data      Type
	Content   *Type     // nil if the event has none
	Retention Retention // of the content
	Unseen    bool      // its audience is a role that nobody has: it is in the log for rules and the record alone
}

// Retention is the class that decides how long the content of an event is kept.
// Its data is kept as long as the log, and so is the content of every class until
// a platform admin erases it, see [Erase].
type Retention string

// The classes.
const (
	// Governance is the class of texts that say what was decided and why, and of
	// the names of groups and cases. They are part of the record of the community:
	// erase them only where the law demands it.
	Governance Retention = "governance"
	// Conversation is the class of what people write to each other. It is erased
	// when somebody who is entitled to it asks for it.
	Conversation Retention = "conversation"
)

// Of returns the event type with this class of content.
func (t EventType) Of(r Retention) EventType { t.Retention = r; return t }

// OfRecord returns the event type as one that no viewer sees.
func (t EventType) OfRecord() EventType { t.Unseen = true; return t }

// EventOf returns an event type with data D and no content.
func EventOf[D any](name string) EventType { return EventType{Name: name, Data: TypeOf[D](name)} }

// EventWith returns an event type with data D and content C, of the class
// [Governance].
func EventWith[D, C any](name string) EventType {
	c := TypeOf[C](name)
	return EventType{Name: name, Data: TypeOf[D](name), Content: &c, Retention: Governance}
}

// Cleaner is implemented by types of commands with texts. It returns the
// command with each text as it is compared and stored. The engine calls it
// once, before it validates the command and before any rule.
type Cleaner interface{ Clean() any }

// Validator is implemented by types of commands whose fields have rules that
// need no state. It notes what is wrong, see [Validate].
type Validator interface{ Validate(c *Check) }

// Validate returns what is wrong with the fields of a command by its own rules: an
// [Error] with [CodeInvalid], or nil.
func Validate(data any) error {
	v, ok := data.(Validator)
	if !ok {
		return nil
	}
	check, _ := checks.Get().(*Check)
	v.Validate(check)
	err := check.Err()
	*check = Check{}
	checks.Put(check)
	return err
}

var checks = sync.Pool{New: func() any { return new(Check) }} // a post makes none

// Key names a document, a register or a claim: a collection, its owner within
// it, and a name; order is by owner, then name, as bytes.
type Key struct {
	Collection string
	Owner      string
	Name       string
}

// RegisterChange sets the register of Key to Body if its version is Expect, or
// deletes it if Body is nil. The version of a register that does not exist is
// 0.
type RegisterChange struct {
	Key     Key
	Expect  uint64
	Body    []byte
	Expires Instant // 0 is never
}

// SeqName returns n as the Name of a Key: 16 decimal digits, so that names sort
// as numbers.
func SeqName(n uint64) string { return fmt.Sprintf("%016d", n) }

// Ref names what a rule uses: a document that the events of Stream project to,
// or one event of Stream. A commit that used a reference is only valid while
// the head of that stream has not moved.
type Ref struct {
	Stream Stream
	Key    Key
	Event  EventID // set instead of Key to name an event
	Claim  Claim   // set alone, to name a claim: no commit changes or deletes one
}

// Change is one change of a document by an event. A nil Doc deletes.
type Change struct {
	Key Key
	Doc any
}

// Claim is a row that must not exist yet, such as an e-mail address.
type Claim struct {
	Space string
	Name  string
}

// Decision is the effect of an accepted command. A decision without facts is a
// no-op.
type Decision struct {
	Facts  []Fact
	Claims []Claim
}

// Accept returns the decision for these facts.
func Accept(facts ...Fact) (Decision, error) { return Decision{Facts: facts}, nil }

// Reject returns the answer of a rule that rejects.
func Reject(code Code, detail string) (Decision, error) { return Decision{}, NewError(code, detail) }
