package auth

import (
	"context"
	"errors"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// crashing is a process that ends before, or after, its command commits:
// nothing of what should follow is done.
type crashing struct {
	Store
	Executor
	before, after bool
	dead          bool
}

var errDead = errors.New("the process is gone")

func (c *crashing) Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error) {
	if c.before {
		c.dead = true
		return gotong.Receipt{}, errDead
	}
	r, err := c.Executor.Execute(ctx, cmd)
	if c.after {
		c.dead = true
		return gotong.Receipt{}, errDead
	}
	return r, err
}

func (c *crashing) SetRegister(ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant) error {
	if c.dead {
		return errDead
	}
	return c.Store.SetRegister(ctx, key, expect, body, expires)
}

// crashed is a house in which siti's sign-up with request id r1 was cut off,
// and which has started anew.
func crashed(t *testing.T, before bool) (h *house, userID string) {
	t.Helper()
	var c *crashing
	h = build(t, func(o *Options) {
		c = &crashing{Store: o.Store, Executor: o.Executor, before: before, after: !before}
		o.Store, o.Executor = c, c
	})
	if _, err := h.SignUp(t.Context(), siti("r1")); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	c.before, c.after, c.dead = false, false, false
	return h, gotong.DeriveID("user", "anonymous", "r1")
}

func (h *house) listed(tb testing.TB) int {
	tb.Helper()
	return h.count(tb, pendingName, "signup")
}

func TestCrashBeforeTheAccount(t *testing.T) {
	h, id := crashed(t, true)
	left := func() account {
		t.Helper()
		a, _, err := h.account(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if left().Hash == "" || h.listed(t) != 1 {
		t.Fatal("the crash left nothing")
	}
	// It is no account, and in nobody's way.
	_, err := h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"})
	wantCode(t, err, gotong.CodeUnauthorized)
	other := h.signUp(t, siti("r2"))
	if other.UserID == id || other.Replayed {
		t.Errorf("%+v", other)
	}
	// Too early, it might still be under way.
	h.pass(orphanAge - time.Microsecond)
	if err := h.Sweep(t.Context()); err != nil || left().Hash == "" || h.listed(t) != 1 {
		t.Errorf("swept too early: %v", err)
	}
	h.pass(time.Microsecond)
	for range 2 {
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a := left(); a.Hash != "" || a.Email != "" || a.Username != "" || h.listed(t) != 0 {
		t.Errorf("%+v and %d listed are left", a, h.listed(t))
	}
	if _, err := h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"}); err != nil {
		t.Errorf("another account was swept: %v", err)
	}
	// The request id is free for somebody else.
	budi := siti("r1")
	budi.Email, budi.Username, budi.Pass = "budi@example.org", "budi", "another password"
	if g := h.signUp(t, budi); g.UserID != id {
		t.Errorf("%+v", g)
	}
}

// A sign-up by anybody sweeps what another one left.
func TestSignUpsSweep(t *testing.T) {
	h, id := crashed(t, true)
	h.pass(orphanAge)
	h.signUp(t, siti("r2"))
	if a, _, err := h.account(t.Context(), id); err != nil || a.Hash != "" || h.listed(t) != 0 {
		t.Errorf("%+v, %d listed, %v", a, h.listed(t), err)
	}
}

func TestCrashAfterTheAccount(t *testing.T) {
	h, id := crashed(t, false)
	if h.listed(t) != 1 {
		t.Fatal("the crash left nothing")
	}
	h.pass(2 * orphanAge)
	if err := h.Sweep(t.Context()); err != nil || h.listed(t) != 0 {
		t.Errorf("%d listed, %v", h.listed(t), err)
	}
	if g, err := h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"}); err != nil || g.UserID != id {
		t.Errorf("a good account was swept: %+v, %v", g, err)
	}
	if g := h.signUp(t, siti("r1")); !g.Replayed || g.UserID != id {
		t.Errorf("%+v", g)
	}
}

// late repeats a sign-up between a sweep's look and its deed.
type late struct {
	*house
	body func()
}

func (l *late) SetRegister(ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant) error {
	if f := l.body; f != nil && key.Collection == accountsName {
		l.body = nil
		f()
	}
	return l.store.SetRegister(ctx, key, expect, body, expires)
}

func (l *late) FindRegisters(ctx context.Context, r store.KeyRange) ([]store.Register, error) {
	return l.store.FindRegisters(ctx, r)
}

func (l *late) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	return l.store.Load(ctx, need)
}

func TestASweepHindersNoRepetition(t *testing.T) {
	h, id := crashed(t, true)
	h.pass(2 * orphanAge)
	l := &late{house: h}
	l.body = func() { h.signUp(t, siti("r1")) }
	sweeper, err := New(t.Context(), Options{
		Store: l, Executor: h.engine, Users: users(), Clock: h.clock, Secret: []byte(testSecret), Cost: cheap,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sweeper.Close)
	if err := sweeper.Sweep(t.Context()); err != nil || l.body != nil {
		t.Fatal(err, "nothing was swept")
	}
	if g, err := h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"}); err != nil || g.UserID != id {
		t.Errorf("the account lost its password: %+v, %v", g, err)
	}
	if err := h.Sweep(t.Context()); err != nil || h.listed(t) != 0 {
		t.Errorf("%d listed, %v", h.listed(t), err)
	}
}

func TestRefusedSignUpsAreNotListed(t *testing.T) {
	h := build(t, nil)
	h.signUp(t, siti("r1"))
	_, err := h.SignUp(t.Context(), siti("r2"))
	wantCode(t, err, gotong.CodeExists)
	if h.listed(t) != 0 {
		t.Errorf("%d listed", h.listed(t))
	}
}
