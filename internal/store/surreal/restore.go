package surreal

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// restoring is one step of a copy, as a transaction. The progress fences it: only
// one step can follow another, so what was read before is still true.
type restoring struct {
	step *store.Restoring
	w    *writing
}

// follow checks that the events of each stream have successive seqs. The
// transaction checks whether they follow the events that exist.
func (r *restoring) follow() error {
	last := map[gotong.Stream]uint64{}
	for i := range r.step.Events {
		e := &r.step.Events[i]
		if before, ok := last[e.Stream]; ok && e.Seq != before+1 {
			return fmt.Errorf("%w: event %d of %s does not follow", store.ErrMalformed, e.Seq, e.Stream)
		}
		last[e.Stream] = e.Seq
	}
	return nil
}

func (r *restoring) partitions() (list []gotong.Partition) {
	for i := range r.step.Events {
		if p := r.step.Events[i].Partition; !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// beginning is the state of a partition before a step.
type beginning struct {
	position uint64
	last     batchRow // of that position
}

func (s *Store) beforeRestore(ctx context.Context, partitions []gotong.Partition) (map[gotong.Partition]beginning, error) {
	positions, err := s.Positions(ctx)
	if err != nil {
		return nil, err
	}
	before := map[gotong.Partition]beginning{}
	var r reading
	for _, p := range partitions {
		from := r.param(surreal.Record("batch", p, positions[p]))
		part(&r, "SELECT VALUE [first, commits] FROM "+from, func(rows []batchRow) error {
			b := beginning{position: positions[p]}
			if len(rows) > 0 {
				b.last = rows[0]
			}
			before[p] = b
			return nil
		})
	}
	if len(partitions) == 0 {
		return before, nil
	}
	return before, s.read(ctx, &r)
}

// The texts that a transaction of a copy throws.
const (
	sealedNow = "gotong: sealed"
	misfits   = "gotong: does not follow"
)

func (r *restoring) render(eras store.Eras, before map[gotong.Partition]beginning) {
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
	r.events(before)
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

// events writes the events and their order, and checks that those of each stream
// continue a stream that exists.
func (r *restoring) events(before map[gotong.Partition]beginning) {
	if len(r.step.Events) == 0 {
		return
	}
	var rows []eventFields
	var streams, previous []surreal.RecordID
	seen := map[gotong.Stream]bool{}
	for i := range r.step.Events {
		e := &r.step.Events[i]
		rows = append(rows, eventRow(e, place{e.Partition, e.Position}))
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
	for p, b := range before {
		for _, row := range r.batches(p, b) {
			batches = append(batches, map[string]any{"id": row.id(p), "row": map[string]any{"first": row.First, "commits": row.Commits}})
			ends = append(ends, map[string]any{"id": surreal.Record("partition", p), "at": max(row.end(), b.position)})
		}
	}
	w.add("FOR $b IN $batches { UPSERT $b.id CONTENT $b.row RETURN NONE }", "batches", batches)
	w.add("FOR $p IN $ends { UPDATE $p.id SET position = $p.at RETURN NONE }", "ends", ends)
}

func (row *batchRow) end() uint64 { return row.First + uint64(len(row.Commits)) - 1 }

func (row *batchRow) id(p gotong.Partition) surreal.RecordID {
	return surreal.Record("batch", p, row.end())
}

// batches returns the rows of batch that a step writes in a partition, in order.
// The first one is the last row that exists, if the step continues its last
// commit.
func (r *restoring) batches(p gotong.Partition, b beginning) (rows []batchRow) {
	for i := range r.step.Events {
		e := &r.step.Events[i]
		if e.Partition != p {
			continue
		}
		if len(rows) == 0 && e.Position == b.position && len(b.last.Commits) > 0 {
			rows = append(rows, b.last)
		}
		var row *batchRow
		if len(rows) > 0 {
			row = &rows[len(rows)-1]
			if last := &row.Commits[len(row.Commits)-1]; row.end() == e.Position && last.Stream == e.Stream {
				last.Last = e.Seq
				continue
			}
		}
		commit := loggedCommit{Stream: e.Stream, First: e.Seq, Last: e.Seq}
		kept := row != nil && row.end() == b.position // its key is fixed
		if row != nil && !kept && row.end()+1 == e.Position && len(row.Commits) < maxCommits {
			row.Commits = append(row.Commits, commit)
			continue
		}
		rows = append(rows, batchRow{First: e.Position, Commits: []loggedCommit{commit}})
	}
	return rows
}

// side writes the rows beside the log.
func (r *restoring) side() {
	rows := &r.step.Rows
	insert(r.w, "request", rows.Records, func(c store.Record) any { return requestRow(c) })
	insert(r.w, "claim", rows.Claims, func(c store.ClaimRow) any {
		return map[string]any{"id": claimID(c.Claim), "stream": c.Stream}
	})
	insert(r.w, "register", rows.Registers, func(g store.Register) any {
		return map[string]any{"id": registerID(g.Key), "version": g.Version, "body": g.Body, "expires": g.Expires}
	})
	insert(r.w, "cursor", rows.Cursors, func(c store.CursorRow) any {
		return map[string]any{"id": cursorID(c.Reader, c.Partition), "position": c.Position}
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
