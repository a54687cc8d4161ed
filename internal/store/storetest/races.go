package storetest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var raceTests = map[string]func(*env){
	"race/twins":      racingTwins,
	"race/same seq":   racingWriters,
	"race/skew":       writeSkew,
	"race/claims":     racingClaims,
	"race/registers":  racingRegisters,
	"race/order":      tailedWriters,
	"race/snapshot":   oneMoment,
	"race/readers":    racingReaders,
	"race/jobs":       racingClaimants,
	"race/with batch": racingBatches,
}

// racers is how many goroutines do the same at once.
const racers = 32

// together runs n calls at the same moment and returns their results.
func together[T any](e *env, n int, f func(int) (T, error)) []T {
	e.Helper()
	results, errs := make([]T, n), make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			results[i], errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	e.check(errors.Join(errs...))
	return results
}

// commits races n commits, each a batch of its own.
func (e *env) commits(commits []store.Commit) []store.Outcome {
	e.Helper()
	return together(e, len(commits), func(i int) (store.Outcome, error) {
		out, err := store.CommitAll(e.ctx, e.s, commits[i:i+1])
		if err != nil {
			return store.Outcome{}, err
		}
		return out[0], nil
	})
}

func count(out []store.Outcome, s store.Status) (n int) {
	for i := range out {
		if out[i].Status == s {
			n++
		}
	}
	return n
}

// racingTwins: one request sent many times at once has one effect and one
// answer.
func racingTwins(e *env) {
	e.next(Draft{Stream: "thread/a", Events: 1})
	twins := make([]store.Commit, racers)
	for i := range twins { // as the engines of several nodes would build it: other ids, salts, times
		twins[i] = e.m.Peek(Draft{Stream: "thread/a", Events: 1, RequestID: "same"})
	}
	out := e.commits(twins)
	if count(out, store.Committed) != 1 || count(out, store.Replayed) != racers-1 {
		e.Fatalf("outcomes %+v", out)
	}
	for i := range out {
		if !reflect.DeepEqual(out[i].Record, out[0].Record) {
			e.Errorf("record %d is %+v, another's %+v", i, out[i].Record, out[0].Record)
		}
	}
	equal(e, "head", e.head("thread/a").Seq, 2)
}

// racingWriters: of many commits on one head, one is committed.
func racingWriters(e *env) {
	for range 5 {
		rivals := make([]store.Commit, racers)
		for i := range rivals {
			rivals[i] = e.m.Peek(Draft{Stream: "thread/a", Events: 1 + i%3})
		}
		out := e.commits(rivals)
		if count(out, store.Committed) != 1 || count(out, store.Moved) != racers-1 {
			e.Fatalf("outcomes %+v", out)
		}
		for i := range out {
			if out[i].Status == store.Committed {
				equal(e, "head", e.head("thread/a"), rivals[i].Head())
				e.m.heads["thread/a"] = rivals[i].Head()
			}
		}
	}
}

// writeSkew: two commits that each rest on the other's stream being where it
// was cannot both happen, batched or not.
func writeSkew(e *env) {
	for round := range 50 {
		a, b := gotong.Stream(fmt.Sprint("thread/a", round)), gotong.Stream(fmt.Sprint("thread/b", round))
		out := e.commits([]store.Commit{
			e.m.Peek(Draft{Stream: a, Events: 1, Others: []store.Expectation{{Stream: b}}}),
			e.m.Peek(Draft{Stream: b, Events: 1, Others: []store.Expectation{{Stream: a}}}),
		})
		if count(out, store.Committed) != 1 || count(out, store.Moved) != 1 {
			e.Fatalf("round %d: %+v", round, out)
		}
	}
}

func racingClaims(e *env) {
	claim := gotong.Claim{Space: "email", Name: "a@b.id"}
	rivals := make([]store.Commit, racers)
	for i := range rivals {
		rivals[i] = e.m.Peek(Draft{Stream: gotong.Stream("user/" + strconv.Itoa(i)), Events: 1, Claims: []gotong.Claim{claim}})
	}
	out := e.commits(rivals)
	if count(out, store.Committed) != 1 || count(out, store.Taken) != racers-1 {
		e.Fatalf("outcomes %+v", out)
	}
	equal(e, "positions", sum(e.positions()), 1)
}

