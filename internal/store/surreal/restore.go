package surreal

import (
	"fmt"
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

// follow checks that the events of each stream have successive seqs. The
// transaction checks whether they follow the events that exist.
func (r *restoring) follow() error {
	last := map[gotong.Stream]uint64{}
	for i := range r.events {
		e := &r.events[i]
		if before, ok := last[e.Stream]; ok && e.Seq != before+1 {
			return fmt.Errorf("%w: event %d of %s does not follow", store.ErrMalformed, e.Seq, e.Stream)
		}
		last[e.Stream] = e.Seq
	}
	return nil
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
	r.log()
	r.side()
	docs := map[gotong.Key][]byte{}
	for _, ch := range r.step.Documents {
		docs[ch.Key] = ch.Body
	}
	w.documents(docs)
	if r.step.To == "" {
		w.statements = append(w.statements, "DELETE meta:progress RETURN NONE")
	}
}

func (r *restoring) streams() {
	insert(r.w, "head", r.step.Rows.Streams, func(s store.StreamRow) any {
		return struct {
			ID surreal.RecordID `cbor:"id"`
			headFields
		}{headID(s.Stream), headFieldsOf(s.Head)}
	})
}

// log writes the events and their order, and checks that those of each stream
// continue a stream that exists.
func (r *restoring) log() {
	if len(r.events) == 0 {
		return
	}
	var rows []eventFields
	var streams, previous []surreal.RecordID
	seen := map[gotong.Stream]bool{}
	for i := range r.events {
		e := &r.events[i]
		rows = append(rows, eventRow(e, e.Partition, e.Position))
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
	w.add("INSERT INTO event $events RETURN NONE", "events", rows)
	var ends, batches []any
	for _, b := range r.batches() {
		row := map[string]any{"first": b.row.First, "commits": b.row.Commits}
		end := b.row.First + uint64(len(b.row.Commits)) - 1
		batches = append(batches, map[string]any{"id": surreal.Record("batch", b.partition, end), "row": row})
		ends = append(ends, map[string]any{"id": surreal.Record("partition", b.partition), "at": end})
	}
	w.add("FOR $b IN $batches { UPSERT $b.id CONTENT $b.row RETURN NONE }", "batches", batches)
	w.add("FOR $p IN $ends { UPDATE $p.id SET position = $p.at RETURN NONE }", "ends", ends)
}

// batch is a row of batch, and of which partition.
type batch struct {
	partition gotong.Partition
	row       batchRow
}

// batches returns the rows of batch that a step writes, in order.
func (r *restoring) batches() (rows []batch) {
	for i := range r.step.Commits {
		c := &r.step.Commits[i].Record
		commit := loggedCommit{Stream: c.Request.Stream, First: c.First, Last: c.Last}
		if len(rows) > 0 {
			b := &rows[len(rows)-1]
			n := len(b.row.Commits)
			if b.partition == c.Partition && b.row.First+uint64(n) == c.Position && n < store.MaxTogether {
				b.row.Commits = append(b.row.Commits, commit)
				continue
			}
		}
		rows = append(rows, batch{c.Partition, batchRow{First: c.Position, Commits: []loggedCommit{commit}}})
	}
	return rows
}

// side writes the rows beside the log.
func (r *restoring) side() {
	rows := &r.step.Rows
	insert(r.w, "request", r.step.Records(), func(c store.Record) any { return requestRow(c) })
	insert(r.w, "claim", rows.Claims, func(c store.ClaimRow) any {
		return map[string]any{"id": claimID(c.Claim), "stream": c.Stream}
	})
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
