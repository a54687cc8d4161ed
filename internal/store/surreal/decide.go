package surreal

import (
	"context"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// view is the state by which the outcomes of a batch are decided: guessed from
// what the batch itself expects, or read in one snapshot.
type view struct {
	store.View

	closed error
	epoch  gotong.Epoch // under which the commits were chained
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
	v := &view{epoch: s.Epoch(), View: store.View{
		Positions: s.known.get(), Heads: map[gotong.Stream]gotong.Head{},
		Now: s.Now(), Registers: map[gotong.Key]store.Register{},
	}}
	for i := range batch {
		if _, ok := v.Heads[batch[i].Request.Stream]; !ok {
			v.Heads[batch[i].Request.Stream] = batch[i].Prev
		}
	}
	for i := range batch {
		for _, r := range batch[i].Registers {
			if _, ok := v.Registers[r.Key]; !ok {
				v.Registers[r.Key] = store.Register{Version: r.Expect}
			}
		}
		for _, other := range batch[i].Others {
			if _, ok := v.Heads[other.Stream]; !ok {
				v.Heads[other.Stream] = gotong.Head{Seq: other.Seq}
			}
		}
	}
	return v
}

// look reads everything on which the outcomes of a batch depend.
func (s *Store) look(ctx context.Context, need *store.Need) (*view, error) {
	v := &view{epoch: s.Epoch(), View: store.View{
		Heads:     map[gotong.Stream]gotong.Head{},
		Records:   map[gotong.RequestKey]store.Record{},
		Claims:    map[gotong.Claim]gotong.Stream{},
		Registers: map[gotong.Key]store.Register{},
		Now:       s.Now(),
	}}
	var r reading
	r.gate(v.epoch, func(err error) { v.closed = err })
	r.positions(func(all [gotong.Partitions]uint64) { v.Positions = all })
	r.heads(need.Heads, v.Heads)
	r.records(need.Records, v.Records)
	r.claims(need.Claims, v.Claims)
	r.registersOf(need.Registers, v.Now, v.Registers)
	if err := s.read(ctx, &r); err != nil {
		return nil, err
	}
	s.known.raise(v.Positions)
	return v, nil
}

// origins reads the requests of the events that a batch erases. Data never changes,
// so this may happen before the outcomes are decided. An event that does not exist is
// absent.
func (s *Store) origins(ctx context.Context, erases []store.EventKey) (map[store.EventKey]gotong.RequestKey, error) {
	if len(erases) == 0 {
		return nil, nil
	}
	var r reading
	type row struct {
		_   struct{} `cbor:",toarray"`
		Key struct {
			_      struct{} `cbor:",toarray"`
			Stream gotong.Stream
			Seq    uint64
		}
		Data string
	}
	found := map[store.EventKey]gotong.RequestKey{}
	ids := idsOf(erases, func(k store.EventKey) surreal.RecordID { return surreal.Record("event", string(k.Stream), k.Seq) })
	part(&r, "SELECT VALUE [record::id(id), data] FROM "+r.param(ids)+" WHERE data != NONE", func(rows []row) error {
		for _, row := range rows {
			e := store.Event{Stream: row.Key.Stream, Data: []byte(row.Data)}
			request, err := e.Request()
			if err != nil {
				return store.ErrCorrupt
			}
			found[store.EventKey{Stream: row.Key.Stream, Seq: row.Key.Seq}] = request
		}
		return nil
	})
	return found, s.read(ctx, &r)
}
