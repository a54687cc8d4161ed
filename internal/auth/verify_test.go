package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/store"
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

func TestNobodyGetsInWithoutTheStore(t *testing.T) {
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

func TestOneLookForManyCallers(t *testing.T) {
	h, c := countedHouse(t)
	g := h.signUp(t, siti("r1"))
	if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
		t.Fatal(err)
	}
	h.pass(recheck)
	before := c.reads.Load()
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
	// The callers that come too late for the first look find its verdict.
	if n := c.reads.Load() - before; n > 8 {
		t.Errorf("%d reads for one token", n)
	}
}

func TestVerdictsAreBounded(t *testing.T) {
	v := newVerified()
	for i := range 4 * 16 * maxShard {
		v.put([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, verdict{})
	}
	total := 0
	for i := range v.shards {
		total += len(v.shards[i].now) + len(v.shards[i].old)
	}
	if total > 2*16*maxShard {
		t.Errorf("%d verdicts", total)
	}
}

func TestNames(t *testing.T) {
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
	c.fail.Store(true)
	if got := h.Names(t.Context(), ids); len(got) != 0 {
		t.Errorf("%v from nowhere", got)
	}
	c.fail.Store(false)
	if got := h.Names(t.Context(), ids); !maps.Equal(got, want) {
		t.Errorf("a failure was remembered: %v", got)
	}
}

func TestNamesAreBounded(t *testing.T) {
	n := newNames()
	for i := range 4 * maxNames {
		n.put(fmt.Sprint(i), named{})
	}
	if got := len(n.now) + len(n.old); got > 2*maxNames {
		t.Errorf("%d names", got)
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
