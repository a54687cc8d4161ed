package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// forged is a store whose row of a head was changed.
type forged struct {
	engine.Store
	change func(*gotong.Head)
}

func (f *forged) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := f.Store.Load(ctx, need)
	if head, ok := snap.Heads[one]; ok {
		f.change(&head)
		snap.Heads[one] = head
	}
	return snap, err
}

// Nothing is written after a head that is not that of the stream's last event;
// what was written before it is answered as at first.
func TestHeadIsThatOfTheLastEvent(t *testing.T) {
	for name, change := range map[string]func(*gotong.Head){
		"nothing":  func(*gotong.Head) {},
		"chain":    func(h *gotong.Head) { h.Chain[0]++ },
		"time":     func(h *gotong.Head) { h.At++ },
		"count":    func(h *gotong.Head) { h.Count++ },
		"home":     func(h *gotong.Head) { h.Home = elsewhere(h.Home) },
		"last row": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.NewFaulty(newMemory(t))
			var receipts []gotong.Receipt
			first := newRig(t, s)
			for i := range 3 {
				receipts = append(receipts, first.must(t, command(one, "ani", fmt.Sprint(i), add{N: 1})))
			}
			if change == nil {
				s.Lose(one, 3)
				change = func(*gotong.Head) {}
			}
			r := newRig(t, &forged{s, change}) // its lanes are cold
			again, err := r.Execute(t.Context(), command(one, "ani", "1", add{N: 1}))
			if err != nil || !again.Replayed || again.Chain != receipts[1].Chain {
				t.Errorf("a repeated request: %+v %v", again, err)
			}
			want := gotong.CodeCorruptEvent
			if name == "nothing" {
				want = ""
			}
			if _, err := r.Execute(t.Context(), command(one, "ani", "new", add{N: 1})); gotong.CodeOf(err) != want {
				t.Errorf("a new one: got %v, want %q", err, want)
			}
			if damaged := len(r.damage) == 1 && strings.Contains(r.damage[0].Error(), string(one)); damaged != (name != "nothing") {
				t.Errorf("reported damage: %v", r.damage)
			}
			if name != "nothing" && s.Calls(storetest.OpCommit) != 3 {
				t.Errorf("%d commits", s.Calls(storetest.OpCommit))
			}
		})
	}
}

// elsewhere is a home in another partition.
func elsewhere(home gotong.Stream) gotong.Stream {
	for i := 0; ; i++ {
		if s := gotong.NewStream("tally", fmt.Sprint(i)); gotong.PartitionOf(s) != gotong.PartitionOf(home) {
			return s
		}
	}
}
