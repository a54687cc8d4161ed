package engine

import (
	"maps"
	"slices"
	"testing"

	"gotong.dev/gotong"
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
