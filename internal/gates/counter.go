package gates

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
)

const counterWorkers = 16

const maxAdditions = 50_000

// counter is a record, and a mark for each addition to it: an addition raises the
// record and writes a mark under its number, in one transaction. An engine that
// does not compare the writes of transactions gives a number twice or loses a
// mark. Commits of the store are rarer and would show it much later.
type counter struct{ db *surreal.Client }

func (c *counter) prepare(ctx context.Context) error {
	return c.db.Exec(ctx, "DEFINE TABLE IF NOT EXISTS counter SCHEMALESS PERMISSIONS NONE; "+
		"DEFINE TABLE IF NOT EXISTS mark SCHEMALESS PERMISSIONS NONE; UPSERT counter:t SET n = 0", nil)
}

func (c *counter) add(ctx context.Context, by string) (uint64, error) {
	results, err := c.db.Transact(ctx, []string{
		"LET $h = (UPDATE ONLY counter:t SET n += 1)",
		"CREATE mark CONTENT { id: ['t', $h.n], n: $h.n, by: $by } RETURN n",
	}, surreal.Vars{"by": by})
	if err != nil {
		return 0, err
	}
	var rows []struct {
		N uint64 `cbor:"n"`
	}
	if err := results[len(results)-1].Decode(&rows); err != nil || len(rows) != 1 {
		return 0, fmt.Errorf("a transaction answered %d rows: %w", len(rows), err)
	}
	return rows[0].N, nil
}

// mark returns the worker of the mark of a number; empty if there is no mark.
func (c *counter) mark(ctx context.Context, n uint64) (string, error) {
	var by []string
	err := c.db.Select(ctx, "SELECT VALUE by FROM $id", surreal.Vars{"id": surreal.Record("mark", "t", n)}, &by)
	if err != nil || len(by) == 0 {
		return "", err
	}
	return by[0], nil
}

// additions are the acknowledged additions: the worker, by number.
type additions struct {
	mu               sync.Mutex
	by               map[uint64]string
	twice, conflicts int
}

// checkCounter runs workers that add to one counter for a while, and then looks
// for the mark of each acknowledged addition.
func (r *run) checkCounter(ctx context.Context, f *findings) error {
	c := &counter{r.db}
	if err := c.prepare(ctx); err != nil {
		return err
	}
	told := additions{by: map[uint64]string{}}
	errs := make([]error, counterWorkers)
	var all sync.WaitGroup
	began := r.o.Now()
	for w := range counterWorkers {
		all.Go(func() {
			for n := 0; errs[w] == nil && n < maxAdditions && r.since(began) < r.o.For; n++ {
				errs[w] = told.addOne(ctx, c, fmt.Sprintf("%d-%d", w, n))
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	lost := 0
	for n, by := range told.by {
		found, err := c.mark(ctx, n)
		if err != nil {
			return err
		}
		if found != by {
			lost++
		}
	}
	told.judge(f, lost)
	return nil
}

// addOne adds once. It does not judge a conflict or an addition without an answer,
// either of which may or may not have written a mark.
func (a *additions) addOne(ctx context.Context, c *counter, by string) error {
	n, err := c.add(ctx, by)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case surreal.Conflict(err) || surreal.Exists(err):
		a.conflicts++
	case surreal.Unknown(err):
	case err != nil:
		return err
	case a.by[n] != "":
		a.twice++
	default:
		a.by[n] = by
	}
	return nil
}

func (a *additions) judge(f *findings, lost int) {
	switch {
	case len(a.by) == 0:
		f.skipf("a longer --for, or a server with less load",
			"no addition to one counter was acknowledged (%s conflicts)", grouped(a.conflicts))
	case lost+a.twice > 0:
		f.badf(byHand+"it must be rocksdb:// (or tikv://). mem and surrealkv lose acknowledged writes when writers meet",
			"of %s acknowledged additions to one counter the marks of %d are missing or another's, and %d were given a number twice",
			grouped(len(a.by)+a.twice), lost, a.twice)
	default:
		f.goodf("%s acknowledged additions to one counter by %d workers: none lost (%s conflicts, each reported)",
			grouped(len(a.by)), counterWorkers, grouped(a.conflicts))
	}
}

const probeUser = "gates"

func unused() gotong.Stream {
	return gotong.NewStream("gate", strings.ToLower(rand.Text()))
}

// write commits one draft that nothing competes with.
func (r *run) write(ctx context.Context, s store.Committer, m *storetest.Maker, d storetest.Draft) error {
	d.Actor, d.At = probeUser, r.o.Now()
	out, err := store.CommitAll(ctx, s, []store.Commit{m.Next(d)})
	if err == nil && out[0].Status != store.Committed {
		err = fmt.Errorf("a commit of a probe has status %d", out[0].Status)
	}
	return err
}
