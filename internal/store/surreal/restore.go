package surreal

import (
	"maps"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// restoring is one step of a copy, as a transaction. The progress fences it: only
// one step can follow another.
type restoring struct {
	step   *store.Restoring
	events []store.Event // of its commits
	w      *writing
}

// The texts that a transaction of a copy throws.
const (
	sealedNow = "gotong: sealed"
	misfits   = "gotong: does not follow"
)

func (r *restoring) render(eras store.Eras) {
	w := r.w
	w.statements = append(w.statements,
		"IF (SELECT VALUE value FROM ONLY meta:sealed) != NONE { THROW '"+sealedNow+"' }",
		"IF ((SELECT VALUE value FROM ONLY meta:progress) ?? '') != $from { THROW '"+otherwise+"' }")
	if r.step.From == "" {
		maps.Copy(w.vars, erasVars(eras))
		w.statements = append(w.statements, "IF !("+isEmpty+") { THROW '"+otherwise+"' }",
			"UPDATE meta:eras SET value = $eras RETURN NONE", "UPDATE meta:epoch SET value = $epoch RETURN NONE")
		w.statements = append(w.statements, everyGate...)
	}
	if r.step.To != "" {
		w.statements = append(w.statements, "UPSERT meta:progress SET value = $to RETURN NONE")
	}
	r.streams()
	p := plan{Plan: r.step.Plan()}
	p.writeLog(w)
	r.side()
	w.documents(p.Documents)
	if r.step.To == "" {
		w.statements = append(w.statements, "DELETE meta:progress RETURN NONE")
	}
}

// streams adds streams, and checks that the events of each one continue a stream that
// exists.
func (r *restoring) streams() {
	insert(r.w, "head", r.step.Rows.Streams, func(s store.StreamRow) any {
		return struct {
			ID surreal.RecordID `cbor:"id"`
			headFields
		}{headID(s.Stream), headFieldsOf(s.Head)}
	})
	if len(r.events) == 0 {
		return
	}
	var streams, previous []surreal.RecordID
	seen := map[gotong.Stream]bool{}
	for i := range r.events {
		e := &r.events[i]
		if !seen[e.Stream] {
			seen[e.Stream] = true
			streams = append(streams, headID(e.Stream))
			if e.Seq > 1 {
				previous = append(previous, surreal.Record("event", string(e.Stream), e.Seq-1))
			}
		}
	}
	w := r.w
	w.vars["streams"], w.vars["previous"], w.vars["count"] = streams, previous, []int{len(streams), len(previous)}
	w.statements = append(w.statements, "IF [array::len((SELECT VALUE id FROM $streams WHERE seq > 0)), "+
		"array::len((SELECT VALUE id FROM $previous WHERE at > 0))] != $count { THROW '"+misfits+"' }")
}

// side writes registers, cursors and jobs.
func (r *restoring) side() {
	rows := &r.step.Rows
	insert(r.w, "register", rows.Registers, func(g store.Register) any {
		return map[string]any{"id": registerID(g.Key), "version": g.Version, "body": g.Body, "expires": g.Expires}
	})
	insert(r.w, "cursor", rows.Cursors, func(c store.CursorRow) any {
		return map[string]any{"id": cursorID(store.CursorKey{Reader: c.Reader, Partition: c.Partition}), "position": c.Position}
	})
	insert(r.w, "job", rows.Jobs, func(j store.Job) any { return jobRowOf(j) })
}

func insert[T any](w *writing, table string, rows []T, row func(T) any) {
	if len(rows) == 0 {
		return
	}
	list := make([]any, len(rows))
	for i := range rows {
		list[i] = row(rows[i])
	}
	w.add("INSERT INTO "+table+" $rows_"+table+" RETURN NONE", "rows_"+table, list)
}
