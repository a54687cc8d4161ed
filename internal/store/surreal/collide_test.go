package surreal

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// TestWritesThatAlwaysCollideAreBusy: a write that loses every repetition to other
// writes gets an error that says that nothing was written, and a caller the code
// with which to repeat it.
func TestWritesThatAlwaysCollideAreBusy(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		s := opened(t, cfg, Options{})
		job := store.Job{Queue: "q", ID: "a", Due: 1}
		check(t, s.Advance(t.Context(), store.Step{Reader: "maker", To: 1, Jobs: []store.Job{job}}))
		db := operator(t, cfg)
		m := storetest.NewMaker(s.Epoch())
		commit := func(stream gotong.Stream) error {
			out, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(storetest.Draft{Stream: stream, Events: 1})})
			if err == nil {
				return fmt.Errorf("%+v", out)
			}
			return err
		}
		collide := func(table, text string) string {
			return "DEFINE EVENT OVERWRITE collide ON " + table + " WHEN true THEN { THROW '" + text + "' }"
		}
		random := "DEFINE FIELD OVERWRITE position ON partition COMPUTED rand::int(1000, 1000000000)" // for each read
		if e == surrealtest.V2 {
			random = "DEFINE FIELD OVERWRITE position ON partition VALUE <future> { rand::int(1000, 1000000000) }; UPDATE partition SET position = 1"
		}
		var running sync.WaitGroup
		for name, fault := range map[string]struct {
			cause string // for all times
			write func() error
		}{
			"a position that has moved": {random, func() error { return commit("thread/a") }},
			"a register": {collide("register", "This transaction can be retried"), func() error {
				return s.SetRegister(t.Context(), gotong.Key{Collection: "c", Owner: "o"}, 0, []byte("x"), 0)
			}},
			"a cursor": {collide("cursor", "Transaction conflict"), func() error {
				return s.Advance(t.Context(), store.Step{Reader: "other", To: 1})
			}},
			"a claim of jobs": {collide("job", "Resource busy; retry the transaction"), func() error {
				_, err := s.ClaimJobs(t.Context(), "q", 10, 20, 1)
				return err
			}},
			"a job": {collide("job", "Resource busy; retry the transaction"), func() error { return s.SettleJob(t.Context(), job, nil) }},
		} {
			check(t, db.Exec(t.Context(), fault.cause, nil))
			running.Go(func() {
				err := fault.write()
				if strings.Contains(name, "moved") && !strings.Contains(fmt.Sprint(err), moved) || !errors.Is(err, store.ErrBusy) || gotong.CodeOf(store.CodedWrite(err)) != gotong.CodeBusy {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		running.Wait()
		if head := headOf(t, s, "thread/a"); head.Exists() {
			t.Errorf("written: %+v", head)
		}
	})
}
