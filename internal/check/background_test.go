package check_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
)

// box is a kind whose streams count what was put into them.
type (
	put  struct{ N int }
	held struct{ Sum int }
)

func box() gotong.Kind {
	key := func(s gotong.Stream) gotong.Key { return gotong.Key{Collection: "boxes", Owner: s.ID()} }
	needs := func(_ gotong.State, c gotong.Command) []gotong.Ref {
		return []gotong.Ref{{Stream: c.Stream, Key: key(c.Stream)}}
	}
	return gotong.Kind{
		Name:      "box",
		Commands:  []gotong.Type{gotong.TypeOf[put]("put")},
		Events:    []gotong.EventType{gotong.EventOf[put]("put")},
		Documents: []gotong.Type{gotong.TypeOf[held]("boxes")},
		Home:      func(c gotong.Command) (gotong.Stream, error) { return c.Stream, nil },
		Needs:     needs,
		Decide: func(_ gotong.State, c gotong.Command) (gotong.Decision, error) {
			return gotong.Accept(gotong.Fact{Type: "put", Data: c.Data})
		},
		Project: func(s gotong.State, e gotong.Event) []gotong.Change {
			was, _ := gotong.Doc[held](s, key(e.Stream))
			return []gotong.Change{{Key: key(e.Stream), Doc: held{was.Sum + e.Data.(put).N}}}
		},
	}
}

func codec() *store.Codec { return store.NewCodec([]gotong.Kind{box()}) }

// filled is a store with some boxes.
func filled(t *testing.T, n int) *memory.Store {
	t.Helper()
	s := memory.New("", memory.Options{})
	t.Cleanup(func() { _ = s.Close() })
	e := engine.New(engine.Options{Store: s, Codec: codec(), Clock: clock.System()})
	for i := range n {
		_, err := e.Execute(t.Context(), gotong.Command{
			Stream: gotong.Stream(fmt.Sprint("box/", i%7)), Type: "put", Data: put{i}, RequestID: fmt.Sprint("r", i),
			Actor: gotong.Actor{UserID: "ani", Role: gotong.RoleUser},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// forge changes a document without an event.
func forge(t *testing.T, s store.Whole, key gotong.Key, body string) {
	t.Helper()
	c := storetest.Build(s.Epoch(), storetest.Draft{Stream: "box/forger", Changes: []store.Change{{Key: key, Body: []byte(body)}}})
	if _, err := store.CommitAll(t.Context(), s, []store.Commit{c}); err != nil {
		t.Fatal(err)
	}
}

func faults(t *testing.T, s check.Store, o check.Options) (list []string) {
	t.Helper()
	o.Codec = codec()
	o.Fault = func(f *check.Fault) { list = append(list, f.Error()) }
	if err := check.Run(t.Context(), s, o); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestForgedDocumentIsFound: a document that differs from what the events make
// is found, and so is one that no event made, also if few documents may be
// remembered at once.
func TestForgedDocumentIsFound(t *testing.T) {
	for name, tt := range map[string]struct{ owner, body, want string }{
		"altered":          {"3", `{"Sum":1}`, "document of box/3, boxes 3: differs from what the events make"},
		"of another shape": {"3", `[]`, "document of box/3, boxes 3: differs from what the events make"},
		"never made":       {"none", `{"Sum":1}`, "document of box/none, boxes none: exists, although no event made it"},
	} {
		for _, keys := range []int{0, 2} {
			s := filled(t, 40)
			if list := faults(t, s, check.Options{MaxKeys: keys}); len(list) > 0 {
				t.Errorf("%s: before: %v", name, list)
			}
			forge(t, s, gotong.Key{Collection: "boxes", Owner: tt.owner}, tt.body)
			list := faults(t, s, check.Options{MaxKeys: keys})
			if len(list) == 0 || list[0] != tt.want {
				t.Errorf("%s, %d keys: %q", name, keys, list)
			}
		}
	}
}

// growing is a store that is written to while it is read.
type growing struct {
	*memory.Store
	grow func()
}

func (g *growing) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	g.grow()
	return g.Store.Load(ctx, need)
}

// TestGrowingLogHasNoFaults: writes during a check are not faults.
func TestGrowingLogHasNoFaults(t *testing.T) {
	s := filled(t, 20)
	e := engine.New(engine.Options{Store: s, Codec: codec(), Clock: clock.System()})
	defer func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	n := 0
	g := &growing{s, func() {
		if n++; n > 60 {
			return
		}
		_, err := e.Execute(t.Context(), gotong.Command{
			Stream: gotong.Stream(fmt.Sprint("box/", n%11)), Type: "put", Data: put{n}, RequestID: fmt.Sprint("new", n),
			Actor: gotong.Actor{UserID: "ani", Role: gotong.RoleUser},
		})
		if err != nil {
			t.Error(err)
		}
	}}
	if list := faults(t, g, check.Options{}); len(list) > 0 {
		t.Errorf("faults %v", list)
	}
}

// reports collects what background checks report.
type reports struct {
	mu     sync.Mutex
	faults map[string]int
	ended  map[string]int
	failed int
}

func (r *reports) of(s store.Whole, c clock.Clock, node string) *check.Background {
	return check.NewBackground(check.BackgroundOptions{
		Store: s, Codec: codec(), Clock: c,
		Fault: func(f *check.Fault) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.faults[f.Error()]++
		},
		Failed: func(error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.failed++
		},
		Ended: func(time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.ended[node]++
		},
	})
}

// rounds returns the number of complete rounds of each node.
func (r *reports) rounds() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.ended)
}

func (r *reports) seen() (faults, ended, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.faults {
		faults += n
	}
	for _, n := range r.ended {
		ended += n
	}
	return faults, ended, r.failed
}

// TestBackgroundReportsEachFaultOnce: a server reports each fault once, in
// however many rounds it finds it, whatever the clock does.
func TestBackgroundReportsEachFaultOnce(t *testing.T) {
	for name, steps := range clocktest.Steps() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, r, c := filled(t, 40), &reports{faults: map[string]int{}, ended: map[string]int{}}, clocktest.Running()
				forge(t, s, gotong.Key{Collection: "boxes", Owner: "3"}, `{"Sum":1}`)
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { _ = r.of(s, c, "a").Run(ctx) })
				pass(4 * time.Minute)
				for _, by := range steps {
					c.Step(by)
				}
				if found, rounds, failed := r.seen(); found != 1 || rounds != 1 || failed != 0 {
					t.Errorf("after the first round: %d faults, %d rounds, %d failed", found, rounds, failed)
				}
				pass(3 * time.Hour)
				if found, rounds, failed := r.seen(); found != 1 || rounds != 4 || failed != 0 {
					t.Errorf("after three hours: %d faults, %d rounds, %d failed", found, rounds, failed)
				}
				cancel()
				wg.Wait()
			})
		})
	}
}

