package gates

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// cutEvery is the longest pause between two cuts.
const cutEvery = 400 * time.Millisecond

// cutAtRandom cuts each connection with a chance of one in three, again and
// again, until the probes' time is over or ctx is done.
func (r *run) cutAtRandom(ctx context.Context, p *proxy) {
	began := r.o.Now()
	defer func() {
		if p.count() == 0 {
			p.cutSome(func() bool { return true })
		}
	}()
	for r.since(began) < r.o.For {
		pause := time.Duration(randomNumber() % uint64(min(cutEvery, r.o.For/2))) //nolint:gosec // below a second
		if !wait(ctx, pause) {
			return
		}
		p.cutSome(func() bool { return randomNumber()%3 == 0 })
	}
}

func checkReconnect(ctx context.Context, r *run, f *findings) error {
	const way = "do not use this version with this program; report it with this table"
	p, cfg, o, err := startProxy(ctx, r.store)
	if err != nil {
		return err
	}
	defer p.close()
	writer, err := r.o.Adapter.Open(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer writer.Close() //nolint:errcheck // only the probe's
	reader, err := r.o.Adapter.Open(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer reader.Close() //nolint:errcheck // only the probe's
	direct, err := r.openStore(ctx)
	if err != nil {
		return err
	}
	defer direct.Close() //nolint:errcheck // only the probe's

	home := unused()
	t, err := newTail(ctx, direct, gotong.PartitionOf(home))
	if err != nil {
		return err
	}
	first := t.at
	acknowledged, repeats, err := r.underCuts(ctx, p, t, &retrying{writer, reader}, home)
	if err != nil {
		return err
	}
	lost, doubled, more := t.missing(acknowledged)
	there, err := partitionOf(ctx, direct, t.partition, first, t.at)
	if err != nil {
		return err
	}
	for _, fault := range t.faults {
		f.badf(way, "%s", fault)
	}
	if len(acknowledged) == 0 || p.count() == 0 {
		f.skipf(longer, "%d commits were acknowledged and %d connections cut", len(acknowledged), p.count())
		return nil
	}
	f.judgef(lost+doubled+more == 0 && len(there) == len(acknowledged), way,
		"%s commits and their follower through %d cuts of connections: %d lost, %d doubled, %d nobody wrote; "+
			"%s commits and %s reads were asked again",
		grouped(len(acknowledged)), p.count(), lost, doubled, more, grouped(repeats.writes), grouped(repeats.reads))
	return nil
}

// repeated counts what failed and was asked again.
type repeated struct{ writes, reads int }

// retrying is a node whose connections are cut: one store to write, one to read.
type retrying struct{ writer, reader store.Store }

// underCuts lets writers commit and a follower read while connections are cut.
func (r *run) underCuts(
	ctx context.Context, p *proxy, t *tail, node *retrying, home gotong.Stream,
) (acknowledged []gotong.EventID, n repeated, err error) {
	cutting, calm := context.WithCancel(ctx)
	defer calm()
	var cuts, reading, writing sync.WaitGroup
	cuts.Go(func() { r.cutAtRandom(cutting, p) })
	var done atomic.Bool
	var readErr error
	reading.Go(func() { n.reads, readErr = followThroughCuts(ctx, t, node.reader, &done) })
	var mu sync.Mutex
	var errs []error
	began := r.o.Now()
	for range orderWriters {
		writing.Go(func() {
			mine, again, err := r.writeFor(ctx, node.writer, home, began)
			mu.Lock()
			defer mu.Unlock()
			acknowledged, n.writes, errs = append(acknowledged, mine...), n.writes+again, append(errs, err)
		})
	}
	writing.Wait()
	calm()
	cuts.Wait()
	done.Store(true)
	reading.Wait()
	return acknowledged, n, errors.Join(append(errs, readErr)...)
}

// followThroughCuts goes on where it stopped when a read fails.
func followThroughCuts(ctx context.Context, t *tail, s prober, done *atomic.Bool) (again int, err error) {
	for {
		err := t.followUntil(ctx, s, done)
		if err == nil || ctx.Err() != nil || !cut(err) {
			return again, err
		}
		again++
		if !wait(ctx, patience) {
			return again, context.Cause(ctx)
		}
	}
}

// cut says that a call failed because of its connection.
func cut(err error) bool {
	var conn *surreal.ConnError
	return errors.As(err, &conn)
}
