package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// counted counts reads, and fails where it is told to.
type counted struct {
	Store
	reads atomic.Int64
	fail  atomic.Bool
}

func (c *counted) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	c.reads.Add(1)
	if c.fail.Load() {
		return store.Snapshot{}, errors.New("gone")
	}
	return c.Store.Load(ctx, need)
}

// gathering lets nobody write a ticket's register, once it is on, before all
// have read it.
type gathering struct {
	Store
	on      atomic.Bool
	missing atomic.Int64
	all     chan struct{}
}

func (g *gathering) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := g.Store.Load(ctx, need)
	if len(need.Registers) > 0 && need.Registers[0].Collection == ticketsName && g.on.Load() {
		if g.missing.Add(-1) == 0 {
			close(g.all)
		}
		<-g.all
	}
	return snap, err
}

// countedHouse is a house whose reads are counted.
func countedHouse(tb testing.TB) (*house, *counted) {
	tb.Helper()
	var c *counted
	h := build(tb, func(o *Options) { c = &counted{Store: o.Store}; o.Store = c })
	return h, c
}

// An address that a database cannot look for belongs to nobody.
func TestASignInWithNULReadsNothing(t *testing.T) {
	h, c := countedHouse(t)
	_, err := h.signIn(t.Context(), SignIn{Email: "a\x00@example.org", Pass: "hujan-deras-2026"})
	if gotong.CodeOf(err) != gotong.CodeUnauthorized || c.reads.Load() > 0 {
		t.Errorf("%v after %d reads", err, c.reads.Load())
	}
}

func TestVerdictsAreKeptForASecond(t *testing.T) {
	h, c := countedHouse(t)
	g := h.signUp(t, siti("r1"))
	verify := func() int64 {
		t.Helper()
		before := c.reads.Load()
		if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
			t.Fatal(err)
		}
		return c.reads.Load() - before
	}
	if verify() == 0 {
		t.Error("the first look read nothing")
	}
	h.pass(recheck - time.Microsecond)
	if n := verify(); n != 0 {
		t.Errorf("%d reads within the second", n)
	}
	h.pass(time.Microsecond)
	if verify() == 0 {
		t.Error("no read after the second")
	}
	for name, steps := range clocktest.Steps() {
		for _, step := range steps {
			h.clock.Step(step)
		}
		if n := verify(); n != 0 {
			t.Errorf("%s: %d reads though no time passed", name, n)
		}
		h.pass(recheck)
		if verify() == 0 {
			t.Errorf("%s: no read after the second", name)
		}
		for _, step := range steps {
			h.clock.Step(-step)
		}
	}
}

func TestEveryTokenIsRejectedIfTheStoreFails(t *testing.T) {
	h, c := countedHouse(t)
	g := h.signUp(t, siti("r1"))
	if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
		t.Fatal(err)
	}
	h.pass(recheck)
	c.fail.Store(true)
	_, err := h.Verify(t.Context(), g.AccessToken)
	wantCode(t, err, gotong.CodeBusy)
	_, err = h.refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, gotong.CodeBusy)
	c.fail.Store(false)
	if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
		t.Error(err)
	}
}

func TestConcurrentCallersShareOneCheck(t *testing.T) {
	h, c := countedHouse(t)
	g := h.signUp(t, siti("r1"))
	if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
		t.Fatal(err)
	}
	h.pass(recheck)
	before := c.reads.Load()
	if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
		t.Fatal(err)
	}
	one := c.reads.Load() - before
	h.pass(recheck)
	before = c.reads.Load()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			<-start
			if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	// The callers that come too late for the check find its verdict.
	if n := c.reads.Load() - before; n != one {
		t.Errorf("%d reads for one token, want %d", n, one)
	}
}

