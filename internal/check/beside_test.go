package check_test

import (
	"context"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// beside is a store whose rows beside the events were changed.
type beside struct {
	*memory.Store
	load func(*store.Snapshot)
	rows func(store.Section, *store.Rows)
}

func (b *beside) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := b.Store.Load(ctx, need)
	b.load(&snap)
	return snap, err
}

func (b *beside) Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error) {
	rows, err := b.Store.Rows(ctx, section, after, limit)
	b.rows(section, &rows)
	return rows, err
}

// TestMissingAndInventedRowsAreFound: each of these is found by one comparison alone, on a
// store that reads a partition without its heads and records.
func TestMissingAndInventedRowsAreFound(t *testing.T) {
	request := gotong.RequestKey{Stream: "box/3", Actor: "ani", RequestID: "r3"}
	noLoad, noRows := func(*store.Snapshot) {}, func(store.Section, *store.Rows) {}
	for want, s := range map[string]*beside{
		"head of box/3: is before event 6": {load: func(s *store.Snapshot) { delete(s.Heads, "box/3") }, rows: func(_ store.Section, r *store.Rows) {
			r.Streams = slices.DeleteFunc(r.Streams, func(row store.StreamRow) bool { return row.Stream == "box/3" })
		}},
		"record of box/3, event 1, r3: is missing": {load: func(s *store.Snapshot) { delete(s.Records, request) }, rows: noRows},
		"record of box/3, event 2, invented: ": {load: noLoad, rows: func(section store.Section, r *store.Rows) {
			if section == store.AllRecords {
				r.Records = append(r.Records, store.Record{
					Request:  gotong.RequestKey{Stream: "box/3", Actor: "ani", RequestID: "invented"},
					Position: 2, First: 2, Last: 2, Partition: gotong.PartitionOf("box/3"),
				})
			}
		}},
		"claim of box/none, email: ": {load: noLoad, rows: func(section store.Section, r *store.Rows) {
			if section == store.AllClaims {
				r.Claims = append(r.Claims, store.ClaimRow{Claim: gotong.Claim{Space: "email", Name: "a"}, Stream: "box/none"})
			}
		}},
	} {
		s.Store = filled(t, 40)
		list := faults(t, s, check.Options{})
		if len(list) == 0 || len(list[0]) < len(want) || list[0][:len(want)] != want {
			t.Errorf("want %q, got %q", want, list)
		}
	}
}
