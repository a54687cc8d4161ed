package reader

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// Readers see each commit once, from before and after their start, whether this
// node made it, another node reported it, or nobody did.
func TestReadersFollow(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range 40 {
			w.commit(i%7, nil)
		}
		r := w.runner([]Reader{tally("a", "as", nil), tally("b", "bs", nil)})
		stop := w.start(r)
		wait(time.Second)
		w.tallied("a", "as", nil)
		for i := range 40 {
			w.commit(i%9, r)
		}
		wait(time.Second)
		w.tallied("b", "bs", nil)
		e := w.commit(3, nil)
		r.Woken(e.Partition, e.Position)
		r.Woken(15, 99) // a lie
		wait(200 * time.Millisecond)
		w.tallied("a", "as", nil)
		for _, s := range r.Status() {
			if s.Cursor != s.End || s.Behind(w.clock.Mono()) != 0 {
				t.Errorf("a reader seems to be behind: %+v", s)
			}
		}
		w.commit(4, nil)
		wait(poll + gap)
		w.tallied("a", "as", nil)
		stop()
		w.tallied("b", "bs", nil)
	})
}

// A commit of this node is read from memory, once for all readers.
func TestCommitsOfThisNodeAreNotReadFromTheStore(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.runner([]Reader{tally("a", "as", nil), tally("b", "bs", nil)})
		defer w.start(r)()
		wait(time.Second)
		before, writes := w.s.Calls(storetest.OpRead), w.s.Calls(storetest.OpAdvance)
		for range 20 {
			w.commit(1, r)
			wait(gap)
		}
		wait(time.Second)
		if n := w.s.Calls(storetest.OpRead) - before; n > 0 {
			t.Errorf("%d reads of the log for 20 commits of this node", n)
		}
		if n := w.s.Calls(storetest.OpAdvance) - writes; n > 20 {
			t.Errorf("%d writes for 20 commits and two readers, want one each at most", n)
		}
		w.tallied("a", "as", nil)
		w.tallied("b", "bs", nil)
	})
}

// between is a store that calls next before the first read of documents.
type between struct {
	Store
	once sync.Once
	next func()
}

func (b *between) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	if len(need.Documents) > 0 {
		b.once.Do(b.next)
	}
	return b.Store.Load(ctx, need)
}

// A node reads a cursor, another one moves it, and then the first one reads the
// documents: it does not process a commit with the documents of a later position,
// and the reader does not stop.
func TestDocumentsAreThoseOfTheCursor(t *testing.T) {
	inWorld(t, func(w *world) {
		strict := tally("a", "as", nil)
		read := strict.Read
		strict.Read = func(docs map[gotong.Key][]byte, run []Commit) (Step, error) {
			for _, body := range docs {
				if !strings.Contains(string(body), fmt.Sprintf(`"last":%d}`, run[0].Position-1)) {
					return Step{}, errBroken
				}
			}
			return read(docs, run)
		}
		e := w.commit(1, nil)
		b := &between{Store: w.s, next: func() {
			other := w.runner([]Reader{strict}).parts[e.Partition]
			_, err := other.round(w.Context())
			w.check(err)
		}}
		r := w.runnerWith(Options{Store: b}, []Reader{strict})
		stop := w.start(r)
		wait(5 * time.Second)
		if stops := r.Stopped(); len(stops) > 0 {
			t.Errorf("stopped: %+v", stops)
		}
		stop()
		w.tallied("a", "as", nil)
	})
}

// A reader that a commit does not concern writes its cursor once a second at
// most, and when it stops.
func TestLoneCursorsAreWrittenOnceASecond(t *testing.T) {
	inWorld(t, func(w *world) {
		idle := Reader{Name: "idle", Read: func(map[gotong.Key][]byte, []Commit) (Step, error) { return Step{}, nil }}
		r := w.runner([]Reader{idle})
		stop := w.start(r)
		for range 100 {
			w.commit(1, r)
			wait(gap)
		}
		if n := w.s.Calls(storetest.OpAdvance); n < 9 || n > 11 {
			t.Errorf("%d writes of a cursor in 10 seconds", n)
		}
		wait(lazily + gap)
		list, err := List(w.Context(), w.s, []Reader{idle})
		w.check(err)
		if len(list) != 1 || list[0].Cursor != 100 {
			t.Errorf("after the last commit: %+v", list)
		}
		w.commit(1, r)
		wait(2 * gap)
		stop()
		if list, err = List(w.Context(), w.s, []Reader{idle}); err != nil || list[0].Cursor != 101 {
			t.Errorf("after the end: %+v %v", list, err)
		}
	})
}

