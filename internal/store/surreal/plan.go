package surreal

import (
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// maxNumber is the last seq or position that the database can hold.
const maxNumber = 1<<63 - 1

// plan is the outcomes of a batch, and the one transaction that carries them out.
type plan struct {
	view     *view
	outcomes []store.Outcome

	// What the batch writes so far.
	heads   map[gotong.Stream]gotong.Head
	records map[gotong.RequestKey]store.Record
	claims  map[gotong.Claim]gotong.Stream
	docs    map[gotong.Key][]byte // nil deletes

	registers map[gotong.Key]gotong.RegisterChange // the last of each

	// What it rests on: heads of its own streams, seqs of other streams.
	own, others []gotong.Stream
	rested      map[gotong.Stream]bool // true where own

	events []*store.Event
	places []place // of the events
	logged [gotong.Partitions][]loggedCommit
	erase  []eventKey
	blind  []gotong.RequestKey
	order  []gotong.RequestKey // of records
}

type place struct {
	partition gotong.Partition
	position  uint64
}

// loggedCommit is one entry of a row of batch.
type loggedCommit struct {
	_           struct{} `cbor:",toarray"`
	Stream      gotong.Stream
	First, Last uint64
}

func newPlan(v *view, n int) *plan {
	return &plan{
		view: v, outcomes: make([]store.Outcome, n),
		heads: map[gotong.Stream]gotong.Head{}, records: map[gotong.RequestKey]store.Record{},
		claims: map[gotong.Claim]gotong.Stream{}, docs: map[gotong.Key][]byte{},
		registers: map[gotong.Key]gotong.RegisterChange{}, rested: map[gotong.Stream]bool{},
	}
}

func (p *plan) apply(c *store.Commit, erased origins) store.Record {
	stream, no := c.Request.Stream, c.Partition()
	p.restOn(stream)
	for _, o := range c.Others {
		p.restOnOther(o.Stream)
	}
	position := p.view.positions[no] + uint64(len(p.logged[no])) + 1
	record := c.Record(position)
	if len(c.Events) > 0 {
		p.heads[stream] = c.Head()
		p.logged[no] = append(p.logged[no], loggedCommit{Stream: stream, First: record.First, Last: record.Last})
	}
	for i := range c.Events {
		p.events = append(p.events, &c.Events[i])
		p.places = append(p.places, place{no, position})
	}
	for _, claim := range c.Claims {
		p.claims[claim] = stream
	}
	for _, ch := range c.Changes {
		p.docs[ch.Key] = ch.Body
	}
	for _, r := range c.Registers {
		p.registers[r.Key] = r
	}
	for _, seq := range c.Erase {
		key := eventKey{Stream: stream, Seq: seq}
		if origin, ok := p.origin(key, erased); ok {
			p.erase = append(p.erase, key)
			p.blind = append(p.blind, origin)
		}
	}
	p.records[c.Request] = record
	record.Salt, record.Fingerprint = slices.Clone(record.Salt), slices.Clone(record.Fingerprint)
	p.order = append(p.order, c.Request)
	return record
}

// origin returns the request of an event: an earlier one of the batch, or one that
// was committed before.
func (p *plan) origin(key eventKey, before origins) (gotong.RequestKey, bool) {
	for _, request := range p.order {
		r := p.records[request]
		if request.Stream == key.Stream && r.First <= key.Seq && key.Seq <= r.Last {
			return request, true
		}
	}
	origin, ok := before[key]
	return origin, ok
}

// restOn notes that the plan rests on the head of a commit's own stream. A stream
// is in own or in others; own compares more, so it takes precedence.
func (p *plan) restOn(stream gotong.Stream) {
	own, rested := p.rested[stream]
	if own {
		return
	}
	if rested {
		p.others = slices.DeleteFunc(p.others, func(o gotong.Stream) bool { return o == stream })
	}
	p.rested[stream] = true
	p.own = append(p.own, stream)
}

func (p *plan) restOnOther(stream gotong.Stream) {
	if _, rested := p.rested[stream]; !rested {
		p.rested[stream] = false
		p.others = append(p.others, stream)
	}
}

func (p *plan) ends() [gotong.Partitions]uint64 {
	ends := p.view.positions
	for no := range ends {
		ends[no] += uint64(len(p.logged[no]))
	}
	return ends
}

func (p *plan) whole() bool { return len(p.order) == len(p.outcomes) }

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
	w.documents(p.docs)
	p.setRegisters(w)
	p.eraseContent(w)
	return w
}

// check compares everything on which the plan rests, with one expression.
func (p *plan) check(w *writing) {
	ids := make([]surreal.RecordID, 0, len(p.own)+len(p.others)+2)
	own, others, places := []any{}, []any{}, []any{}
	for _, stream := range p.own {
		ids = append(ids, headID(stream))
		if h := p.view.heads[stream]; h.Seq > 0 {
			own = append(own, []any{stream, h.Seq, h.Chain[:], h.At, h.Count, h.Home})
		}
	}
	w.vars["own"] = ids
	text := "IF [" + whatCloses + ", (SELECT VALUE [record::id(id), seq, chain, at, count, home] FROM $own WHERE seq > 0)"
	if len(p.others) > 0 {
		otherIDs := make([]surreal.RecordID, len(p.others))
		for i, stream := range p.others {
			otherIDs[i] = headID(stream)
			if h := p.view.heads[stream]; h.Seq > 0 {
				others = append(others, []any{stream, h.Seq})
			}
		}
		w.vars["others"] = otherIDs
		text += ", (SELECT VALUE [record::id(id), seq] FROM $others WHERE seq > 0)"
	}
	var partitions []surreal.RecordID
	for no, commits := range p.logged {
		if len(commits) > 0 {
			partitions = append(partitions, surreal.Record("partition", no))
			places = append(places, p.view.positions[no])
		}
	}
	want := []any{[]any{}, own}
	if len(p.others) > 0 {
		want = append(want, others)
	}
	if len(partitions) > 0 {
		w.vars["partitions"] = partitions
		text += ", (SELECT VALUE position FROM $partitions)"
		want = append(want, places)
	}
	if len(p.registers) > 0 {
		versions := p.restRegisters(w)
		text += ", (SELECT VALUE [record::id(id), version] FROM $registers WHERE version > 0 AND (expires = 0 OR expires > $now))"
		want = append(want, versions)
	}
	w.vars["closers"], w.vars["mine"] = closers, string(p.view.epoch)
	w.add(text+"] != $want { THROW '"+moved+"' }", "want", want)
}

// restRegisters names the registers that the plan changes, and returns the
// versions of those that exist as the view has them.
func (p *plan) restRegisters(w *writing) []any {
	var ids []surreal.RecordID
	versions := []any{}
	for key := range p.registers {
		ids = append(ids, registerID(key))
		if before := p.view.registers[key].Version; before > 0 {
			versions = append(versions, []any{[]string{key.Collection, key.Owner, key.Name}, before})
		}
	}
	w.vars["registers"], w.vars["now"] = ids, p.view.now
	return versions
}

// setRegisters writes the final values of registers. It writes each one that the
// plan compares, so that two plans on one register collide.
func (p *plan) setRegisters(w *writing) {
	var puts []map[string]any
	var gone []surreal.RecordID
	for key, r := range p.registers {
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
	for _, stream := range slices.Concat(p.own, p.others) {
		h, ok := p.heads[stream]
		if !ok {
			touched = append(touched, headID(stream))
			continue
		}
		c := change{headID(stream), headFieldsOf(h)}
		if p.view.heads[stream].Seq == 0 {
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
