package audit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// between is the store of a world as one node sees it. before runs before the nth
// read of a snapshot, as another node would between two reads; stale replaces what
// that read returns.
type between struct {
	*memory.Store
	nth, reads int
	before     func()
	stale      func(*store.Snapshot)
}

func (b *between) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	b.reads++
	if b.reads == b.nth && b.before != nil {
		b.before()
	}
	snap, err := b.Store.Load(ctx, need)
	if b.reads == b.nth && b.stale != nil {
		b.stale(&snap)
	}
	return snap, err
}

// eachRead runs a test once for every read of a snapshot, from this one on. The test
// returns how many reads there were.
func eachRead(t *testing.T, from int, test func(t *testing.T, nth int) (reads int)) {
	t.Helper()
	for nth, reads := from, from; nth <= reads; nth++ {
		t.Run(fmt.Sprint(nth), func(t *testing.T) { reads = test(t, nth) })
	}
}

// While a node begins, signs or agrees on an instance, the log grows between any
// two of its reads, and another node signs what is new: neither is a rollback.
func TestLogGrowsBetweenReads(t *testing.T) {
	// The first read at a start decides whether the log is still empty.
	for name, from := range map[string]int{"a directory of its own": 2, "a shared directory": 1} {
		t.Run(name, func(t *testing.T) {
			eachRead(t, from, func(t *testing.T, nth int) int {
				t.Helper()
				w := living(t, 11, 0)
				dir := filepath.Join(t.TempDir(), "c")
				a := open(t, w.options(dir))
				step := func(k *Keeper) {
					t.Helper()
					if err := k.Step(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				grow := func() {
					w.fill(20)
					w.grow()
					step(a)
				}
				o := w.options(dir)
				if from == 1 {
					grow()
				} else {
					o.Dir, o.Instance = filepath.Join(t.TempDir(), "c"), "other.example.org"
				}
				own := &between{Store: w.live, nth: nth, before: grow}
				o.Store = own
				b := open(t, o)
				grow()
				step(b)
				step(b)
				for p, n := range w.commits {
					if got := b.Pinned()[p].Checkpoint; got.Size != uint64(len(n)) || got.Origin.Instance != "test.example.org" {
						t.Errorf("partition %d has a checkpoint of %s at %d of %d", p, got.Origin.Instance, got.Size, len(n))
					}
				}
				open(t, b.o)
				return own.reads
			})
		})
	}
}

// One read that shows an older log is not believed: neither at a start nor at a
// running node. Two of them are a rollback.
func TestOneReadIsNotBelieved(t *testing.T) {
	older := func(snap *store.Snapshot) {
		snap.Positions, snap.Documents = [gotong.Partitions]uint64{}, nil
	}
	for name, run := range map[string]func(t *testing.T, o Options) error{
		"a start": func(t *testing.T, o Options) error {
			t.Helper()
			_, err := Open(t.Context(), o)
			return err
		},
		"a running node": func(t *testing.T, o Options) error {
			t.Helper()
			own := o.Store.(*between)
			nth := own.nth
			own.nth = 0
			k := open(t, o)
			own.reads, own.nth = 0, nth
			return k.Step(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachRead(t, 1, func(t *testing.T, nth int) int {
				t.Helper()
				w, dir := living(t, 12, 40), filepath.Join(t.TempDir(), "c")
				o := w.options(dir)
				o.New = true
				open(t, o)
				w.fill(20)
				w.grow()
				own := &between{Store: w.live, nth: nth, stale: older}
				o.Store, o.New = own, false
				if err := run(t, o); errors.Is(err, ErrRollback) {
					t.Error(err)
				}
				return own.reads
			})
		})
	}
}
