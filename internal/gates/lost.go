package gates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// lostWorkers is how many add to one counter.
const lostWorkers = 16

// counter is what the probe adds to: each addition leaves a mark under its
// number, in one transaction.
type counter interface {
	// add raises the counter by one and leaves the mark by; errBusy, or a
	// conflict of the client, where nothing was done and it may try again.
	add(ctx context.Context, by string) (n uint64, err error)
	// marks is every mark that is there, and the counter's value.
	marks(ctx context.Context) (by map[uint64]string, value uint64, err error)
}

// additions is what the probe saw.
type additions struct {
	workers                  int
	acknowledged, conflicts  int
	unknown                  int
	lost, overwritten, twice int    // of the acknowledged
	value, marks             uint64 // at the end
}

func (a *additions) fine() bool {
	return a.lost == 0 && a.overwritten == 0 && a.twice == 0 && a.value == a.marks &&
		a.value >= uint64(a.acknowledged) && a.value <= uint64(a.acknowledged+a.unknown) //nolint:gosec // counts
}

// longer is the way out where a probe did too little.
const longer = "a longer --for, or a server with less load"

// maxAdditions bounds what one worker remembers.
const maxAdditions = 50_000

type addition struct {
	n  uint64
	by string
}

// hammer lets workers add to a counter for a while and then looks whether what
// was acknowledged is there.
func (r *run) hammer(ctx context.Context, c counter, workers int) (additions, error) {
	a := additions{workers: workers}
	var acked []addition
	var mu sync.Mutex
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	began := r.o.Now()
	for w := range workers {
		all.Go(func() {
			mine, conflicts, unknown, err := r.addFor(ctx, c, w, began)
			if err != nil {
				cancel(err) // the others need not go on
			}
			mu.Lock()
			defer mu.Unlock()
			acked, a.conflicts, a.unknown = append(acked, mine...), a.conflicts+conflicts, a.unknown+unknown
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return a, context.Cause(ctx)
	}
	by, value, err := c.marks(ctx)
	if err != nil {
		return a, fmt.Errorf("reading what was written: %w", err)
	}
	a.compare(acked, by, value)
	return a, nil
}

// addFor is one worker.
func (r *run) addFor(
	ctx context.Context, c counter, worker int, began gotong.Instant,
) (acked []addition, conflicts, unknown int, err error) {
	for try := 0; r.since(began) < r.o.For && len(acked) < maxAdditions && ctx.Err() == nil; try++ {
		by := fmt.Sprintf("%d-%d", worker, try)
		n, err := c.add(ctx, by)
		switch {
		case err == nil:
			acked = append(acked, addition{n, by})
		case errors.Is(err, errBusy) || surreal.Conflict(err) || surreal.Exists(err):
			conflicts++
		case surreal.Unknown(err):
			unknown++
		default:
			return acked, conflicts, unknown, err
		}
	}
	return acked, conflicts, unknown, nil
}

// compare looks for each acknowledged mark.
func (a *additions) compare(acked []addition, by map[uint64]string, value uint64) {
	a.acknowledged, a.value, a.marks = len(acked), value, uint64(len(by))
	seen := map[uint64]bool{}
	for _, add := range acked {
		switch found, ok := by[add.n]; {
		case seen[add.n]:
			a.twice++
		case !ok:
			a.lost++
		case found != add.by:
			a.overwritten++
		}
		seen[add.n] = true
	}
}

const lostWay = "do not use this engine: it loses what it has acknowledged. " +
	"rocksdb of SurrealDB 2.6 and 3.0 passed wherever it was tried; " +
	"mem and surrealkv fail"

func (a *additions) tell(f *findings, shape string) {
	if a.acknowledged == 0 && a.fine() {
		f.skipf(longer, "%s: not one addition was acknowledged (%s conflicts, %d without an answer)",
			shape, grouped(a.conflicts), a.unknown)
		return
	}
	if a.fine() {
		f.goodf("%s: none lost seen in %s acknowledged additions by %d workers (%s conflicts, each told; %d without an answer)",
			shape, grouped(a.acknowledged), a.workers, grouped(a.conflicts), a.unknown)
		return
	}
	f.badf(lostWay,
		"%s: of %s acknowledged additions %d are missing, %d overwritten, %d given the same number; the counter says %d, there are %d",
		shape, grouped(a.acknowledged), a.lost, a.overwritten, a.twice, a.value, a.marks)
}

func checkLostUpdate(ctx context.Context, r *run, f *findings) error {
	if err := r.lostBare(ctx, f); err != nil {
		return err
	}
	nodes, closeAll, err := r.openStores(ctx, 2)
	if err != nil {
		return err
	}
	defer closeAll()
	stream := unused()
	c := &storeCounter{r: r, stream: stream}
	for _, s := range nodes {
		c.nodes = append(c.nodes, s)
	}
	a, err := r.hammer(ctx, c, lostWorkers)
	if err != nil {
		return err
	}
	a.tell(f, "commits of two nodes to one stream")
	return nil
}

func (r *run) lostBare(ctx context.Context, f *findings) error {
	c := &bareCounter{db: r.db}
	if err := c.prepare(ctx); err != nil {
		return err
	}
	a, err := r.hammer(ctx, c, lostWorkers)
	if err != nil {
		return err
	}
	a.tell(f, "bare transactions on one counter")
	return nil
}

// bareCounter is a record and its marks, without the adapter.
type bareCounter struct{ db *surreal.Client }

func (c *bareCounter) prepare(ctx context.Context) error {
	return c.db.Exec(ctx, "DEFINE TABLE IF NOT EXISTS counter SCHEMALESS PERMISSIONS NONE; "+
		"DEFINE TABLE IF NOT EXISTS mark SCHEMALESS PERMISSIONS NONE; UPSERT counter:t SET n = 0", nil)
}

func (c *bareCounter) add(ctx context.Context, by string) (uint64, error) {
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

func (c *bareCounter) marks(ctx context.Context) (map[uint64]string, uint64, error) {
	var value []uint64
	if err := c.db.Select(ctx, "SELECT VALUE n FROM counter:t", nil, &value); err != nil || len(value) != 1 {
		return nil, 0, fmt.Errorf("the counter has %d rows: %w", len(value), err)
	}
	by := map[uint64]string{}
	// Some marks may lie beyond a counter that went back.
	for from, end := uint64(1), value[0]+maxAdditions/10; from <= end; from += readPage {
		var page []struct {
			_  struct{} `cbor:",toarray"`
			N  uint64
			By string
		}
		ids := surreal.RecordID{Table: "mark", Key: surreal.Range{From: []any{"t", from}, To: []any{"t", from + readPage - 1}}}
		if err := c.db.Select(ctx, "SELECT VALUE [n, by] FROM $ids", surreal.Vars{"ids": ids}, &page); err != nil {
			return nil, 0, err
		}
		for _, m := range page {
			by[m.N] = m.By
		}
	}
	return by, value[0], nil
}

// storeCounter is a stream of the adapter: each addition is a commit on the
// head, its number the event's seq, its mark the request.
type storeCounter struct {
	r      *run
	nodes  []prober
	stream gotong.Stream
}

func (c *storeCounter) add(ctx context.Context, by string) (uint64, error) {
	worker, _, _ := strings.Cut(by, "-")
	no, err := strconv.Atoi(worker)
	if err != nil {
		return 0, err
	}
	node := c.nodes[no%len(c.nodes)]
	done, err := c.r.tryCommit(ctx, node, draft{stream: c.stream, home: c.stream, request: by, events: 1})
	if err != nil {
		return 0, err
	}
	return done.Head().Seq, nil
}

func (c *storeCounter) marks(ctx context.Context) (map[uint64]string, uint64, error) {
	events, head, err := streamOf(ctx, c.nodes[0], c.stream)
	if err != nil {
		return nil, 0, err
	}
	by := map[uint64]string{}
	for i := range events {
		var env store.Envelope[struct{}]
		if err := json.Unmarshal(events[i].Data, &env); err != nil {
			return nil, 0, err
		}
		by[events[i].Seq] = env.RequestID
	}
	return by, head.Seq, nil
}

// patience between two looks at something that comes by itself.
const patience = 10 * time.Millisecond

// wait is that pause; false where ctx is done.
func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
