package check_test

import (
	"context"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// rewritten is a store with an event that was written anew, with a chain that
// fits it and not the event after it.
type rewritten struct {
	*memory.Store
	stream gotong.Stream
	seq    uint64
}

func (r *rewritten) rewrite(rows []store.Event) {
	for i := range rows {
		if e := &rows[i]; e.Stream == r.stream && e.Seq == r.seq {
			e.Audience = "user/eve"
			e.Chain = e.Header(r.Epoch()).Chain()
		}
	}
}

func (r *rewritten) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := r.Store.Load(ctx, need)
	for _, rows := range snap.Events {
		r.rewrite(rows)
	}
	return snap, err
}

func (r *rewritten) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) ([]store.Event, error) {
	rows, err := r.Store.ReadPartition(ctx, p, from, to, limit)
	r.rewrite(rows)
	return rows, err
}

// TestRewrittenEventBreaksTheChain: an event that was rewritten with a matching
// chain value no longer matches the next event, or the head.
func TestRewrittenEventBreaksTheChain(t *testing.T) {
	for seq, want := range map[uint64]string{
		1: "event of box/3, event 2: does not follow the one before it",
		3: "event of box/3, event 4: does not follow the one before it",
		6: "head of box/3: is not the last event",
	} {
		list := faults(t, &rewritten{filled(t, 40), "box/3", seq}, check.Options{})
		if len(list) != 1 || !strings.HasPrefix(list[0], want) {
			t.Errorf("event %d: %q", seq, list)
		}
	}
}