func TestNamesAreReadOnce(t *testing.T) {
	h, c := countedHouse(t)
	want := map[string]string{}
	ids := []string{"import:Budi", "anonymous", "unknown", "no id at all"}
	for i := range 3 {
		r := siti(fmt.Sprint("r", i))
		r.Email, r.Username = fmt.Sprintf("w%d@example.org", i), fmt.Sprint("warga", i)
		g := h.signUp(t, r)
		want[g.UserID] = r.Username
		ids = append(ids, g.UserID, g.UserID)
	}
	if got := h.Names(t.Context(), ids); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	before := c.reads.Load()
	h.pass(nameLife - time.Microsecond)
	h.Names(t.Context(), ids)
	if n := c.reads.Load() - before; n != 0 {
		t.Errorf("%d reads within the minute", n)
	}
	h.pass(time.Microsecond)
	before = c.reads.Load()
	for _, id := range ids {
		name, known := h.Known(id)
		if remembered := strings.HasPrefix(id, "import:") || id == "no id at all"; name != want[id] || known != remembered {
			t.Errorf("%s: %q, known %v, after the minute", id, name, known)
		}
	}
	if n := c.reads.Load() - before; n != 0 {
		t.Errorf("%d reads for what is known", n)
	}
	late := siti("late")
	late.Email, late.Username = "late@example.org", "terlambat"
	id := h.signUp(t, late).UserID
	c.fail.Store(true)
	if got := h.Names(t.Context(), append(ids, id)); !maps.Equal(got, want) {
		t.Errorf("%v while the store does not answer, want %v", got, want)
	}
	c.fail.Store(false)
	if got := h.Names(t.Context(), []string{id}); got[id] != late.Username {
		t.Errorf("a failure was remembered: %v", got)
	}
}

// A cache holds no more than its two halves, and always the entries of the last
// half.
func TestCachesAreBounded(t *testing.T) {
	h := build(t, nil)
	check := func(name string, half int, put func(i int), size func() int, has func(i int) bool) {
		many := 2*half + half/2
		for i := range many {
			put(i)
		}
		if n := size(); half == 0 || n > 2*half {
			t.Errorf("%s: %d entries in halves of %d", name, n, half)
		}
		for i := many - half; i < many; i++ {
			if !has(i) {
				t.Fatalf("%s: entry %d of %d is gone", name, i, many)
			}
		}
	}
	r := &h.names.recent
	check("names", maxNames, func(i int) { r.put(fmt.Sprint(i), named{}) },
		func() int { return len(r.now) + len(r.old) }, func(i int) bool { _, ok := r.get(fmt.Sprint(i)); return ok })
	u := &h.verified.used
	check("logins", maxUsed, func(i int) { u.put(fmt.Sprint(i), 0) },
		func() int { return len(u.now) + len(u.old) }, func(i int) bool { _, ok := u.get(fmt.Sprint(i)); return ok })
	key := func(i int) [32]byte { return [32]byte{7, byte(i), byte(i >> 8)} } // of one shard
	v := h.verified.shard(key(0))
	check("verdicts", maxShard, func(i int) { h.verified.shard(key(i)).put(key(i), verdict{}) },
		func() int { return len(v.now) + len(v.old) }, func(i int) bool { _, ok := v.get(key(i)); return ok })
}

// However many others come, an entry that is used stays and one that is not used
// goes.
func TestUsedEntriesStay(t *testing.T) {
	r := recent[int, string]{half: 4}
	r.put(-1, "used")
	r.put(-2, "unused")
	for i := range 100 {
		r.put(i, "other")
		if v, ok := r.get(-1); !ok || v != "used" {
			t.Fatalf("gone after %d others", i+1)
		}
		if n := len(r.now) + len(r.old); n > 8 {
			t.Fatalf("%d entries", n)
		}
	}
	if _, ok := r.get(-2); ok {
		t.Error("an entry that is not used stays")
	}
}

func BenchmarkVerifyCached(b *testing.B) {
	h := build(b, nil)
	g := h.signUp(b, siti("r1"))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := h.Verify(b.Context(), g.AccessToken); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerifyChecked(b *testing.B) {
	h := build(b, nil)
	g := h.signUp(b, siti("r1"))
	b.ReportAllocs()
	for b.Loop() {
		h.pass(recheck)
		h.clock.Step(-recheck) // so that the token does not expire
		if _, err := h.Verify(b.Context(), g.AccessToken); err != nil {
			b.Fatal(err)
		}
	}
}

// A check that began before a logout does not answer a call that came after it.
func TestACheckFromBeforeALogoutIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *storetest.Faulty
		h := build(t, func(o *Options) {
			f = storetest.NewFaulty(o.Store.(store.Whole))
			o.Store = f
		})
		g := h.signUp(t, siti("r1"))
		p, err := h.Verify(t.Context(), g.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		h.verified.forget(p.UserID)
		account := f.HoldAfter(storetest.OpLoad, 2) // the login has been read
		answers := make(chan error, 2)
		verify := func() {
			_, err := h.Verify(t.Context(), g.AccessToken)
			answers <- err
		}
		go verify()
		synctest.Wait()
		if err := h.Logout(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		go verify()
		synctest.Wait()
		account.Release()
		for range 2 {
			wantCode(t, <-answers, gotong.CodeUnauthorized)
		}
	})
}
