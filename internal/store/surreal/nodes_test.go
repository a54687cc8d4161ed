package surreal

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// slowly are the ways to write the document things/o/n, each in a transaction that
// takes a while.
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
			guess := s.guess(batch)
			p := plan{store.Decide(&guess.View, batch), guess.epoch}
			w := p.render(gate)
			_, err := s.db.Transact(ctx, slices.Insert(w.statements, 1, "SLEEP 400ms"), w.vars)
			return err
		})
	},
}

var nThing = gotong.Key{Collection: "things", Owner: "o", Name: "n"}

// TestSealWaitsForTransactionsThatHaveBegun: a transaction that has begun before
// the seal does not end after it.
func TestSealWaitsForTransactionsThatHaveBegun(t *testing.T) {
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