// TestOneNodeChecksAndAnotherTakesOver: one of several nodes checks; when it
// ends, another one does.
func TestOneNodeChecksAndAnotherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, c := filled(t, 40), &reports{faults: map[string]int{}, ended: map[string]int{}}, clocktest.Running()
		var wg sync.WaitGroup
		stop := map[string]context.CancelFunc{}
		for _, node := range []string{"a", "b", "c"} {
			ctx, cancel := context.WithCancel(t.Context())
			stop[node] = cancel
			wg.Go(func() { _ = r.of(s, c, node).Run(ctx) })
		}
		pass(150 * time.Minute)
		if ended := r.rounds(); len(ended) != 1 {
			t.Fatalf("rounds %v", ended)
		}
		for node, rounds := range r.rounds() {
			if rounds != 3 {
				t.Errorf("%d rounds in two hours and a half", rounds)
			}
			stop[node]()
		}
		pass(10 * time.Minute)
		if ended := r.rounds(); len(ended) != 2 {
			t.Errorf("no other node went on: %v", ended)
		}
		for _, cancel := range stop {
			cancel()
		}
		wg.Wait()
	})
}

// TestSealedStoreIsCheckedAndClosedStoreIsRetried: a store that accepts no
// writes is checked too, and the check of an unreadable one is repeated at a
// slow pace.
func TestSealedStoreIsCheckedAndClosedStoreIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := filled(t, 40), &reports{faults: map[string]int{}, ended: map[string]int{}}
		forge(t, s, gotong.Key{Collection: "boxes", Owner: "3"}, `{"Sum":1}`)
		if err := s.Seal(t.Context(), "elsewhere"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = r.of(s, clocktest.Running(), "a").Run(ctx) })
		pass(4 * time.Minute)
		if found, rounds, _ := r.seen(); found != 1 || rounds != 1 {
			t.Errorf("%d faults, %d rounds", found, rounds)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Hour)
		if _, _, failed := r.seen(); failed < 60 || failed > 90 {
			t.Errorf("failed %d times in three hours", failed)
		}
		cancel()
		wg.Wait()
	})
}

// TestInterruptedRoundResumesAtItsMark: a round that was interrupted is resumed
// at its last mark.
func TestInterruptedRoundResumesAtItsMark(t *testing.T) {
	s := filled(t, 40)
	var marks []check.Mark
	cut := errors.New("cut")
	o := check.Options{Codec: codec(), Fault: func(f *check.Fault) { t.Error(f) }, Reached: func(m check.Mark) error {
		marks = append(marks, m)
		if len(marks) == 20 {
			return cut
		}
		return nil
	}}
	if err := check.Run(t.Context(), s, o); !errors.Is(err, cut) {
		t.Fatal(err)
	}
	o.Begin = marks[19]
	if err := check.Run(t.Context(), s, o); err != nil {
		t.Fatal(err)
	}
	seen := map[check.Mark]bool{}
	for _, m := range marks {
		if seen[m] {
			t.Errorf("%+v was reached twice", m)
		}
		seen[m] = true
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // no time of the machine's