// A new reader begins at 0 and catches up while the others go on, and then reads
// with them.
func TestNewReaderCatchesUp(t *testing.T) {
	inWorld(t, func(w *world) {
		for range 3*pageEvents + 7 {
			w.commit(1, nil)
		}
		stop := w.start(w.runner([]Reader{tally("a", "as", nil)}))
		wait(2 * time.Second)
		stop()
		var old atomic.Uint64
		first := tally("a", "as", nil)
		read := first.Read
		first.Read = func(docs map[gotong.Key][]byte, run []Commit) (Step, error) {
			if run[0].Position <= 3*pageEvents+7 {
				old.Add(1)
			}
			return read(docs, run)
		}
		r := w.runner([]Reader{first, tally("b", "bs", nil)})
		defer w.start(r)()
		w.commit(1, r)
		wait(2 * time.Second)
		w.tallied("a", "as", nil)
		w.tallied("b", "bs", nil)
		if n := old.Load(); n > 0 {
			t.Errorf("the reader that was at the end read %d commits again", n)
		}
		before := w.s.Calls(storetest.OpRead)
		w.commit(1, r)
		wait(time.Second)
		w.tallied("b", "bs", nil)
		if n := w.s.Calls(storetest.OpRead) - before; n > 0 {
			t.Errorf("the readers do not read together: %d reads", n)
		}
	})
}

// A write that fails, or takes effect without an answer, is made good: documents,
// jobs and cursors stay one.
func TestReadersSurviveFaults(t *testing.T) {
	type fault func(s *storetest.Faulty, op storetest.Op, nth int)
	for name, f := range map[string]fault{
		"failed":                    func(s *storetest.Faulty, op storetest.Op, nth int) { s.Fail(op, nth, errBroken) },
		"failed but persisted":      func(s *storetest.Faulty, op storetest.Op, nth int) { s.FailAfter(op, nth, errBroken) },
		"a conflict":                func(s *storetest.Faulty, op storetest.Op, nth int) { s.Fail(op, nth, store.ErrConflict) },
		"a conflict, but persisted": func(s *storetest.Faulty, op storetest.Op, nth int) { s.FailAfter(op, nth, store.ErrConflict) },
	} {
		for _, op := range []storetest.Op{storetest.OpAdvance, storetest.OpLoad, storetest.OpRead} {
			t.Run(fmt.Sprint(name, " ", op), func(t *testing.T) {
				inWorld(t, func(w *world) {
					for i := range 30 {
						w.commit(i%3, nil)
					}
					for nth := 1; nth < 20; nth += 2 {
						f(w.s, op, nth)
					}
					r := w.runner([]Reader{tally("a", "as", nil), tally("b", "bs", nil)})
					defer w.start(r)()
					for i := range 60 {
						w.commit(i%3, r)
						if i%5 == 0 {
							wait(time.Second)
						}
					}
					wait(2 * time.Minute)
					w.tallied("a", "as", nil)
					w.tallied("b", "bs", nil)
				})
			})
		}
	}
}

