package surreal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// nodes is how many stores share one database in the tests.
const nodes = 3

// everywhere opens a store for each node and runs f on all at once.
func everywhere(t *testing.T, e surrealtest.Engine, f func(node int, s *Store) error) []*Store {
	t.Helper()
	cfg := surrealtest.Start(t, e)
	stores := make([]*Store, nodes)
	for i := range stores {
		stores[i] = opened(t, cfg, Options{})
	}
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() {
			if err := f(i, s); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	return stores
}

// TestNodesShareAStream: nodes that write to the same streams at once lose
// nothing and repeat nothing; positions have no gaps and every node reads one
// order.
func TestNodesShareAStream(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		const each, home = 25, gotong.Stream("group/g")
		var acked sync.Map
		stores := everywhere(t, e, func(node int, s *Store) error {
			for n := 0; n < each; {
				stream := gotong.Stream(fmt.Sprint("thread/", n%2))
				snap, err := s.Load(t.Context(), store.Need{Heads: []gotong.Stream{stream}})
				if err != nil {
					return err
				}
				c := storetest.Build(s.Epoch(), storetest.Draft{
					Stream: stream, Home: home, Prev: snap.Heads[stream], Events: 1, RequestID: fmt.Sprint(node, "-", n),
				})
				out, err := s.Commit(t.Context(), []store.Commit{c})
				if err != nil {
					return err
				}
				if out[0].Status == store.Committed {
					acked.Store(c.Events[0].ID, out[0].Record)
					n++
				}
			}
			return nil
		})
		p := gotong.PartitionOf(home)
		for i, s := range stores {
			rows, err := s.ReadPartition(t.Context(), p, 0, math.MaxUint64, 0)
			check(t, err)
			if len(rows) != nodes*each {
				t.Errorf("node %d reads %d events", i, len(rows))
			}
			for at, row := range rows {
				record, ok := acked.Load(row.ID)
				if row.Position != uint64(at+1) || !ok || record.(store.Record).Position != row.Position {
					t.Fatalf("node %d: %s at %d is %+v", i, row.ID, row.Position, record)
				}
			}
		}
	})
}

// TestNodesShareAPartition: nodes that write batches of several sizes to streams
// of their own in one home get positions without gaps, each once.
func TestNodesShareAPartition(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		const batches, home = 20, gotong.Stream("group/g")
		var mu sync.Mutex
		acked := map[uint64]gotong.EventID{}
		stores := everywhere(t, e, func(node int, s *Store) error {
			m := storetest.NewMaker(s.Epoch())
			for n := range batches {
				batch := make([]store.Commit, 1+(n+node)%4)
				for i := range batch {
					batch[i] = m.Next(storetest.Draft{Stream: gotong.Stream(fmt.Sprint("thread/", node)), Home: home, Events: 1})
				}
				out, err := s.Commit(t.Context(), batch)
				if err != nil {
					return err
				}
				mu.Lock()
				for i := range out {
					acked[out[i].Record.Position] = batch[i].Events[0].ID
				}
				mu.Unlock()
			}
			return nil
		})
		rows, err := stores[0].ReadPartition(t.Context(), gotong.PartitionOf(home), 0, math.MaxUint64, 0)
		check(t, err)
		for at, row := range rows {
			if row.Position != uint64(at+1) || acked[row.Position] != row.ID {
				t.Fatalf("place %d: position %d, event %s, told %s", at+1, row.Position, row.ID, acked[row.Position])
			}
		}
		if want := nodes * batches * 10 / 4; len(rows) != want || len(acked) != want {
			t.Errorf("%d events, %d told, want %d", len(rows), len(acked), want)
		}
	})
}

// slowly are the ways in which a document things/o/n comes to be there, each in
// a transaction that lasts.
var slowly = map[string]func(ctx context.Context, s *Store) error{
	"alone": func(ctx context.Context, s *Store) error {
		_, err := s.alone(ctx, []string{"SLEEP 400ms", "CREATE doc_things:['o', 'n'] SET body = '{}'"}, surreal.Vars{})
		return err
	},
	"commit": func(ctx context.Context, s *Store) error {
		batch := []store.Commit{storetest.Build(s.Epoch(), storetest.Draft{
			Stream: "thread/a", Events: 1, Changes: []store.Change{{Key: nThing, Body: []byte("{}")}},
		})}
		return s.gated(ctx, func(gate surreal.RecordID) error {
			w := decide(s.guess(batch), batch, nil, nil).render(gate)
			_, err := s.db.Transact(ctx, slices.Insert(w.statements, 1, "SLEEP 400ms"), w.vars)
			return err
		})
	},
}

