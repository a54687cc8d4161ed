package live

import (
	"context"
	"time"

	"gotong.dev/gotong/internal/view"
)

// nameLimit bounds how long a page waits for names: a slow answer costs names,
// not events.
const nameLimit = 500 * time.Millisecond

func (h *Hub) named(ctx context.Context, rows []*view.Row) map[string]string {
	if h.opt.Names == nil || len(rows) == 0 {
		return nil
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.Event.Actor.UserID
	}
	ctx, cancel := context.WithTimeout(ctx, nameLimit)
	defer cancel()
	return h.opt.Names.Names(ctx, ids)
}

func (h *Hub) known(id string) (name string, known bool) {
	if h.opt.Names == nil {
		return "", true
	}
	return h.opt.Names.Known(id)
}
