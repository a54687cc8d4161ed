package check_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// unreadable is a store with a row in a section that looks like none.
type unreadable struct {
	*memory.Store
	section store.Section
}

func (u *unreadable) Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error) {
	if section == u.section {
		return store.Rows{}, fmt.Errorf("%w: a row cannot be read", store.ErrCorrupt)
	}
	return u.Store.Rows(ctx, section, after, limit)
}

// TestUnreadableRowIsReported: a row that cannot be read at all is reported,
// and the check continues after its section.
func TestUnreadableRowIsReported(t *testing.T) {
	for section, sort := range map[store.Section]check.Sort{
		store.AllStreams: check.Head, store.AllDocuments: check.Head, store.AllRecords: check.Record, store.AllClaims: check.Claim,
	} {
		list := faults(t, &unreadable{filled(t, 10), section}, check.Options{})
		want := fmt.Sprintf("%s, some row: store: the log is damaged: a row cannot be read", sort)
		if !slices.Equal(list, []string{want}) {
			t.Errorf("%d: %q", section, list)
		}
	}
}
