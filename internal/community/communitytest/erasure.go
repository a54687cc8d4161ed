package communitytest

import (
	"maps"
	"slices"

	"gotong.dev/gotong"
)

// checkErasure erases an event of the stream in a copy of the world, another one
// after each command. A kind whose documents keep what was erased differs from its
// projection there.
func (w *World) checkErasure(cmd gotong.Command) {
	w.t.Helper()
	if _, erasing := cmd.Data.(gotong.Erase); erasing || len(w.rows) > 100 && len(w.rows)%32 != 0 {
		return
	}
	var ids []gotong.EventID
	for _, r := range w.rows {
		if r.event.Stream == cmd.Stream && r.content != nil {
			ids = append(ids, r.event.ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	c := *w
	c.rows, c.docs, c.viewers = slices.Clone(w.rows), maps.Clone(w.docs), slices.Clone(w.viewers)
	c.heads, c.writers, c.claims = maps.Clone(w.heads), maps.Clone(w.writers), maps.Clone(w.claims)
	id := ids[w.serial%uint64(len(ids))]
	c.Do(Admin("eraser"), cmd.Stream, gotong.Erase{Events: []gotong.EventID{id}, Reason: "by order"})
	if e := c.find(cmd.Stream, id); e.Content != nil {
		w.t.Fatalf("event %d of %s kept its content", e.Seq, e.Stream)
	}
	c.Idle(Admin("eraser"), cmd.Stream, gotong.Erase{Events: []gotong.EventID{id}, Reason: "again"})
}
