package postgres

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/storetest"
)

var tailFor = flag.Duration("tail", 0, "how long TestTail commits (make engines, make soak)")

// pausing pauses before it hands on an answer of the server. The answer of the first
// round trip of a transaction comes while that holds its locks.
type pausing struct {
	net.Conn

	most time.Duration
}

func (c pausing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.most > 0 {
		time.Sleep(rand.N(c.most)) //nolint:forbidigo // the fault itself: a slow network; no test waits by it
	}
	return n, err //nolint:wrapcheck // passes it on
}

func pauses(most time.Duration) Options {
	return Options{Servers: primary.Options{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return pausing{c, most}, err
	}}}
}

// TestTail: for as long as the flag says, 8 committers on 2 nodes pause at random
// within their transactions, and no event appears behind the cursor of a reader.
func TestTail(t *testing.T) {
	if *tailFor == 0 {
		t.Skip("only with -tail: see make engines; TestCommits has a short one")
	}
	address := postgrestest.Start(t).Schema()
	end := time.Now().Add(*tailFor)
	f := follow(t, []*Store{opened(t, address, pauses(5*time.Millisecond)), opened(t, address, pauses(5*time.Millisecond))},
		4, func(int) bool { return time.Now().Before(end) })
	if t.Failed() {
		return
	}
	t.Logf("%d commits of 8 committers on 2 nodes, %d pages of 4 readers: every position once and in order", f.acked.Load(), f.pages.Load())
}

// tailSkipsNothing: one of two nodes pauses within its transactions.
func tailSkipsNothing(t *testing.T, address string) {
	t.Helper()
	nodes := []*Store{opened(t, address, Options{}), opened(t, address, pauses(5*time.Millisecond))}
	follow(t, nodes, 2, func(done int) bool { return done < 20 })
}

// tail is what committers and readers of two partitions share.
type tail struct {
	homes   []gotong.Stream
	acked   atomic.Uint64
	pages   atomic.Uint64
	written [gotong.Partitions]atomic.Uint64 // commits that were acknowledged
	ended   chan struct{}                    // closed after the last commit
}

// follow lets committers of every node commit while more says so, and readers on
// every node follow both partitions meanwhile.
func follow(t *testing.T, nodes []*Store, committers int, more func(done int) bool) *tail {
	t.Helper()
	f := &tail{homes: []gotong.Stream{"group/g", "group/h"}, ended: make(chan struct{})}
	if gotong.PartitionOf(f.homes[0]) == gotong.PartitionOf(f.homes[1]) {
		t.Fatal("the homes share a partition")
	}
	var writers, readers sync.WaitGroup
	for n, s := range nodes {
		for i := range committers {
			writers.Go(func() { f.commit(t, s, fmt.Sprint(n, "-", i), f.homes[i%2], more) })
		}
		for _, home := range f.homes {
			readers.Go(func() { f.read(t, s, gotong.PartitionOf(home)) })
		}
	}
	writers.Wait()
	close(f.ended)
	readers.Wait()
	return f
}

func (f *tail) commit(t *testing.T, s *Store, name string, home gotong.Stream, more func(done int) bool) {
	t.Helper()
	m := storetest.NewMaker(s.Epoch())
	for done := 0; more(done) && !t.Failed(); done++ {
		d := storetest.Draft{Stream: gotong.Stream("thread/" + name), Home: home, Events: 1 + done%3}
		out, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(d)})
		if err != nil || out[0].Status != store.Committed {
			t.Errorf("%+v %v", out, err)
			return
		}
		f.acked.Add(1)
		f.written[gotong.PartitionOf(home)].Add(1)
	}
}

// read follows a partition until it has seen every commit that was acknowledged.
func (f *tail) read(t *testing.T, s *Store, p gotong.Partition) {
	t.Helper()
	var at uint64
	for last := false; !t.Failed(); {
		select {
		case <-f.ended:
			last = true // this page begins after the last commit
		default:
		}
		rows, err := s.ReadPartition(t.Context(), p, at, math.MaxUint64, 0)
		if err != nil {
			t.Error(err)
			return
		}
		f.pages.Add(1)
		for i := range rows {
			if position := rows[i].Position; position != at && position != at+1 {
				t.Errorf("partition %d: position %d after %d", p, position, at)
				return
			}
			at = rows[i].Position
		}
		if last && len(rows) == 0 {
			if want := f.written[p].Load(); at != want {
				t.Errorf("partition %d: %d commits were read, %d acknowledged", p, at, want)
			}
			return
		}
	}
}