// A reader that fails at a position stops there, in that partition alone, until an
// operator passes the position; a restart and a rebuild pass it too.
func TestReaderStops(t *testing.T) {
	for name, fail := range map[string]func(w *world, p gotong.Partition) Reader{
		"error": func(_ *world, p gotong.Partition) Reader {
			return tally("a", "as", func(c Commit) bool { return c.Partition == p && c.Position == 3 })
		},
		"panic": func(_ *world, p gotong.Partition) Reader {
			return tally("a", "as", func(c Commit) bool {
				if c.Partition == p && c.Position == 3 {
					panic("broken")
				}
				return false
			})
		},
		"panic in Needs": func(_ *world, p gotong.Partition) Reader {
			r := tally("a", "as", nil)
			needs := r.Needs
			r.Needs = func(c Commit) []gotong.Key {
				if c.Partition == p && c.Position == 3 {
					panic("broken")
				}
				return needs(c)
			}
			return r
		},
		"a foreign collection": func(_ *world, p gotong.Partition) Reader {
			r := tally("a", "as", nil)
			read := r.Read
			r.Read = func(docs map[gotong.Key][]byte, run []Commit) (Step, error) {
				s, err := read(docs, run)
				for i, c := range run {
					if c.Partition == p && c.Position == 3 {
						s.Changes[i].Key.Collection = "bs"
					}
				}
				return s, err
			}
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				p := w.commit(1, nil).Partition
				readers := []Reader{fail(w, p), tally("b", "bs", nil)}
				r := w.runner(readers)
				stop := w.start(r)
				for range 10 {
					w.commit(1, r)
					w.commit(2, r)
				}
				wait(time.Second)
				w.tallied("b", "bs", nil)
				stopped := func(list []Status) (found []Status) {
					for _, s := range list {
						if s.Stop != nil {
							found = append(found, s)
						}
					}
					return found
				}
				list, err := List(w.Context(), w.s, readers)
				w.check(err)
				for from, list := range map[string][]Status{"the store": stopped(list), "the runner": stopped(r.Status())} {
					if len(list) != 1 || list[0].Reader != "a" || list[0].Partition != p || list[0].Stop.Position != 3 || list[0].Cursor != 2 {
						t.Fatalf("%s: %+v", from, list)
					}
				}
				if r.Stopped() == nil {
					t.Error("the health is good")
				}
				if _, err := Skip(w.Context(), w.s, readers, "a", p+1, w.clock.Now()); err == nil {
					t.Error("a partition was skipped in which no reader has stopped")
				}
				w.check(Rebuild(w.Context(), w.s, readers, "b")) // all cursors are read anew
				wait(poll + time.Second)
				w.logged(1, 0)
				skipped, err := Skip(w.Context(), w.s, readers, "a", p, w.clock.Now())
				if err != nil || skipped.Position != 3 {
					t.Fatal(skipped, err)
				}
				wait(poll + time.Second)
				without := map[gotong.Partition][]uint64{p: {3}}
				w.tallied("a", "as", without)
				w.logged(1, 1)
				if r.Stopped() != nil {
					t.Error(r.Stopped())
				}
				if _, err := Skip(w.Context(), w.s, readers, "a", p, w.clock.Now()); err == nil {
					t.Error("skipped again")
				}
				stop()
				w.check(Rebuild(w.Context(), w.s, readers, "a"))
				defer w.start(w.runner(readers))()
				wait(time.Second)
				w.tallied("a", "as", without)
			})
		})
	}
}

// A reader that stopped goes on after a restart with a program that can process
// the event.
func TestCorrectedReaderGoesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		for range 6 {
			w.commit(1, nil)
		}
		stop := w.start(w.runner([]Reader{tally("a", "as", func(c Commit) bool { return c.Position == 5 })}))
		wait(time.Second)
		stop()
		readers := []Reader{tally("a", "as", nil)}
		r := w.runner(readers)
		defer w.start(r)()
		wait(time.Second)
		w.tallied("a", "as", nil)
		list, err := List(w.Context(), w.s, readers)
		if err != nil || r.Stopped() != nil || list[0].Stop != nil {
			t.Errorf("%v %v %+v", err, r.Stopped(), list)
		}
	})
}

// A damaged commit stops every reader of the partition, and can be passed.
func TestDamagedCommitStopsReaders(t *testing.T) {
	inWorld(t, func(w *world) {
		var p gotong.Partition
		for range 4 {
			p = w.commit(1, nil).Partition
		}
		w.s.Lose("thread/1", 3)
		readers := []Reader{tally("a", "as", nil), tally("b", "bs", nil)}
		r := w.runner(readers)
		defer w.start(r)()
		wait(time.Second)
		if n := len(r.Stopped()); n != 2 {
			t.Fatalf("%d readers stopped", n)
		}
		for _, name := range []string{"a", "b"} {
			_, err := Skip(w.Context(), w.s, readers, name, p, w.clock.Now())
			w.check(err)
		}
		wait(2 * poll)
		w.tallied("a", "as", map[gotong.Partition][]uint64{p: {3}})
		w.tallied("b", "bs", map[gotong.Partition][]uint64{p: {3}})
	})
}