// racingRegisters: compare-and-set loses no increment.
func racingRegisters(e *env) {
	k := key("n")
	together(e, racers, func(int) (struct{}, error) {
		for {
			r, err := store.ReadRegister(e.ctx, e.s, k)
			if err != nil {
				return struct{}{}, err
			}
			n, _ := strconv.Atoi(string(r.Body))
			err = e.s.SetRegister(e.ctx, k, r.Version, strconv.AppendInt(nil, int64(n+1), 10), 0)
			if !errors.Is(err, store.ErrConflict) {
				return struct{}{}, err
			}
		}
	})
	r, err := store.ReadRegister(e.ctx, e.s, k)
	e.check(err)
	if string(r.Body) != strconv.Itoa(racers) || r.Version != racers {
		e.Errorf("register %s, version %d", r.Body, r.Version)
	}
}

// tailedWriters: while many goroutines write, one that reads the partition from
// its cursor on sees every position once, in order, and none appears behind its
// cursor.
func tailedWriters(e *env) {
	const writers, each = 8, 40
	const home = gotong.Stream("group/busy")
	p := gotong.PartitionOf(home)
	var wg sync.WaitGroup
	var writing atomic.Int64
	writing.Store(writers)
	for i := range writers {
		wg.Go(func() {
			defer writing.Add(-1)
			stream := gotong.Stream("thread/" + strconv.Itoa(i))
			for n := range each {
				c := e.m.Next(Draft{Stream: stream, Home: home, Events: 1 + n%3})
				if out, err := store.CommitAll(e.ctx, e.s, []store.Commit{c}); err != nil || out[0].Status != store.Committed {
					e.Errorf("%+v %v", out, err)
				}
			}
		})
	}
	t := tail{seqs: map[gotong.Stream]uint64{}}
	for running := true; running; {
		running = writing.Load() > 0 // after the last writer, one more look
		for {
			rows := e.partition(p, t.cursor, math.MaxUint64, 7)
			if len(rows) == 0 {
				break
			}
			t.take(e, rows)
		}
	}
	wg.Wait()
	if t.cursor != writers*each {
		e.Errorf("the tail ended at %d", t.cursor)
	}
}

// tail checks what a reader of a partition receives.
type tail struct {
	cursor uint64
	seqs   map[gotong.Stream]uint64
}

func (t *tail) take(e *env, rows []store.Event) {
	e.Helper()
	last := t.cursor
	for i := range rows {
		row := &rows[i]
		if row.Position != last && row.Position != last+1 {
			e.Fatalf("position %d after %d", row.Position, last)
		}
		if row.Position == t.cursor || row.Seq != t.seqs[row.Stream]+1 {
			e.Fatalf("%s %d at %d, after %d at %d", row.Stream, row.Seq, row.Position, t.seqs[row.Stream], last)
		}
		last, t.seqs[row.Stream] = row.Position, row.Seq
	}
	t.cursor = last
}

// oneMoment: one Load returns the state of one moment, whatever is committed
// meanwhile.
func oneMoment(e *env) {
	const stream, commits = gotong.Stream("thread/a"), 150
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range commits {
			body := fmt.Sprintf(`{"n":%d}`, i+1)
			c := e.m.Next(Draft{Stream: stream, Events: 1, Changes: []store.Change{put("x", body), put("y", body)}})
			if _, err := store.CommitAll(e.ctx, e.s, []store.Commit{c}); err != nil {
				e.Errorf("%v", err)
				return
			}
		}
	})
	for range 3 {
		wg.Go(func() {
			for seen := uint64(0); seen < commits && !e.Failed(); {
				seen = e.sameMoment(stream, seen)
			}
		})
	}
	wg.Wait()
}

