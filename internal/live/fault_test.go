package live_test

import (
	"cmp"
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// faulty is a store that fails, waits and lies when told to.
type faulty struct {
	*world
	state struct {
		err   error
		deaf  error // of ReadPartition alone
		gate  chan struct{}
		loads int

		before, after map[int]chan struct{} // by number of the load
	}
}

// hold makes the nth load from now wait, before or after it takes its
// snapshot, until release.
func (f *faulty) hold(n int, after bool) (release func()) {
	gate := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.before == nil {
		f.state.before, f.state.after = map[int]chan struct{}{}, map[int]chan struct{}{}
	}
	if after {
		f.state.after[f.state.loads+n] = gate
	} else {
		f.state.before[f.state.loads+n] = gate
	}
	return func() { close(gate) }
}

func (f *faulty) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.err = err
}

// deafen lets every read of a partition fail.
func (f *faulty) deafen(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.deaf = err
}

func (f *faulty) block() (release func()) {
	gate := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.gate = gate
	return func() {
		f.mu.Lock()
		f.state.gate = nil
		f.mu.Unlock()
		close(gate)
	}
}

func (f *faulty) loads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.loads
}

func (f *faulty) call() error {
	f.mu.Lock()
	gate, err := f.state.gate, f.state.err
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return err
}

func (f *faulty) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	f.mu.Lock()
	f.state.loads++
	before, after := f.state.before[f.state.loads], f.state.after[f.state.loads]
	f.mu.Unlock()
	if before != nil {
		<-before
	}
	if err := f.call(); err != nil {
		return store.Snapshot{}, err
	}
	snap, err := f.world.Load(ctx, need)
	if after != nil {
		<-after
	}
	return snap, err
}

func (f *faulty) Positions(ctx context.Context) ([gotong.Partitions]uint64, error) {
	if err := f.call(); err != nil {
		return [gotong.Partitions]uint64{}, err
	}
	return f.world.Positions(ctx)
}

func (f *faulty) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) ([]store.Event, error) {
	f.mu.Lock()
	deaf := f.state.deaf
	f.mu.Unlock()
	if err := cmp.Or(f.call(), deaf); err != nil {
		return nil, err
	}
	return f.world.ReadPartition(ctx, p, from, to, limit)
}
