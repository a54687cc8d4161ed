package gates

import (
	"context"
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// maxUnknown bounds the cuts of the probe.
const maxUnknown = 200

const unknownWay = "do not use this version with this program: what became of a request could not be told; report it with this table"

func checkUnknown(ctx context.Context, r *run, f *findings) error {
	if err := r.unknownBare(ctx, f); err != nil {
		return err
	}
	return r.unknownStore(ctx, f)
}

// unknownBare cuts right after a transaction was sent and asks the client what
// it knows, and the record, which tells the fate.
func (r *run) unknownBare(ctx context.Context, f *findings) error {
	p, cfg, o, err := startProxy(ctx, r.scratch.config(rawDatabase))
	if err != nil {
		return err
	}
	defer p.close()
	if err := r.db.Exec(ctx, "DEFINE TABLE IF NOT EXISTS fate SCHEMALESS PERMISSIONS NONE", nil); err != nil {
		return err
	}
	db, err := surreal.Open(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer db.Close()
	var b bareFates
	began := r.o.Now()
	for no := 0; no < maxUnknown && r.since(began) < r.o.For/2; no++ {
		if err := b.try(ctx, p, db, r.db, no); err != nil {
			return err
		}
	}
	f.judgef(b.wrong == 0 && b.cuts > 0, unknownWay,
		"bare transactions: %d cut right after they were sent: %d had been done, %d not; "+
			"the client said \"unknown\" of %d, and the wrong of %d",
		b.cuts, b.done, b.cuts-b.done, b.unknown, b.wrong)
	return nil
}

type bareFates struct{ cuts, done, unknown, wrong int }

// padding makes a request of a probe bigger than any ping.
var padding = make([]byte, 2*requestSize)

func (b *bareFates) try(ctx context.Context, p *proxy, db, direct *surreal.Client, no int) error {
	id := surreal.Record("fate", no)
	p.arm()
	_, failed := db.Transact(ctx, []string{"CREATE $id SET n = 1, pad = $pad RETURN NONE"}, surreal.Vars{"id": id, "pad": padding})
	p.disarm()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// The same record again: it either exists, or is made now. Whoever comes
	// second, the server settles it.
	again := direct.Exec(ctx, "CREATE $id SET n = 2 RETURN NONE", surreal.Vars{"id": id})
	for surreal.Conflict(again) && ctx.Err() == nil {
		again = direct.Exec(ctx, "CREATE $id SET n = 2 RETURN NONE", surreal.Vars{"id": id})
	}
	if again != nil && !surreal.Exists(again) {
		return again
	}
	done := surreal.Exists(again)
	b.cuts++
	if done {
		b.done++
	}
	switch {
	case surreal.Unknown(failed):
		b.unknown++
	case failed == nil && !done, failed != nil && done:
		b.wrong++ // it claimed to know, and did not
	}
	return nil
}

// storeFates is what became of commits that were cut.
type storeFates struct{ cuts, errors, done, replayed, wrong int }

// unknownStore does the same through the adapter, which asks the record itself.
func (r *run) unknownStore(ctx context.Context, f *findings) error {
	p, cfg, o, err := startProxy(ctx, r.store)
	if err != nil {
		return err
	}
	defer p.close()
	s, err := r.o.Adapter.Open(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // only the probe's
	direct, err := r.openStore(ctx)
	if err != nil {
		return err
	}
	defer direct.Close() //nolint:errcheck // only the probe's
	var fates storeFates
	stream := unused()
	var head gotong.Head
	began := r.o.Now()
	for no := 0; no < maxUnknown && r.since(began) < r.o.For/2; no++ {
		c, err := r.commit(s.Epoch(), draft{stream: stream, home: stream, request: fmt.Sprint("u", no), prev: head, events: 1})
		if err != nil {
			return err
		}
		if err := fates.try(ctx, p, s, direct, c); err != nil {
			return err
		}
		head = c.Head()
	}
	events, _, err := streamOf(ctx, direct, stream)
	if err != nil {
		return err
	}
	f.judgef(fates.wrong == 0 && fates.cuts > 0 && uint64(len(events)) == head.Seq, unknownWay,
		"commits of the store: %d cut right after they were sent: %d settled by itself, %d answered \"unknown\"; "+
			"asked again %d were replayed, %d with another fate than their record; %d events of %d requests",
		fates.cuts, fates.done, fates.errors, fates.replayed, fates.wrong, len(events), head.Seq)
	return nil
}

func (s *storeFates) try(ctx context.Context, p *proxy, node, direct store.Store, c store.Commit) error {
	before := p.count()
	p.arm()
	_, failed := node.Commit(ctx, []store.Commit{c})
	p.disarm()
	s.cuts += min(1, p.count()-before)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case failed == nil:
		s.done++
	case cut(failed):
		s.errors++
	default:
		return failed
	}
	snap, err := direct.Load(ctx, store.Need{Records: []gotong.RequestKey{c.Request}})
	if err != nil {
		return err
	}
	_, recorded := snap.Records[c.Request]
	_, status, err := settle(ctx, direct, c)
	if err != nil {
		return errors.Join(errors.New("a commit could not be asked again"), err)
	}
	if status == store.Replayed {
		s.replayed++
	}
	if recorded && status != store.Replayed || failed == nil && !recorded {
		s.wrong++
	}
	return nil
}
