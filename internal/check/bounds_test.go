package check_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// shelf is a kind that makes a document of every event.
func shelf(events ...gotong.EventType) gotong.Kind {
	k := box()
	k.Name = "shelf"
	k.Events = events
	k.Documents = []gotong.Type{gotong.TypeOf[held]("shelved")}
	k.Needs = func(gotong.State, gotong.Command) []gotong.Ref { return nil }
	k.Decide = func(_ gotong.State, c gotong.Command) (gotong.Decision, error) {
		if c.Data.(put).N < 0 {
			return gotong.Accept(gotong.Fact{Type: "odd", Data: c.Data})
		}
		return gotong.Accept(gotong.Fact{Type: "put", Data: c.Data})
	}
	k.Project = func(_ gotong.State, e gotong.Event) []gotong.Change {
		n := e.Data.(put).N
		key := gotong.Key{Collection: "shelved", Owner: e.Stream.ID(), Name: fmt.Sprint("n", n)}
		return []gotong.Change{{Key: key, Doc: held{n}}}
	}
	return k
}

var (
	putEvent = gotong.EventOf[put]("put")
	oddEvent = gotong.EventOf[put]("odd")
)

// shelved is a store with shelves of so many documents.
func shelved(t *testing.T, sizes map[gotong.Stream]int) *memory.Store {
	t.Helper()
	s := memory.New("", memory.Options{})
	t.Cleanup(func() { _ = s.Close() })
	e := engine.New(engine.Options{
		Store: s, Codec: store.NewCodec([]gotong.Kind{shelf(putEvent, oddEvent)}), Clock: clock.System(),
	})
	for stream, n := range sizes {
		for i := range n {
			if stream == "shelf/odd" && i == n-1 {
				i = -1
			}
			_, err := e.Execute(t.Context(), gotong.Command{
				Stream: stream, Type: "put", Data: put{i}, RequestID: fmt.Sprint("r", i),
				Actor: gotong.Actor{UserID: "ani", Role: gotong.RoleUser},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// reads is a store that counts its loads.
type reads struct {
	*memory.Store
	n int
}

func (r *reads) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	r.n++
	return r.Store.Load(ctx, need)
}

// TestStreamsWithTooManyDocuments: the documents of streams that are read
// together are bounded. A large stream is read by itself, and one that is too
// large is reported as not comparable, without ending the round.
func TestStreamsWithTooManyDocuments(t *testing.T) {
	streams := map[gotong.Stream]int{"shelf/a": 100, "shelf/b": 90, "shelf/c": 3}
	tooMany := func(stream string, n int) string {
		return fmt.Sprintf("unknown of shelf/%s, event %d: it has more documents than this check holds at once; "+
			"gotong copy --dry-run compares them", stream, n)
	}
	for name, tt := range map[string]struct {
		held int
		want []string
	}{
		"all of them":      {200, []string{"document of shelf/a, shelved a n7: differs from what the events make"}},
		"each by itself":   {100, []string{"document of shelf/a, shelved a n7: differs from what the events make"}},
		"one is too many":  {95, []string{tooMany("a", 96)}},
		"two are too many": {40, []string{tooMany("a", 41), tooMany("b", 41)}},
	} {
		s := &reads{Store: shelved(t, streams)}
		forge(t, s.Store, gotong.Key{Collection: "shelved", Owner: "a", Name: "n7"}, `{"Sum":1}`)
		var list []string
		err := check.Run(t.Context(), s, check.Options{
			Codec: store.NewCodec([]gotong.Kind{shelf(putEvent, oddEvent), box()}), MaxKeys: tt.held * 8,
			Fault: func(f *check.Fault) { list = append(list, f.Error()) },
		})
		slices.Sort(list)
		if err != nil || !slices.Equal(list, tt.want) || s.n > 100 {
			t.Errorf("%s: %d reads, %v, %q", name, s.n, err, list)
		}
	}
}

// TestStreamWithUnknownEventIsReadOnce: a stream with an unknown event is read
// once, however many documents it has.
func TestStreamWithUnknownEventIsReadOnce(t *testing.T) {
	s := &reads{Store: shelved(t, map[gotong.Stream]int{"shelf/odd": 150, "shelf/a": 1})}
	var list []string
	err := check.Run(t.Context(), s, check.Options{
		Codec: store.NewCodec([]gotong.Kind{shelf(putEvent)}),
		Fault: func(f *check.Fault) { list = append(list, f.Error()) },
	})
	if err != nil || len(list) != 1 || s.n > 40 {
		t.Errorf("%d reads, %v, %q", s.n, err, list)
	}
}

// TestStraysOfOneStreamShareReads: the documents of a stream that no event made
// are looked for together.
func TestStraysOfOneStreamShareReads(t *testing.T) {
	s := &reads{Store: shelved(t, map[gotong.Stream]int{"shelf/a": 10})}
	for i := range 50 {
		forge(t, s.Store, gotong.Key{Collection: "shelved", Owner: "a", Name: fmt.Sprint("x", i)}, `{"Sum":1}`)
	}
	n := 0
	err := check.Run(t.Context(), s, check.Options{
		Codec: store.NewCodec([]gotong.Kind{shelf(putEvent), box()}), Fault: func(*check.Fault) { n++ },
	})
	if err != nil || n != 50 || s.n > 30 {
		t.Errorf("%d reads, %v, %d faults", s.n, err, n)
	}
}