var nThing = gotong.Key{Collection: "things", Owner: "o", Name: "n"}

// TestSealWaits: a transaction that had begun before the seal does not end after
// it.
func TestSealWaits(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		for name, write := range slowly {
			t.Run(name, func(t *testing.T) { sealWaits(t, surrealtest.Start(t, e), write) })
		}
	})
}

func sealWaits(t *testing.T, cfg surreal.Config, write func(context.Context, *Store) error) {
	t.Helper()
	slow, sealer := opened(t, cfg, Options{}), opened(t, cfg, Options{})
	there := func() bool {
		snap, err := sealer.Load(t.Context(), store.Need{Documents: []gotong.Key{nThing}})
		check(t, err)
		return snap.Documents[nThing] != nil
	}
	done := make(chan error, 1)
	go func() { done <- write(t.Context(), slow) }()
	for len(slow.gates) == maxGates { // until it runs
		runtime.Gosched()
	}
	check(t, operator(t, cfg).Exec(t.Context(), "SLEEP 100ms", nil)) // until it has begun in the database
	check(t, sealer.Seal(t.Context(), "elsewhere"))
	before := there()
	err := <-done
	refused := errors.Is(err, store.ErrSealed) || surreal.Conflict(err)
	if after := there(); after != before || after != (err == nil) || err != nil && !refused {
		t.Errorf("there before the seal %v, after %v: %v", before, after, err)
	}
}

// TestNodesRace: over several nodes one request has one effect, one claim one
// owner, and of two commits that each rest on the other's stream one happens.
func TestNodesRace(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		const rounds = 20
		var mu sync.Mutex
		fates := map[string]map[store.Status]int{}
		tell := func(what string, s store.Status) {
			mu.Lock()
			defer mu.Unlock()
			if fates[what] == nil {
				fates[what] = map[store.Status]int{}
			}
			fates[what][s]++
		}
		var gate [rounds]sync.WaitGroup // so that all nodes are in the same round
		for i := range gate {
			gate[i].Add(nodes)
		}
		everywhere(t, e, func(node int, s *Store) error {
			for round := range rounds {
				gate[round].Done()
				gate[round].Wait()
				name := func(kind string, n int) gotong.Stream {
					return gotong.Stream(fmt.Sprintf("thread/%s-%d-%d", kind, round, n%nodes))
				}
				for what, d := range map[string]storetest.Draft{
					"twins":  {Stream: name("twin", 0), RequestID: "same"},
					"claims": {Stream: name("claim", node), Claims: []gotong.Claim{{Space: "s", Name: fmt.Sprint(round)}}},
					"skew":   {Stream: name("skew", node), Others: []store.Expectation{{Stream: name("skew", node+1)}, {Stream: name("skew", node+2)}}},
				} {
					d.Events = 1
					out, err := s.Commit(t.Context(), []store.Commit{storetest.Build(s.Epoch(), d)})
					if err != nil {
						return err
					}
					tell(what, out[0].Status)
				}
			}
			return nil
		})
		for what, loser := range map[string]store.Status{"twins": store.Replayed, "claims": store.Taken, "skew": store.Moved} {
			if got := fates[what]; got[store.Committed] != rounds || got[loser] != rounds*(nodes-1) {
				t.Errorf("%s: %v", what, got)
			}
		}
	})
}

// TestOtherEpoch: a node that still runs when a new epoch begins writes nothing
// more, and says so: nobody could read it.
func TestOtherEpoch(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		left, tool := opened(t, cfg, Options{}), opened(t, cfg, Options{})
		m := storetest.NewMaker(left.Epoch())
		commitOne(t, left, m, storetest.Draft{Stream: "thread/a", Events: 1})
		check(t, tool.Renew(t.Context(), "another0"))
		for range 2 { // as it was expected, and after a look
			out, err := left.Commit(t.Context(), []store.Commit{m.Peek(storetest.Draft{Stream: "thread/a", Events: 1})})
			if !errors.Is(err, store.ErrFailed) {
				t.Errorf("commit: %+v, %v", out, err)
			}
		}
		key := gotong.Key{Collection: "session", Owner: "u", Name: "n"}
		if err := left.SetRegister(t.Context(), key, 0, []byte("x"), 0); !errors.Is(err, store.ErrFailed) {
			t.Errorf("register: %v", err)
		}
		if _, err := left.Positions(t.Context()); !errors.Is(err, store.ErrFailed) {
			t.Errorf("positions: %v", err)
		}
		m.Epoch = tool.Epoch()
		commitOne(t, tool, m, storetest.Draft{Stream: "thread/a", Events: 1})
	})
}
