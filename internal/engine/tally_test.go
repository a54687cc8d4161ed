package engine_test

import (
	"errors"

	"gotong.dev/gotong"
)

// tally is a kind with just enough rules to try the write path: a stream is a
// sum that may not exceed its limit, and can be set to depend on another stream,
// whose switch must be on.
type (
	add    struct{ N, Limit int }
	obey   struct{ Stream gotong.Stream }
	burst  struct{}
	run    struct{ Times int } // so many events in one commit
	wipe   struct{ Seqs []uint64 }
	flip   struct{ On bool }
	added  struct{ N int }
	obeyed struct{ Stream gotong.Stream }
	total  struct{ Sum int }
	master struct{ Stream gotong.Stream }
	lamp   struct{ On bool }
	note   struct{ Text string }
)

func totalKey(s gotong.Stream) gotong.Key { return gotong.Key{Collection: "totals", Owner: s.ID()} }
func masterKey(s gotong.Stream) gotong.Key {
	return gotong.Key{Collection: "masters", Owner: s.ID()}
}
func lampKey(s gotong.Stream) gotong.Key { return gotong.Key{Collection: "lamps", Owner: s.ID()} }

func tally() gotong.Kind {
	return gotong.Kind{
		Name:      "tally",
		Commands:  []gotong.Type{gotong.TypeOf[add]("add"), gotong.TypeOf[obey]("obey"), gotong.TypeOf[flip]("flip")},
		Events:    []gotong.EventType{gotong.EventWith[added, note]("added"), gotong.EventOf[obeyed]("obeyed"), gotong.EventOf[flip]("flipped")},
		Documents: []gotong.Type{gotong.TypeOf[total]("totals"), gotong.TypeOf[master]("masters"), gotong.TypeOf[lamp]("lamps")},
		Home: func(c gotong.Command) (gotong.Stream, error) {
			if c.Data == nil {
				return "", gotong.NotFound()
			}
			return "scope/test", nil
		},
		Needs:   tallyNeeds,
		Decide:  tallyDecide,
		Project: tallyProject,
	}
}

func tallyNeeds(s gotong.State, c gotong.Command) []gotong.Ref {
	refs := []gotong.Ref{
		{Stream: c.Stream, Key: totalKey(c.Stream)}, {Stream: c.Stream, Key: masterKey(c.Stream)},
		{Stream: c.Stream, Key: lampKey(c.Stream)},
	}
	if m, ok := gotong.Doc[master](s, masterKey(c.Stream)); ok {
		refs = append(refs, gotong.Ref{Stream: m.Stream, Key: lampKey(m.Stream)})
	}
	return refs
}

func tallyDecide(s gotong.State, c gotong.Command) (gotong.Decision, error) {
	switch d := c.Data.(type) {
	case burst:
		panic("a fault in the rules")
	case flip:
		if l, _ := gotong.Doc[lamp](s, lampKey(c.Stream)); l.On == d.On && s.Head.Exists() {
			return gotong.Decision{}, nil
		}
		return gotong.Accept(gotong.Fact{Type: "flipped", Data: d})
	case run:
		facts := make([]gotong.Fact, d.Times)
		for i := range facts {
			facts[i] = gotong.Fact{Type: "added", Data: added{1}, Content: note{"plus"}, Counted: true}
		}
		return gotong.Accept(facts...)
	case wipe:
		return gotong.Accept(gotong.Fact{Type: "flipped", Data: flip{}, Erases: d.Seqs})
	case obey:
		return gotong.Accept(gotong.Fact{Type: "obeyed", Data: obeyed(d)})
	case add:
		if m, ok := gotong.Doc[master](s, masterKey(c.Stream)); ok {
			if l, _ := gotong.Doc[lamp](s, lampKey(m.Stream)); !l.On {
				return gotong.Reject(gotong.CodeForbidden, "The lamp is off.")
			}
		}
		if t, _ := gotong.Doc[total](s, totalKey(c.Stream)); d.Limit > 0 && t.Sum+d.N > d.Limit {
			return gotong.Reject(gotong.CodeConflict, "That is too much.")
		}
		if d.N == 0 {
			return gotong.Decision{}, nil
		}
		return gotong.Accept(gotong.Fact{Type: "added", Data: added{d.N}, Content: note{"plus"}, Counted: true})
	}
	return gotong.Decision{}, errors.New("tally: no such command")
}

func tallyProject(s gotong.State, e gotong.Event) []gotong.Change {
	switch d := e.Data.(type) {
	case added:
		t, _ := gotong.Doc[total](s, totalKey(e.Stream))
		return []gotong.Change{{Key: totalKey(e.Stream), Doc: total{t.Sum + d.N}}}
	case obeyed:
		return []gotong.Change{{Key: masterKey(e.Stream), Doc: master(d)}}
	case flip:
		return []gotong.Change{{Key: lampKey(e.Stream), Doc: lamp(d)}}
	}
	return nil
}
