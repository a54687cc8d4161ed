package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/store"
)

// The cases for stores that reach their database over connections.
var cutTests = map[string]func(*env){
	"cuts/commit":   cutCommits,
	"cuts/register": cutRegister,
	"cuts/follower": cutFollower,
}

// through opens one more node whose connections a proxy can cut.
func (e *env) through() (store.Whole, *netfault.Proxy) {
	e.Helper()
	if definite := e.harness.Properties.Definite; definite.Holds {
		e.Skipf("%s", definite.Why)
	}
	s, p, err := e.harness.Through(e.options())
	e.check(err)
	e.Cleanup(func() { p.Accept(); e.check(s.Close()); p.Close() })
	return s, p
}

// cutCommits: a batch whose request or answer is lost on the way is committed
// once all the same, and reported as committed.
func cutCommits(e *env) {
	s, p := e.through()
	m := NewMaker(s.Epoch())
	commits := uint64(0)
	for _, lose := range []func(int){p.LoseRequest, p.LoseAnswer} {
		for after := range 3 { // 0: the transaction itself; then what the store asks about it
			before := p.Cuts()
			lose(after)
			out, err := store.CommitAll(e.ctx, s, []store.Commit{
				m.Next(Draft{Stream: "thread/a", Events: 2}), m.Next(Draft{Stream: "thread/a", Events: 1}), m.Next(Draft{Stream: "thread/a"}),
			})
			e.check(err)
			for i := range out {
				if out[i].Status != store.Committed {
					e.Errorf("cut after %d: commit %d is %+v", after, i, out[i])
				}
			}
			lose(-1)
			if after == 0 && p.Cuts() == before {
				e.Errorf("nothing was cut")
			}
			commits += 2
			equal(e, "position", out[1].Record.Position, commits)
			equal(e, "head", e.head("thread/a"), m.Head("thread/a"))
		}
	}
	equal(e, "events", len(e.partition(gotong.PartitionOf("thread/a"), 0, math.MaxUint64, 0)), int(commits/2*3))
}

// cutRegister: a register whose answer is lost is written once or not at all,
// and never reported as a conflict.
func cutRegister(e *env) {
	s, p := e.through()
	p.LoseAnswer(0)
	err := s.SetRegister(e.ctx, key("n"), 0, []byte("x"), 0)
	r, readErr := store.ReadRegister(e.ctx, e.s, key("n"))
	e.check(readErr)
	if errors.Is(err, store.ErrConflict) || err == nil && r.Version != 1 || r.Version > 1 {
		e.Errorf("set: %v; the register is %+v", err, r)
	}
}

// cutFollower: writers, and a reader that follows them, lose nothing and see
// nothing twice, although all their connections are cut again and again.
func cutFollower(e *env) {
	const rounds, writers = 25, 4
	const home = gotong.Stream("group/g")
	writer, toWriter := e.through()
	reader, toReader := e.through()
	var got acked
	began := time.Now()
	var writing atomic.Bool
	writing.Store(true)
	var others sync.WaitGroup
	t := tail{seqs: map[gotong.Stream]uint64{}}
	others.Go(func() { followOn(e, reader, home, &t, &writing) })
	others.Go(func() { cutWhile(e.ctx, &writing, toWriter, toReader) })
	together(e, writers, func(w int) (struct{}, error) {
		return struct{}{}, writeOwn(e, writer, &got, home, fmt.Sprint("thread/", w), func(n int) bool { return e.goes(began, n, rounds) })
	})
	writing.Store(false)
	others.Wait()
	got.compare(e, e.s, home, 0)
	if t.cursor != uint64(len(got.records)) {
		e.Errorf("the follower came to position %d of %d", t.cursor, len(got.records))
	}
	if toWriter.Cuts() == 0 {
		e.Errorf("nothing was cut")
	}
	e.figuref("%d commits and their follower through %d cut connections: none lost, none doubled; %d requests were repeated",
		len(got.records), toWriter.Cuts()+toReader.Cuts(), got.repeats)
}

// cutWhile cuts each connection with a chance of one in three, at random
// moments, and the writers' at least once.
func cutWhile(ctx context.Context, writing *atomic.Bool, toWriter, toReader *netfault.Proxy) {
	for first := true; writing.Load(); first = false {
		pause(ctx, time.Duration(5+rand.IntN(60))*time.Millisecond)
		toWriter.CutSome(func() bool { return first || rand.IntN(3) == 0 })
		toReader.CutSome(func() bool { return rand.IntN(3) == 0 })
	}
}
