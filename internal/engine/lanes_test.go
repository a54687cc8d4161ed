package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// What was used lately is kept, and a lane that is not idle in any case; the
// documents of a lane that is dropped no longer count.
func TestLanesThatAreKept(t *testing.T) {
	const most = 2
	for name, tt := range map[string]struct {
		uses string // streams, in order
		busy string
		docs map[string]int
		kept string
	}{
		"no more than two generations":        {uses: "abcde", kept: "cde"},
		"what is used again":                  {uses: "abcadae", kept: "ade"},
		"what is not idle":                    {uses: "abcdefg", busy: "a", kept: "aefg"},
		"fewer of a stream with many members": {uses: "abcd", docs: map[string]int{"b": 2 * most * docsPerLane}, kept: "cd"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &Engine{lanes: lanes{most: most}}
			for _, s := range tt.uses {
				stream := gotong.Stream(s)
				l := e.lanes.get(stream)
				if l == nil {
					l = &lane{engine: e, stream: stream, running: string(s) == tt.busy}
					e.lanes.put(l)
				}
				l.hold(1 + tt.docs[string(s)])
			}
			kept, docs := "", 0
			for _, generation := range []map[gotong.Stream]*lane{e.lanes.old, e.lanes.young} {
				for _, s := range slices.Sorted(maps.Keys(generation)) {
					kept += string(s)
					docs += generation[s].held
				}
			}
			sorted := []rune(kept)
			slices.Sort(sorted)
			if string(sorted) != tt.kept || e.lanes.docs.Load() != int64(docs) {
				t.Errorf("kept %s with %d documents, %d counted; want %s", string(sorted), docs, e.lanes.docs.Load(), tt.kept)
			}
		})
	}
}

// TestAnErasureLeavesNoState: a lane keeps nothing that it read before an erasure, and
// what is counted of all lanes is what they hold.
func TestAnErasureLeavesNoState(t *testing.T) {
	type word struct{ Erases []uint64 }
	key := gotong.Key{Collection: "words", Owner: "one"}
	codec := store.NewCodec([]gotong.Kind{{
		Name: "page", Commands: []gotong.Type{gotong.TypeOf[word]("say")}, Events: []gotong.EventType{gotong.EventOf[word]("said")},
		Documents: []gotong.Type{gotong.TypeOf[word]("words")},
		Home:      func(gotong.Command) (gotong.Stream, error) { return "scope/test", nil },
		Needs:     func(gotong.State, gotong.Command) []gotong.Ref { return []gotong.Ref{{Stream: "page/one", Key: key}} },
		Decide: func(_ gotong.State, c gotong.Command) (gotong.Decision, error) {
			return gotong.Accept(gotong.Fact{Type: "said", Data: c.Data, Erases: c.Data.(word).Erases})
		},
		Project: func(_ gotong.State, e gotong.Event) []gotong.Change { return []gotong.Change{{Key: key, Doc: e.Data}} },
	}})
	for _, tt := range []struct {
		erases [][]uint64 // of each command
		kept   bool
	}{{[][]uint64{nil, nil}, true}, {[][]uint64{nil, nil, {1}}, false}, {[][]uint64{nil, {1}, nil}, true}} {
		s := memory.New("", memory.Options{})
		e := New(Options{Store: s, Codec: codec})
		for i, erases := range tt.erases {
			id := fmt.Sprint("request-", i)
			if _, err := e.Execute(t.Context(), gotong.Command{
				Stream: "page/one", Type: "say", Actor: gotong.Actor{UserID: "ani", Role: gotong.RoleUser},
				RequestID: id, CorrelationID: id, Data: word{erases}, Raw: []byte("{}"),
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmp.Or(e.Close(t.Context()), s.Close()); err != nil { // then every outcome is settled
			t.Fatal(err)
		}
		l := e.lanes.get("page/one")
		if kept := l.state != nil; kept != tt.kept || (l.held > 0) != tt.kept || e.lanes.docs.Load() != int64(l.held) {
			t.Errorf("%v: kept %t with %d documents, %d counted; want %t", tt.erases, kept, l.held, e.lanes.docs.Load(), tt.kept)
		}
	}
}