// A rebuild, while the runner runs, makes the same documents again and no job of
// a position that the reader had processed; jobs that exist stay.
// A cursor beyond the end of the log would wait for ever, and nobody would notice.
// A rebuild ends that, and later positions have their jobs.
func TestCursorBeyondTheLog(t *testing.T) {
	inWorld(t, func(w *world) {
		readers := []Reader{tally("a", "as", nil)}
		first := w.commit(1, nil)
		w.check(w.s.Advance(w.Context(), store.Step{Reader: "a", Partition: first.Partition, To: 1000}))
		r := w.runner(readers)
		defer w.start(r)()
		wait(time.Second)
		if stops := r.Stopped(); len(stops) != 1 || stops[0].Partition != first.Partition {
			t.Fatalf("%+v", stops)
		}
		w.check(Rebuild(w.Context(), w.s, readers, "a"))
		wait(2 * poll)
		w.commit(1, r)
		wait(time.Second)
		jobs, err := Jobs(w.Context(), w.s, false, 0)
		w.check(err)
		if stops := r.Stopped(); len(stops) != 0 || len(jobs) != 1 {
			t.Errorf("%+v, %+v", stops, jobs)
		}
	})
}

func TestRebuild(t *testing.T) {
	inWorld(t, func(w *world) {
		readers := []Reader{tally("a", "as", nil), tally("b", "bs", nil)}
		r := w.runner(readers)
		defer w.start(r)()
		for i := range 40 {
			w.commit(i%5, r)
		}
		wait(time.Second)
		stray := gotong.Key{Collection: "as", Owner: "p99", Name: "tally"}
		at := store.CursorKey{Reader: "a", Partition: 0}
		snap, err := w.s.Load(w.Context(), store.Need{Cursors: []store.CursorKey{at}})
		w.check(err)
		w.check(w.s.Advance(w.Context(), store.Step{
			Reader: "a", From: snap.Cursors[at], To: snap.Cursors[at], Changes: []store.Change{{Key: stray, Body: []byte(`{}`)}},
		}))
		jobs, err := Jobs(w.Context(), w.s, false, 0)
		w.check(err)
		done := slices.DeleteFunc(jobs, func(j store.Job) bool { return j.Queue != "a" })[0]
		w.check(w.s.SettleJob(w.Context(), done, nil)) // must not come again
		for range 2 {                                  // the second without a commit in between
			w.check(Rebuild(w.Context(), w.s, readers, "a"))
			wait(2 * poll)
		}
		w.check(w.s.Advance(w.Context(), store.Step{ // for the comparison
			Reader: "x", Jobs: []store.Job{{Queue: done.Queue, ID: done.ID}},
		}))
		w.tallied("a", "as", nil)
		w.tallied("b", "bs", nil)
		jobs, err = Jobs(w.Context(), w.s, false, 0)
		w.check(err)
		before := len(jobs)
		w.check(w.s.SettleJob(w.Context(), done, nil))
		w.check(Rebuild(w.Context(), w.s, readers, "a"))
		for i := range 40 {
			w.commit(i%5, r)
		}
		wait(2 * poll)
		if jobs, err = Jobs(w.Context(), w.s, false, 0); err != nil || len(jobs) != before-1+40 {
			t.Errorf("%d jobs, want %d: each reader makes 20 of the new commits (%v)", len(jobs), before-1+40, err)
		}
		if err := Rebuild(w.Context(), w.s, readers, "none"); err == nil {
			t.Error("a reader that does not exist was rebuilt")
		}
	})
}

