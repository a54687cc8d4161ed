package check_test

import (
	"context"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
)

// restored is a store into which somebody wrote an erased event back.
type restored struct {
	*memory.Store
	event store.Event
}

func (r *restored) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := r.Store.Load(ctx, need)
	for i := range snap.Events {
		for j := range snap.Events[i] {
			if e := &snap.Events[i][j]; e.Stream == r.event.Stream && e.Seq == r.event.Seq {
				e.Erased, e.Content, e.ContentSalt = false, r.event.Content, r.event.ContentSalt
			}
		}
	}
	return snap, err
}

// TestErasedEventWrittenBackIsFound: an erasure that an event names is no
// fault; an erased event that has its content again is one, although it matches
// its commitments.
func TestErasedEventWrittenBackIsFound(t *testing.T) {
	s := memory.New("", memory.Options{})
	t.Cleanup(func() { _ = s.Close() })
	m := storetest.NewMaker(s.Epoch())
	first := m.Next(storetest.Draft{Stream: "thread/a", Events: 3})
	batch := []store.Commit{first, m.Next(storetest.Draft{Stream: "thread/a", Events: 1, Erase: []uint64{2}})}
	if out, err := store.CommitAll(t.Context(), s, batch); err != nil || out[1].Status != store.Committed {
		t.Fatal(out, err)
	}
	run := func(s check.Store) (list []string) {
		err := check.Run(t.Context(), s, check.Options{Fault: func(f *check.Fault) { list = append(list, f.Error()) }})
		if err != nil {
			t.Error(err)
		}
		return list
	}
	if list := run(s); len(list) > 0 {
		t.Errorf("faults %v", list)
	}
	if err := first.Events[1].Verify(s.Epoch()); err != nil {
		t.Error(err)
	}
	list := run(&restored{s, first.Events[1]})
	if len(list) != 1 || !strings.Contains(list[0], "event 2: has its content, although event 4 erased it") {
		t.Errorf("faults %q", list)
	}
}
