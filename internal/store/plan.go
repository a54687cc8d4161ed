package store

import (
	"reflect"
	"slices"

	"gotong.dev/gotong"
)

// View is the state by which the outcomes of a batch are decided. What does not
// exist is absent.
type View struct {
	Positions [gotong.Partitions]uint64
	Heads     map[gotong.Stream]gotong.Head
	Records   map[gotong.RequestKey]Record
	Claims    map[gotong.Claim]gotong.Stream
	Registers map[gotong.Key]Register
	Now       gotong.Instant // by which registers expire

	// Origins are the requests of the events that the batch erases. Those that
	// it writes itself need not be there.
	Origins map[EventKey]gotong.RequestKey
}

// EventKey names an event.
type EventKey struct {
	Stream gotong.Stream
	Seq    uint64
}

// Needs returns what the outcomes of a batch depend on, without repeats, and the
// events that it erases.
func Needs(batch []Commit) (need Need, erased []EventKey) {
	for i := range batch {
		c := &batch[i]
		need.Heads = append(need.Heads, c.Request.Stream)
		for _, other := range c.Others {
			need.Heads = append(need.Heads, other.Stream)
		}
		need.Records = append(need.Records, c.Request)
		need.Claims = append(need.Claims, c.Claims...)
		for _, r := range c.Registers {
			need.Registers = append(need.Registers, r.Key)
		}
		for _, seq := range c.Erase {
			erased = append(erased, EventKey{c.Request.Stream, seq})
		}
	}
	need.Heads, need.Records = distinct(need.Heads), distinct(need.Records)
	need.Claims, need.Registers = distinct(need.Claims), distinct(need.Registers)
	return need, erased
}

func distinct[K comparable](list []K) []K {
	seen := make(map[K]bool, len(list))
	return slices.DeleteFunc(list, func(k K) bool {
		known := seen[k]
		seen[k] = true
		return known
	})
}

// Plan is the outcomes of a batch, and what the one transaction writes that carries
// them out.
type Plan struct {
	View     *View
	Outcomes []Outcome
	Written  []Planned // the commits that are committed, in order

	// The final values of what they change.
	Heads     map[gotong.Stream]gotong.Head
	Claims    map[gotong.Claim]gotong.Stream
	Documents map[gotong.Key][]byte // nil deletes
	Registers map[gotong.Key]gotong.RegisterChange
	Ends      [gotong.Partitions]uint64 // positions

	// What they rest on: heads of their own streams, and seqs of other streams.
	Own, Others []gotong.Stream

	// The events to erase and, for each, the request to blind.
	Erase []EventKey
	Blind []gotong.RequestKey

	records map[gotong.RequestKey]Record // of the batch, and blinded ones, as it leaves them
	rested  map[gotong.Stream]bool       // true if in Own
}

// Planned is a commit that is written, with its record.
type Planned struct {
	*Commit

	Kept Record
}

// Decide returns the plan of a batch: the outcome of each commit, in order, and what
// to write. sent are plans whose transactions got no answer and may have been carried
// out: a commit whose record is the one that such a plan would have written is
// committed, not replayed.
func Decide(v *View, batch []Commit, sent ...*Plan) *Plan {
	p := &Plan{
		View: v, Outcomes: make([]Outcome, len(batch)), Ends: v.Positions,
		Heads: map[gotong.Stream]gotong.Head{}, Claims: map[gotong.Claim]gotong.Stream{},
		Documents: map[gotong.Key][]byte{}, Registers: map[gotong.Key]gotong.RegisterChange{},
		records: map[gotong.RequestKey]Record{}, rested: map[gotong.Stream]bool{},
	}
	for i := range batch {
		o := p.fate(&batch[i])
		if o.Status == Committed {
			o.Record = p.apply(&batch[i])
		}
		if o.Status == Replayed && slices.ContainsFunc(sent, func(earlier *Plan) bool { return earlier.did(i, o.Record) }) {
			o.Status = Committed
		}
		p.Outcomes[i] = o
	}
	return p
}

// did reports whether a record is the one that the plan would have left for
// commit i.
func (p *Plan) did(i int, r Record) bool {
	return p.Outcomes[i].Status == Committed && reflect.DeepEqual(p.records[r.Request], r)
}