// sameMoment loads everything that a commit changes and checks that it is of one
// commit, and of none before the one that was seen last.
func (e *env) sameMoment(stream gotong.Stream, seen uint64) uint64 {
	snap, err := e.s.Load(e.ctx, store.Need{
		Documents: []gotong.Key{key("x"), key("y")},
		Ranges:    []store.KeyRange{{Collection: things, Owner: "owner", From: "x", To: "y"}},
		Events:    []store.EventRange{{Stream: stream, To: math.MaxUint64, Descending: true, Limit: 1}},
		Heads:     []gotong.Stream{stream},
	})
	if err != nil {
		e.Errorf("%v", err)
		return math.MaxUint64
	}
	n := snap.Heads[stream].Seq
	if n == 0 {
		return seen
	}
	want := fmt.Sprintf(`{"n":%d}`, n)
	if n < seen || snap.Positions[gotong.PartitionOf(stream)] != n || len(snap.Events[0]) != 1 || snap.Events[0][0].Seq != n ||
		string(snap.Documents[key("x")]) != want || string(snap.Documents[key("y")]) != want ||
		len(snap.Ranges[0]) != 2 || string(snap.Ranges[0][1].Body) != want {
		e.Errorf("at %d, seen %d: %+v", n, seen, snap)
	}
	return n
}

// racingReaders: of many readers that advance from one cursor, one does.
func racingReaders(e *env) {
	results := together(e, racers, func(i int) (bool, error) {
		name := strconv.Itoa(i)
		err := e.s.Advance(e.ctx, store.Step{
			Reader: "feed", Partition: 3, To: 1, Changes: []store.Change{put(name, `{}`)},
			Jobs: []store.Job{{Queue: "q", ID: name, Due: 1}},
		})
		if errors.Is(err, store.ErrConflict) {
			return false, nil
		}
		return true, err
	})
	won := 0
	for _, ok := range results {
		if ok {
			won++
		}
	}
	jobs, err := e.s.ClaimJobs(e.ctx, "q", 10, 20, 100)
	e.check(err)
	docs := e.documents(store.KeyRange{Collection: things, Owner: "owner", To: "~"})
	if won != 1 || len(jobs) != 1 || len(docs) != 1 || docs[0].Key.Name != jobs[0].ID {
		e.Errorf("%d won, jobs %v, documents %v", won, jobs, docs)
	}
}

// racingClaimants: no job is leased to two at once.
func racingClaimants(e *env) {
	jobs := make([]store.Job, 100)
	for i := range jobs {
		jobs[i] = store.Job{Queue: "q", ID: strconv.Itoa(i), Due: 1}
	}
	e.check(e.s.Advance(e.ctx, store.Step{Reader: "r", To: 1, Jobs: jobs}))
	claimed := together(e, 10, func(int) ([]store.Job, error) { return e.s.ClaimJobs(e.ctx, "q", 5, 50, 12) })
	seen := map[string]bool{}
	for _, some := range claimed {
		for _, job := range some {
			if seen[job.ID] {
				e.Errorf("job %s was leased twice", job.ID)
			}
			seen[job.ID] = true
		}
	}
	equal(e, "leased", len(seen), 100)
}

// racingBatches: whole batches that contend for the same streams keep seqs and
// positions without gaps.
func racingBatches(e *env) {
	together(e, 8, func(i int) (struct{}, error) {
		m := NewMaker(e.s.Epoch())
		for range 10 {
			for s := range 4 {
				stream := gotong.Stream("thread/" + strconv.Itoa(s))
				snap, err := e.s.Load(e.ctx, store.Need{Heads: []gotong.Stream{stream}})
				if err != nil {
					return struct{}{}, err
				}
				m.heads[stream] = snap.Heads[stream]
			}
			batch := make([]store.Commit, 12)
			for n := range batch {
				batch[n] = m.Next(Draft{Stream: gotong.Stream("thread/" + strconv.Itoa((n+i)%4)), Events: 1})
			}
			if _, err := store.CommitAll(e.ctx, e.s, batch); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	var total uint64
	for s := range 4 {
		total += e.verifyStream(gotong.Stream("thread/" + strconv.Itoa(s)))
	}
	equal(e, "positions", sum(e.positions()), total)
}
