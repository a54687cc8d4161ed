package copy_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"gotong.dev/gotong"
	logcheck "gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/store"
)

// growing is a store that is written to before each read, whose pages are small.
type growing struct {
	store.Whole
	reads int
	grow  func()
}

func (g *growing) next() {
	if g.reads++; g.reads > 50_000 {
		panic("a check that does not end")
	}
	g.grow()
}

func (g *growing) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	g.next()
	return g.Whole.Load(ctx, need)
}

func (g *growing) Rows(ctx context.Context, section store.Section, after string, _ int) (store.Rows, error) {
	g.next()
	return g.Whole.Rows(ctx, section, after, 4)
}

func (g *growing) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, _ int,
) ([]store.Event, error) {
	g.next()
	return g.Whole.ReadPartition(ctx, p, from, to, 10)
}

// TestLogInUseHasNoFaults: a log in which users run all commands has no faults
// while it is checked, in one part or in several.
func TestLogInUseHasNoFaults(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		s := newMemory()
		pick := rand.New(rand.NewPCG(seed, 9))
		v := newVillage(t, s, pick.IntN)
		v.live(150)
		for _, keys := range []int{0, 100, 1000} {
			left := 150
			g := &growing{Whole: s, grow: func() {
				for left > 0 && pick.IntN(3) > 0 {
					left--
					v.live(1)
				}
			}}
			check(t, logcheck.Run(t.Context(), g, logcheck.Options{
				Codec: options().Codec, MaxKeys: keys, Fault: func(f *logcheck.Fault) {
					if f.Sort != logcheck.Unknown { // more documents than an eighth of keys
						t.Errorf("seed %d, %d keys: %v", seed, keys, f)
					}
				},
			}))
			if left > 0 {
				t.Errorf("seed %d, %d keys: the log did not grow", seed, keys)
			}
		}
		v.close()
	}
}