// fate returns the outcome of a commit, checked in the order of the port.
func (p *Plan) fate(c *Commit) Outcome {
	if r, ok := p.records[c.Request]; ok {
		return Outcome{Status: Replayed, Record: r.clone()}
	}
	if r, ok := p.View.Records[c.Request]; ok {
		return Outcome{Status: Replayed, Record: r}
	}
	if !c.Follows(p.head(c.Request.Stream)) {
		return Outcome{Status: Moved, Stream: c.Request.Stream}
	}
	for _, o := range c.Others {
		if p.head(o.Stream).Seq != o.Seq {
			return Outcome{Status: Moved, Stream: o.Stream}
		}
	}
	for _, claim := range c.Claims {
		_, before := p.View.Claims[claim]
		if _, ok := p.Claims[claim]; ok || before {
			return Outcome{Status: Taken, Claim: claim}
		}
	}
	for _, r := range c.Registers {
		if p.version(r.Key) != r.Expect {
			return Outcome{Status: Stale, Register: r.Key}
		}
	}
	return Outcome{Status: Committed}
}

// version returns the version of a register after the batch so far.
func (p *Plan) version(key gotong.Key) uint64 {
	r, ok := p.Registers[key]
	switch {
	case !ok:
		return p.View.Registers[key].Version
	case r.Body == nil || r.Expires != 0 && r.Expires <= p.View.Now:
		return 0
	default:
		return r.Expect + 1
	}
}

func (p *Plan) head(stream gotong.Stream) gotong.Head {
	if h, ok := p.Heads[stream]; ok {
		return h
	}
	return p.View.Heads[stream]
}

func (p *Plan) apply(c *Commit) Record {
	stream := c.Request.Stream
	p.restOn(stream)
	for _, o := range c.Others {
		p.restOnOther(o.Stream)
	}
	record := c.Record(p.Ends[c.Partition()] + 1)
	if len(c.Events) > 0 {
		p.Heads[stream] = c.Head()
		p.Ends[c.Partition()]++
	}
	for _, claim := range c.Claims {
		p.Claims[claim] = stream
	}
	for _, ch := range c.Changes {
		p.Documents[ch.Key] = ch.Body
	}
	for _, r := range c.Registers {
		p.Registers[r.Key] = r
	}
	for _, seq := range c.Erase {
		key := EventKey{stream, seq}
		if origin, ok := p.origin(key); ok {
			p.Erase, p.Blind = append(p.Erase, key), append(p.Blind, origin)
			r, ok := p.records[origin]
			if !ok {
				r = p.View.Records[origin] // absent if the batch does not repeat the request
			}
			r.Salt, r.Fingerprint = nil, nil
			p.records[origin] = r
		}
	}
	p.records[c.Request] = record
	p.Written = append(p.Written, Planned{c, record})
	return record.clone()
}

// clone returns the record for a caller, who may change it.
func (r Record) clone() Record {
	r.Salt, r.Fingerprint = slices.Clone(r.Salt), slices.Clone(r.Fingerprint)
	return r
}

// origin returns the request of an event: an earlier one of the batch, or one that
// was committed before.
func (p *Plan) origin(key EventKey) (gotong.RequestKey, bool) {
	for _, w := range p.Written {
		if w.Request.Stream == key.Stream && w.Kept.First <= key.Seq && key.Seq <= w.Kept.Last {
			return w.Request, true
		}
	}
	origin, ok := p.View.Origins[key]
	return origin, ok
}

// restOn notes that the plan rests on the head of a commit's own stream. A stream
// is in Own or in Others; Own compares more, so it takes precedence.
func (p *Plan) restOn(stream gotong.Stream) {
	own, rested := p.rested[stream]
	if own {
		return
	}
	if rested {
		p.Others = slices.DeleteFunc(p.Others, func(o gotong.Stream) bool { return o == stream })
	}
	p.rested[stream] = true
	p.Own = append(p.Own, stream)
}

func (p *Plan) restOnOther(stream gotong.Stream) {
	if _, rested := p.rested[stream]; !rested {
		p.rested[stream] = false
		p.Others = append(p.Others, stream)
	}
}
