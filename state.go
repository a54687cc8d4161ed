package gotong

import "maps"

// State is the documents and events that a rule needs, valid at Head.
type State struct {
	Stream Stream
	Head   Head
	docs   map[Key]any
	events map[EventID]Event
	heads  map[Stream]Head
	miss   func(Ref)
	sees   func(Event) bool
}

// NewState returns a state at this head without documents.
func NewState(stream Stream, head Head) State {
	return State{
		Stream: stream, Head: head,
		docs: map[Key]any{}, events: map[EventID]Event{}, heads: map[Stream]Head{},
	}
}

// SetDoc sets a document; nil means that it does not exist.
func (s State) SetDoc(k Key, doc any) { s.docs[k] = doc }

// SetEvent sets an event of a stream; an event without Seq means that none has
// this id.
func (s State) SetEvent(id EventID, e Event) { s.events[id] = e }

// SetClaim sets the stream whose commit made a claim; empty means that it does not
// exist.
func (s State) SetClaim(c Claim, of Stream) { s.docs[claimKey(c)] = of }

// Forget removes a claim that did not exist when it was looked up, and may exist now.
func (s State) Forget(c Claim) {
	if s.docs[claimKey(c)] == Stream("") {
		delete(s.docs, claimKey(c))
	}
}

// claimKey is under what a state keeps a claim; no collection has such a name.
func claimKey(c Claim) Key { return Key{Collection: "@", Owner: c.Space, Name: c.Name} }

// SetHead sets the head of another stream whose documents the state holds.
func (s State) SetHead(stream Stream, h Head) { s.heads[stream] = h }

// HeadOf returns the head of another stream whose documents the state holds.
func (s State) HeadOf(stream Stream) (Head, bool) { h, ok := s.heads[stream]; return h, ok }

// Adopt adds the contents of another state of the same stream. It returns false
// if the two disagree about the head of a third stream.
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

// WithSight returns the state with sees as the function of [State.Sees].
func (s State) WithSight(sees func(Event) bool) State { s.sees = sees; return s }

// Sees reports whether the actor of the command may see an event of the state.
// An event that they may not see must be treated as if it did not exist.
func (s State) Sees(e Event) bool { return s.sees != nil && s.sees(e) }

// OnMiss returns the state that calls miss before it returns a document or an
// event that was never set. miss may set it, as a rebuild does that loads as it
// goes, or report it, as a test of [Kind.Needs] does. Its reference has no
// Stream.
func (s State) OnMiss(miss func(Ref)) State { s.miss = miss; return s }

func (s State) want(r Ref) {
	if s.miss != nil && !s.Has(r) {
		s.miss(r)
	}
}

// Has reports whether r was looked up, whether or not it exists.
func (s State) Has(r Ref) bool {
	if !r.Event.IsZero() {
		_, ok := s.events[r.Event]
		return ok
	}
	if r.Claim != (Claim{}) {
		r.Key = claimKey(r.Claim)
	}
	_, ok := s.docs[r.Key]
	return ok
}

// Missing returns those of refs that were not looked up, in a slice of its own.
func (s State) Missing(refs []Ref) (missing []Ref) {
	for _, r := range refs {
		if !s.Has(r) {
			missing = append(missing, r)
		}
	}
	return missing
}

// Doc returns a document of the state as its type, or false if it does not
// exist or was not looked up.
func Doc[T any](s State, k Key) (T, bool) {
	s.want(Ref{Key: k})
	v, ok := s.docs[k].(T)
	return v, ok
}

// Claimed returns the stream whose commit made a claim, or false if the claim does
// not exist or was not looked up.
func (s State) Claimed(c Claim) (Stream, bool) {
	s.want(Ref{Claim: c})
	of, _ := s.docs[claimKey(c)].(Stream)
	return of, of != ""
}

// Event returns an event of the state, or false if it does not exist or was not
// looked up.
func (s State) Event(id EventID) (Event, bool) {
	s.want(Ref{Event: id})
	e := s.events[id]
	return e, e.Seq > 0
}
