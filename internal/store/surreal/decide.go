package surreal

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// view is the state by which the outcomes of a batch are decided: guessed from
// what the batch itself expects, or read in one snapshot.
type view struct {
	closed    error
	epoch     gotong.Epoch // under which the commits were chained
	positions [gotong.Partitions]uint64
	heads     map[gotong.Stream]gotong.Head
	records   map[gotong.RequestKey]store.Record
	claims    map[gotong.Claim]gotong.Stream
	now       gotong.Instant // by which registers expire
	registers map[gotong.Key]store.Register
}

// positions are the last known positions of the partitions.
type positions struct {
	mu  sync.Mutex
	all [gotong.Partitions]uint64
}

func (p *positions) raise(seen [gotong.Partitions]uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.all {
		p.all[i] = max(p.all[i], seen[i])
	}
}

func (p *positions) get() [gotong.Partitions]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}

// guess returns the state that the batch expects. The transaction checks it.
func (s *Store) guess(batch []store.Commit) *view {
	v := &view{
		epoch: s.Epoch(), positions: s.known.get(), heads: map[gotong.Stream]gotong.Head{},
		now: s.now(), registers: map[gotong.Key]store.Register{},
	}
	for i := range batch {
		if _, ok := v.heads[batch[i].Request.Stream]; !ok {
			v.heads[batch[i].Request.Stream] = batch[i].Prev
		}
	}
	for i := range batch {
		for _, r := range batch[i].Registers {
			if _, ok := v.registers[r.Key]; !ok {
				v.registers[r.Key] = store.Register{Version: r.Expect}
			}
		}
		for _, other := range batch[i].Others {
			if _, ok := v.heads[other.Stream]; !ok {
				v.heads[other.Stream] = gotong.Head{Seq: other.Seq}
			}
		}
	}
	return v
}

// look reads everything on which the outcomes of the batch depend.
func (s *Store) look(ctx context.Context, batch []store.Commit) (*view, error) {
	v := &view{
		epoch:   s.Epoch(),
		heads:   map[gotong.Stream]gotong.Head{},
		records: map[gotong.RequestKey]store.Record{},
		claims:  map[gotong.Claim]gotong.Stream{},

		now: s.now(), registers: map[gotong.Key]store.Register{},
	}
	var need store.Need
	for i := range batch {
		c := &batch[i]
		need.Heads = append(need.Heads, c.Request.Stream)
		for _, other := range c.Others {
			need.Heads = append(need.Heads, other.Stream)
		}
		need.Records = append(need.Records, c.Request)
		need.Claims = append(need.Claims, c.Claims...)
		for _, g := range c.Registers {
			need.Registers = append(need.Registers, g.Key)
		}
	}
	var r reading
	r.gate(v.epoch, func(err error) { v.closed = err })
	r.positions(func(all [gotong.Partitions]uint64) { v.positions = all })
	r.heads(need.Heads, v.heads)
	r.records(need.Records, v.records)
	r.claims(need.Claims, v.claims)
	r.registersOf(need.Registers, v.now, v.registers)
	if err := s.read(ctx, &r); err != nil {
		return nil, err
	}
	s.known.raise(v.positions)
	return v, nil
}

type eventKey struct {
	_      struct{} `cbor:",toarray"`
	Stream gotong.Stream
	Seq    uint64
}

// origins are the requests of the events that a batch erases and does not write
// itself.
type origins map[eventKey]gotong.RequestKey

// origins reads them. Data never changes, so this may happen before the outcomes
// are decided. An event that does not exist is absent.
func (s *Store) origins(ctx context.Context, batch []store.Commit) (origins, error) {
	var ids []surreal.RecordID
	for i := range batch {
		c := &batch[i]
		for _, seq := range c.Erase {
			ids = append(ids, surreal.Record("event", string(c.Request.Stream), seq))
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var r reading
	type row struct {
		_    struct{} `cbor:",toarray"`
		Key  eventKey
		Data string
	}
	found := origins{}
	part(&r, "SELECT VALUE [record::id(id), data] FROM "+r.param(ids)+" WHERE data != NONE", func(rows []row) error {
		for _, row := range rows {
			var env store.Envelope[json.RawMessage]
			if err := json.Unmarshal([]byte(row.Data), &env); err != nil {
				return store.ErrCorrupt
			}
			found[row.Key] = gotong.RequestKey{Stream: row.Key.Stream, Actor: env.Actor.UserID, RequestID: env.RequestID}
		}
		return nil
	})
	return found, s.read(ctx, &r)
}

// decide returns the outcome of each commit, in order, and what to write. sent are
// plans whose transactions got no answer and may have been carried out: a commit
// whose record is the one that such a plan would have written is committed, not
// replayed.
func decide(v *view, batch []store.Commit, erased origins, sent []*plan) *plan {
	p := newPlan(v, len(batch))
	for i := range batch {
		c := &batch[i]
		o := p.fate(c)
		if o.Status == store.Committed {
			o.Record = p.apply(c, erased)
		}
		if o.Status == store.Replayed && slices.ContainsFunc(sent, func(earlier *plan) bool { return earlier.did(i, o.Record) }) {
			o.Status = store.Committed
		}
		p.outcomes[i] = o
	}
	return p
}

// did reports whether a record is the one that the plan would have written for
// commit i.
func (p *plan) did(i int, r store.Record) bool {
	return p.outcomes[i].Status == store.Committed && reflect.DeepEqual(p.outcomes[i].Record, r)
}

// fate returns the outcome of a commit, checked in the order of the port.
func (p *plan) fate(c *store.Commit) store.Outcome {
	if r, ok := p.records[c.Request]; ok {
		r.Salt, r.Fingerprint = slices.Clone(r.Salt), slices.Clone(r.Fingerprint)
		return store.Outcome{Status: store.Replayed, Record: r}
	}
	if r, ok := p.view.records[c.Request]; ok {
		return store.Outcome{Status: store.Replayed, Record: r}
	}
	if !c.Follows(p.head(c.Request.Stream)) {
		return store.Outcome{Status: store.Moved, Stream: c.Request.Stream}
	}
	for _, o := range c.Others {
		if p.head(o.Stream).Seq != o.Seq {
			return store.Outcome{Status: store.Moved, Stream: o.Stream}
		}
	}
	for _, claim := range c.Claims {
		_, before := p.view.claims[claim]
		if _, ok := p.claims[claim]; ok || before {
			return store.Outcome{Status: store.Taken, Claim: claim}
		}
	}
	for _, r := range c.Registers {
		if p.version(r.Key) != r.Expect {
			return store.Outcome{Status: store.Stale, Register: r.Key}
		}
	}
	return store.Outcome{Status: store.Committed}
}

// version returns the version of a register after the batch so far.
func (p *plan) version(key gotong.Key) uint64 {
	r, ok := p.registers[key]
	switch {
	case !ok:
		return p.view.registers[key].Version
	case r.Body == nil || r.Expires != 0 && r.Expires <= p.view.now:
		return 0
	default:
		return r.Expect + 1
	}
}

func (p *plan) head(stream gotong.Stream) gotong.Head {
	if h, ok := p.heads[stream]; ok {
		return h
	}
	return p.view.heads[stream]
}
