package surreal

import (
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// maxNumber is the last seq or position that the database can hold.
const maxNumber = 1<<63 - 1

// plan is a plan of a batch, as a transaction of a node of this epoch.
type plan struct {
	*store.Plan

	epoch gotong.Epoch
}

// loggedCommit is one entry of a row of batch.
type loggedCommit struct {
	_           struct{} `cbor:",toarray"`
	Stream      gotong.Stream
	First, Last uint64
}

// writing is the text and the parameters of a transaction.
type writing struct {
	statements []string
	vars       surreal.Vars
}

func (w *writing) add(statement, name string, value any) {
	w.statements = append(w.statements, statement)
	w.vars[name] = value
}

// moved is the text that a transaction throws if something on which it rests has
// changed.
const moved = "gotong: moved"

func (p *plan) render(gate surreal.RecordID) *writing {
	w := &writing{vars: surreal.Vars{}}
	p.check(w)
	w.add("UPSERT $gate SET writes += 1 RETURN NONE", "gate", gate)
	p.moveHeads(w)
	p.writeLog(w)
	w.documents(p.Documents)
	p.setRegisters(w)
	p.eraseContent(w)
	return w
}

// check compares everything on which the plan rests, with one expression.
func (p *plan) check(w *writing) {
	ids := make([]surreal.RecordID, 0, len(p.Own)+len(p.Others)+2)
	own, others, places := []any{}, []any{}, []any{}
	for _, stream := range p.Own {
		ids = append(ids, headID(stream))
		if h := p.View.Heads[stream]; h.Seq > 0 {
			own = append(own, []any{stream, h.Seq, h.Chain[:], h.At, h.Count, h.Home})
		}
	}
	w.vars["own"] = ids
	text := "IF [" + whatCloses + ", (SELECT VALUE [record::id(id), seq, chain, at, count, home] FROM $own WHERE seq > 0)"
	if len(p.Others) > 0 {
		otherIDs := make([]surreal.RecordID, len(p.Others))
		for i, stream := range p.Others {
			otherIDs[i] = headID(stream)
			if h := p.View.Heads[stream]; h.Seq > 0 {
				others = append(others, []any{stream, h.Seq})
			}
		}
		w.vars["others"] = otherIDs
		text += ", (SELECT VALUE [record::id(id), seq] FROM $others WHERE seq > 0)"
	}
	var partitions []surreal.RecordID
	for no, end := range p.Ends {
		if end > p.View.Positions[no] {
			partitions = append(partitions, surreal.Record("partition", no))
			places = append(places, p.View.Positions[no])
		}
	}
	want := []any{[]any{}, own}
	if len(p.Others) > 0 {
		want = append(want, others)
	}
	if len(partitions) > 0 {
		w.vars["partitions"] = partitions
		text += ", (SELECT VALUE position FROM $partitions)"
		want = append(want, places)
	}
	if len(p.Registers) > 0 {
		versions := p.restRegisters(w)
		text += ", (SELECT VALUE [record::id(id), version] FROM $registers WHERE version > 0 AND (expires = 0 OR expires > $now))"
		want = append(want, versions)
	}
	w.vars["closers"], w.vars["mine"] = closers, string(p.epoch)
	w.add(text+"] != $want { THROW '"+moved+"' }", "want", want)
}

// restRegisters names the registers that the plan changes, and returns the
// versions of those that exist as the view has them.
func (p *plan) restRegisters(w *writing) []any {
	var ids []surreal.RecordID
	versions := []any{}
	for key := range p.Registers {
		ids = append(ids, registerID(key))
		if before := p.View.Registers[key].Version; before > 0 {
			versions = append(versions, []any{[]string{key.Collection, key.Owner, key.Name}, before})
		}
	}
	w.vars["registers"], w.vars["now"] = ids, p.View.Now
	return versions
}

// setRegisters writes the final values of registers. It writes each one that the
// plan compares, so that two plans on one register collide.
func (p *plan) setRegisters(w *writing) {
	var puts []map[string]any
	var gone []surreal.RecordID
	for key, r := range p.Registers {
		if r.Body == nil {
			gone = append(gone, registerID(key))
			continue
		}
		row := map[string]any{"version": r.Expect + 1, "body": r.Body, "expires": r.Expires}
		puts = append(puts, map[string]any{"id": registerID(key), "row": row})
	}
	if len(puts) > 0 {
		w.add("FOR $r IN $puts { UPSERT $r.id CONTENT $r.row RETURN NONE }", "puts", puts)
	}
	if len(gone) > 0 {
		w.add("DELETE $unset RETURN NONE", "unset", gone)
	}
}

// moveHeads writes every head on which the plan rests: with its new value, or only
// to collide with a transaction that moves it.
func (p *plan) moveHeads(w *writing) {
	type change struct {
		ID  surreal.RecordID `cbor:"id"`
		Row headFields       `cbor:"row"`
	}
	var fresh, further []change
	var touched []surreal.RecordID
	for _, stream := range slices.Concat(p.Own, p.Others) {
		h, ok := p.Heads[stream]
		if !ok {
			touched = append(touched, headID(stream))
			continue
		}
		c := change{headID(stream), headFieldsOf(h)}
		if p.View.Heads[stream].Seq == 0 {
			fresh = append(fresh, c)
		} else {
			further = append(further, c)
		}
	}
	if len(further) > 0 {
		w.add("FOR $h IN $further { UPDATE $h.id CONTENT $h.row RETURN NONE }", "further", further)
	}
	if len(fresh) > 0 {
		w.add("FOR $h IN $fresh { UPSERT $h.id CONTENT $h.row RETURN NONE }", "fresh", fresh)
	}
	if len(touched) > 0 {
		w.add("UPSERT $touched SET touched += 1 RETURN NONE", "touched", touched)
	}
}

type headFields struct {
	Seq       uint64           `cbor:"seq"`
	Chain     []byte           `cbor:"chain"`
	At        gotong.Instant   `cbor:"at"`
	Count     uint64           `cbor:"count"`
	Home      gotong.Stream    `cbor:"home"`
	Partition gotong.Partition `cbor:"partition"`
}

func headFieldsOf(h gotong.Head) headFields {
	return headFields{
		Seq: h.Seq, Chain: h.Chain[:], At: h.At, Count: h.Count, Home: h.Home, Partition: gotong.PartitionOf(h.Home),
	}
}
