package gates

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// race is two transactions that must not both be committed: a post by somebody
// who must be a member, and the removal of that member, which must see no post.
type race interface {
	// begin makes what the two are about.
	begin(ctx context.Context, no int) error
	// post and remove report whether they were committed.
	post(ctx context.Context, no int) (bool, error)
	remove(ctx context.Context, no int) (bool, error)
}

// races is what became of the trials.
type races struct{ trials, both, neither int }

// maxRaces bounds the trials, and with them the rows they leave.
const maxRaces = 2000

// runRaces lets pairs race, one after the other, for a while.
func (r *run) runRaces(ctx context.Context, pair race) (races, error) {
	var seen races
	began := r.o.Now()
	for no := 0; no < maxRaces && r.since(began) < r.o.For/2; no++ {
		if err := pair.begin(ctx, no); err != nil {
			return seen, err
		}
		var posted, removed bool
		var errs [2]error
		var both sync.WaitGroup
		both.Go(func() { posted, errs[0] = pair.post(ctx, no) })
		both.Go(func() { removed, errs[1] = pair.remove(ctx, no) })
		both.Wait()
		if err := errors.Join(errs[0], errs[1]); err != nil {
			return seen, err
		}
		seen.trials++
		switch {
		case posted && removed:
			seen.both++
		case !posted && !removed:
			seen.neither++
		}
	}
	return seen, nil
}

func checkWriteSkew(ctx context.Context, r *run, f *findings) error {
	const way = "do not use this engine: transactions that write the same record do not exclude each other"
	bare := &bareRace{db: r.db}
	if err := bare.prepare(ctx); err != nil {
		return err
	}
	free, err := r.runRaces(ctx, bare)
	if err != nil {
		return err
	}
	f.goodf("without a shared written row %d of %s pairs were both committed (snapshot isolation lets them; the store never relies on it)",
		free.both, grouped(free.trials))
	bare = &bareRace{db: r.db, guarded: true}
	guarded, err := r.runRaces(ctx, bare)
	if err != nil {
		return err
	}
	f.judgef(guarded.both == 0 && guarded.trials > 0, way,
		"with a shared written row %d of %s pairs were both committed", guarded.both, grouped(guarded.trials))
	nodes, closeAll, err := r.openStores(ctx, 2)
	if err != nil {
		return err
	}
	defer closeAll()
	pairs, err := r.runRaces(ctx, &storeRace{r: r, nodes: nodes, seen: map[int][2]gotong.Stream{}})
	if err != nil {
		return err
	}
	f.judgef(pairs.both == 0 && pairs.trials > 0, way,
		"through the store: %d of %s pairs of commits that rest on each other's heads were both committed",
		pairs.both, grouped(pairs.trials))
	return nil
}

// bareRace is the pair without the adapter.
type bareRace struct {
	db      *surreal.Client
	guarded bool // both write one shared record
}

func (p *bareRace) prepare(ctx context.Context) error {
	return p.db.Exec(ctx, "DEFINE TABLE IF NOT EXISTS member SCHEMALESS PERMISSIONS NONE; "+
		"DEFINE TABLE IF NOT EXISTS post SCHEMALESS PERMISSIONS NONE; DEFINE TABLE IF NOT EXISTS guard SCHEMALESS PERMISSIONS NONE", nil)
}

func (p *bareRace) ids(no int) surreal.Vars {
	return surreal.Vars{
		"member": surreal.Record("member", p.guarded, no), "post": surreal.Record("post", p.guarded, no),
		"guard": surreal.Record("guard", p.guarded, no),
	}
}

func (p *bareRace) begin(ctx context.Context, no int) error {
	return p.db.Exec(ctx, "CREATE $member SET n = 1 RETURN NONE; CREATE $guard SET n = 0 RETURN NONE", p.ids(no))
}

func (p *bareRace) post(ctx context.Context, no int) (bool, error) {
	return p.try(ctx, no, "IF array::len((SELECT VALUE id FROM $member)) = 0 { THROW 'no member' }", "CREATE $post SET n = 1 RETURN NONE")
}

func (p *bareRace) remove(ctx context.Context, no int) (bool, error) {
	return p.try(ctx, no, "IF array::len((SELECT VALUE id FROM $post)) > 0 { THROW 'has posted' }", "DELETE $member RETURN NONE")
}

func (p *bareRace) try(ctx context.Context, no int, statements ...string) (bool, error) {
	if p.guarded {
		statements = append(statements, "UPDATE $guard SET n += 1 RETURN NONE")
	}
	_, err := p.db.Transact(ctx, statements, p.ids(no))
	if _, thrown := surreal.Thrown(err); thrown || surreal.Conflict(err) {
		return false, nil
	}
	return err == nil, err
}

// storeRace is the pair as the adapter makes it: two streams, each commit rests
// on the other's head too. Each of the pair comes from a node of its own.
type storeRace struct {
	r     *run
	nodes []store.Store
	seen  map[int][2]gotong.Stream
	heads [2]gotong.Head
}

func (p *storeRace) begin(ctx context.Context, no int) error {
	pair := [2]gotong.Stream{unused(), unused()}
	p.seen[no] = pair
	for i, stream := range pair {
		c, err := p.r.tryCommit(ctx, p.nodes[i], draft{stream: stream, home: pair[0], request: "begin", events: 1})
		if err != nil {
			return err
		}
		p.heads[i] = c.Head()
	}
	return nil
}

func (p *storeRace) post(ctx context.Context, no int) (bool, error)   { return p.move(ctx, no, 0) }
func (p *storeRace) remove(ctx context.Context, no int) (bool, error) { return p.move(ctx, no, 1) }

func (p *storeRace) move(ctx context.Context, no, i int) (bool, error) {
	pair, other := p.seen[no], 1-i
	c, err := p.r.commit(p.nodes[i].Epoch(), draft{
		stream: pair[i], home: pair[0], request: "move", prev: p.heads[i], events: 1,
		others: []store.Expectation{{Stream: pair[other], Seq: p.heads[other].Seq}},
	})
	if err != nil {
		return false, err
	}
	out, err := p.nodes[i].Commit(ctx, []store.Commit{c})
	if surreal.Conflict(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if s := out[0].Status; s != store.Committed && s != store.Moved {
		return false, fmt.Errorf("a commit of a probe was given fate %d", s)
	}
	return out[0].Status == store.Committed, nil
}