// A rebuild that broke off pauses the reader until it is run again.
func TestRebuildThatBrokeOff(t *testing.T) {
	inWorld(t, func(w *world) {
		readers := []Reader{tally("a", "as", nil)}
		r := w.runner(readers)
		defer w.start(r)()
		for i := range 20 {
			w.commit(i%5, r)
		}
		wait(time.Second)
		jobs, err := Jobs(w.Context(), w.s, false, 0)
		w.check(err)
		w.check(w.s.SettleJob(w.Context(), jobs[0], nil)) // must not come again
		w.s.Fail(storetest.OpAdvance, 2, errBroken)
		if err := Rebuild(w.Context(), w.s, readers, "a"); err == nil {
			t.Fatal("it did not break off")
		}
		wait(2 * poll)
		list, err := List(w.Context(), w.s, readers)
		w.check(err)
		for _, s := range list {
			if s.Cursor != 0 || !s.Clearing || s.Quiet == 0 {
				t.Errorf("%+v", s)
			}
		}
		w.check(Rebuild(w.Context(), w.s, readers, "a"))
		wait(2 * poll)
		if left, err := Jobs(w.Context(), w.s, false, 0); err != nil || len(left) != len(jobs)-1 {
			t.Errorf("%d jobs, want %d (%v)", len(left), len(jobs)-1, err)
		}
		w.check(w.s.Advance(w.Context(), store.Step{Reader: "x", Jobs: jobs[:1]})) // for the comparison
		w.tallied("a", "as", nil)
	})
}

// Nodes share the partitions; when one ends, or hangs, the others run all.
func TestNodesShareThePartitions(t *testing.T) {
	for name, end := range map[string]func(stop func(), s *storetest.Faulty){
		"one ends": func(stop func(), _ *storetest.Faulty) { stop() },
		"one cannot reach the store": func(_ func(), s *storetest.Faulty) {
			for nth := range 10_000 {
				for _, op := range []storetest.Op{storetest.OpLoad, storetest.OpAdvance, storetest.OpRead, storetest.OpSetRegister} {
					s.Fail(op, nth+1, errBroken)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				readers := []Reader{tally("a", "as", nil)}
				other := storetest.NewFaulty(w.s)
				one, two := w.runnerWith(Options{Shared: true, Version: "1"}, readers), w.runnerWith(Options{Shared: true, Version: "2", Store: other}, readers)
				defer w.start(one)()
				stop := w.start(two)
				for i := range 60 {
					w.commit(i%30, one)
				}
				wait(3 * poll)
				w.tallied("a", "as", nil)
				mine := map[*Runner]int{}
				for _, r := range []*Runner{one, two} {
					for _, p := range r.parts {
						p.mu.Lock()
						if p.mine {
							mine[r]++
						}
						p.mu.Unlock()
					}
				}
				if mine[one]+mine[two] != gotong.Partitions {
					t.Errorf("the nodes have %d and %d partitions", mine[one], mine[two])
				}
				shown, err := Nodes(t.Context(), w.s)
				for _, n := range shown {
					of := map[string]*Runner{"1": one, "2": two}[n.Version]
					if n.Name != of.node || len(n.Partitions) != mine[of] || w.clock.Now().Sub(n.At) > poll {
						t.Errorf("%+v, of %d", n, mine[of])
					}
				}
				if err != nil || len(shown) != 2 {
					t.Errorf("%d nodes, %v", len(shown), err)
				}
				end(stop, other)
				wait(presence + 2*poll)
				for i := range 60 {
					w.commit(i%30, one)
				}
				wait(poll)
				w.tallied("a", "as", nil)
				if name != "one ends" {
					stop()
				}
			})
		})
	}
}

func TestOwnerOf(t *testing.T) {
	nodes := []string{"a", "b", "c"}
	owned := map[string]int{}
	for p := range gotong.Partition(gotong.Partitions) {
		owner := ownerOf(p, nodes)
		owned[owner]++
		if without := ownerOf(p, slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return n == "b" })); owner != "b" && without != owner {
			t.Errorf("partition %d moves from %s to %s when b ends", p, owner, without)
		}
	}
	if len(owned) != 3 || ownerOf(1, nil) != "" {
		t.Error(owned)
	}
}
