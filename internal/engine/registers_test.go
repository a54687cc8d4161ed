package engine_test

import (
	"context"
	"errors"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

var secret = gotong.Key{Collection: "secrets", Owner: "ani"}

// setting is a command that also sets the secret.
func setting(request string, expect uint64, body string) gotong.Command {
	c := command(one, "ani", request, add{N: 1})
	c.Registers = []gotong.RegisterChange{{Key: secret, Expect: expect, Body: []byte(body)}}
	return c
}

func wantSecret(t *testing.T, s store.Loader, body string, version uint64) {
	t.Helper()
	r, err := store.ReadRegister(t.Context(), s, secret)
	if err != nil || string(r.Body) != body || r.Version != version {
		t.Errorf("the register is %q in version %d, %v; want %q in %d", r.Body, r.Version, err, body, version)
	}
}

func TestRegistersAreSetWithTheCommit(t *testing.T) {
	r := newRig(t, newMemory(t))
	r.must(t, setting("r1", 0, "first"))
	wantSecret(t, r.store, "first", 1)
	if again := r.must(t, setting("r1", 1, "reset")); !again.Replayed {
		t.Errorf("%+v", again)
	}
	wantSecret(t, r.store, "first", 1)
	_, err := r.Execute(t.Context(), setting("r2", 0, "lost"))
	if gotong.CodeOf(err) != gotong.CodeConflict {
		t.Errorf("%v, want a conflict", err)
	}
	wantSecret(t, r.store, "first", 1)
	if n := len(r.log(t, one)); n != 1 {
		t.Errorf("%d events", n)
	}
	r.must(t, setting("r2", 1, "second")) // a rejection is not recorded
	wantSecret(t, r.store, "second", 2)
}

// A fault of the commit sets the register and writes the events, or neither; a
// repetition ends in one event and one change.
func TestFaultsSetRegistersOnce(t *testing.T) {
	for name, plan := range map[string]struct {
		fail     func(*storetest.Faulty, storetest.Op, int, error)
		replayed bool
	}{
		"failed":               {(*storetest.Faulty).Fail, false},
		"failed but persisted": {(*storetest.Faulty).FailAfter, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.NewFaulty(newMemory(t))
			r := newRig(t, s)
			plan.fail(s, storetest.OpCommit, 1, errors.New("no answer"))
			if _, err := r.Execute(t.Context(), setting("r1", 0, "first")); gotong.CodeOf(err) != gotong.CodeBusy {
				t.Fatalf("%v, want that the outcome is unknown", err)
			}
			if got := r.must(t, setting("r1", 0, "first")); got.Replayed != plan.replayed {
				t.Errorf("%+v", got)
			}
			wantSecret(t, r.store, "first", 1)
			if n := len(r.log(t, one)); n != 1 {
				t.Errorf("%d events", n)
			}
		})
	}
}

// changing sets the secret before each of the first commits, behind the
// engine's back, and takes it away again before the next decision.
type changing struct {
	*storetest.Faulty
	left, commits int
}

// Submit does not block: it may be called while the store answers, and the
// store sets no register meanwhile.
func (c *changing) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	c.commits++
	if c.left == 0 {
		c.Faulty.Submit(ctx, batch, announce, done)
		return
	}
	c.left--
	go func() {
		if err := c.SetRegister(ctx, secret, 0, []byte("theirs"), 0); err != nil {
			done(nil, err)
			return
		}
		out, err := store.CommitAll(ctx, c.Faulty, batch)
		done(out, errors.Join(err, c.SetRegister(ctx, secret, 1, nil, 0)))
	}()
}

func TestStaleCommitsAreDecidedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		stale, commits int
		code           gotong.Code
	}{
		"twice":   {2, 3, ""},
		"forever": {1000, 16, gotong.CodeBusy},
	} {
		t.Run(name, func(t *testing.T) {
			s := &changing{Faulty: storetest.NewFaulty(newMemory(t)), left: tc.stale}
			r := newRig(t, s)
			_, err := r.Execute(t.Context(), setting("r1", 0, "ours"))
			if gotong.CodeOf(err) != tc.code && (err != nil || tc.code != "") {
				t.Errorf("%v, want %q", err, tc.code)
			}
			if s.commits != tc.commits {
				t.Errorf("%d commits, want %d", s.commits, tc.commits)
			}
		})
	}
}
