package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// noted is a document that counts how often one is decoded.
type noted struct{ N int }

var decodings int

func (n *noted) UnmarshalJSON(b []byte) error {
	decodings++
	return json.Unmarshal(b, &n.N)
}

// shelf is documents of one stream.
type shelf struct {
	store.Committer
	docs map[gotong.Key][]byte
}

func (s *shelf) Load(context.Context, store.Need) (store.Snapshot, error) {
	return store.Snapshot{Documents: s.docs}, nil
}

// Of the documents that a stream's rules name, the first few are kept decoded
// for as long as their bytes stay the same; the others are decoded at each read.
func TestKeptDocuments(t *testing.T) {
	const stream = gotong.Stream("note/1")
	codec := store.NewCodec([]gotong.Kind{{Name: "note", Documents: []gotong.Type{gotong.TypeOf[noted]("notes")}}})
	var kept store.Kept
	key := func(i int) gotong.Key { return gotong.Key{Collection: "notes", Owner: "1", Name: fmt.Sprint(i)} }
	for _, step := range []struct {
		name     string
		docs     []string
		decoded  int
		unshared int // without Kept
	}{
		{"the first read", []string{"1", "2"}, 2, 2},
		{"nothing changed", []string{"1", "2"}, 0, 2},
		{"one changed", []string{"1", "3"}, 1, 2},
		{"more than are kept", []string{"1", "3", "5", "6", "7", "8"}, 4, 6},
		{"the same again", []string{"1", "3", "5", "6", "7", "8"}, 2, 6},
		{"one of the first is gone", []string{"1"}, 0, 1},
	} {
		s := &shelf{docs: map[gotong.Key][]byte{}}
		var refs []gotong.Ref
		for i, body := range step.docs {
			s.docs[key(i)] = []byte(body)
			refs = append(refs, gotong.Ref{Stream: stream, Key: key(i)})
		}
		for k, want := range map[*store.Kept]int{nil: step.unshared, &kept: step.decoded} {
			decodings = 0
			state, _, err := store.LoadState(t.Context(), s, codec.Keeping(k), stream,
				func(gotong.State) []gotong.Ref { return refs }, nil)
			if err != nil || decodings != want {
				t.Errorf("%s: %d documents decoded, want %d; %v", step.name, decodings, want, err)
			}
			for i, body := range step.docs {
				if d, ok := gotong.Doc[noted](state, key(i)); !ok || fmt.Sprint(d.N) != body {
					t.Errorf("%s: document %d is %v, want %s", step.name, i, d, body)
				}
			}
		}
		for _, body := range s.docs {
			clear(body) // what is kept does not lie in what was read
		}
	}
}
