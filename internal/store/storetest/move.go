package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var moveTests = map[string]func(*env){
	"move/rows":            moveRows,
	"move/state":           moveState,
	"move/sealed":          moveSealed,
	"move/seal in a run":   moveSealWhileBusy,
	"move/restore":         moveRestore,
	"move/restore refuses": moveRestoreRefuses,
	"move/restore once":    moveRestoreOnce,
	"move/unfinished":      moveUnfinished,
	"move/renew":           moveRenew,
}

// fill writes some of everything: erased content, no-ops, an expired register,
// a leased job.
func (e *env) fill() {
	e.Helper()
	for i := range 5 {
		stream := gotong.Stream(fmt.Sprint("thread/", i))
		e.next(Draft{
			Stream: stream, Home: gotong.Stream(fmt.Sprint("group/", i%2)), Events: 3, Bare: i == 3,
			Claims: []gotong.Claim{{Space: "name", Name: fmt.Sprint(i)}}, Changes: []store.Change{put(fmt.Sprint(i), `{"n":1}`)},
		})
		e.next(Draft{Stream: stream, Actor: "u2", Events: 1, Audience: gotong.ForRole("owner"), Erase: []uint64{2}})
		e.next(Draft{Stream: stream, RequestID: "noop"})
		e.set(key(fmt.Sprint("r", i)), 0, "first", 0, true)
		e.set(key(fmt.Sprint("r", i)), 1, "second", e.now()+gotong.Instant(i*1000), true)
	}
	e.next(Draft{Stream: "thread/only-noops", Home: "group/0"})
	e.jobs(store.Job{Queue: "q", ID: "a", Due: 5, Attempt: 2, Body: []byte("b")}, store.Job{Queue: "q", ID: "b", Due: 7})
	e.check(e.s.Advance(e.ctx, store.Step{Reader: "at the beginning", Partition: 3}))
	if got := e.claim("q", 6, 50, 1); len(got) != 1 {
		e.Errorf("claimed %v", got)
	}
	e.clock.Add(1500) // two registers have expired
}

func (e *env) contents(limit int) Contents {
	e.Helper()
	c, err := Read(e.ctx, e.s, limit)
	e.check(err)
	return c
}

func (e *env) state() store.State {
	e.Helper()
	state, err := e.s.State(e.ctx)
	e.check(err)
	return state
}

// moveRows: every row comes exactly once whatever the size of the pages.
func moveRows(e *env) {
	e.fill()
	all := e.contents(0)
	for _, limit := range []int{1, 2, 7} {
		equal(e, fmt.Sprint("pages of ", limit), e.contents(limit), all)
	}
	r := all.Rows
	counts := []int{len(r.Streams), len(all.Records()), len(r.Claims), len(r.Registers), len(r.Cursors), len(r.Jobs)}
	equal(e, "streams, records, claims, registers, cursors, jobs", counts, []int{5, 16, 5, 3, 1, 2})
	for _, row := range r.Streams {
		equal(e, "head of "+string(row.Stream), row.Head, e.head(row.Stream))
	}
	for _, row := range all.Records() {
		got, _ := e.record(row.Request)
		equal(e, "record", row, got)
	}
	for _, row := range r.Claims {
		equal(e, "claim", row.Stream, e.load(store.Need{Claims: []gotong.Claim{row.Claim}}).Claims[row.Claim])
	}
	for _, row := range r.Registers {
		equal(e, "register", row, e.register(row.Key))
	}
	if _, err := e.s.Rows(e.ctx, 99, "", 0); err == nil {
		e.Errorf("an unknown section was read")
	}
}

func moveState(e *env) {
	state := e.state()
	equal(e, "new", state, store.State{Eras: store.FirstEra(e.s.Epoch()), Empty: true})
	e.set(key("r"), 0, "x", 0, true)
	if e.state().Empty {
		e.Errorf("a register is nothing")
	}
	e.set(key("r"), 1, "", 0, true)
	if !e.state().Empty {
		e.Errorf("a register that was deleted is something")
	}
	e.next(Draft{Stream: "thread/a"})
	if e.state().Empty {
		e.Errorf("the record of a no-op is nothing")
	}
}

// refused checks that every write fails with why and that reads continue.
func (e *env) refused(why error) {
	e.Helper()
	for name, err := range everything(e.ctx, e.s, e.m.Peek(Draft{Stream: "thread/a", Events: 1})) {
		want := error(nil)
		if slices.Contains([]string{"Commit", "SetRegister", "Advance", "ClaimJobs", "SettleJob"}, name) {
			want = why
		}
		if !errors.Is(err, want) {
			e.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

// moveSealed: a seal stops every write and nothing else, also after a restart,
// until it is removed.
func moveSealed(e *env) {
	e.fill()
	before := e.contents(0)
	e.check(e.s.Seal(e.ctx, "elsewhere"))
	e.check(e.s.Seal(e.ctx, "surreal://db"))
	e.refused(store.ErrSealed)
	e.restart()
	e.refused(store.ErrSealed)
	if err := e.s.Renew(e.ctx, "another"); !errors.Is(err, store.ErrSealed) {
		e.Errorf("renewed: %v", err)
	}
	if err := e.s.Restore(e.ctx, first(e.s.Epoch())); !errors.Is(err, store.ErrSealed) {
		e.Errorf("restored: %v", err)
	}
	after := e.contents(0)
	equal(e, "note", after.State.Sealed, "surreal://db")
	after.State.Sealed = ""
	equal(e, "contents", after, before)
	e.check(e.s.Seal(e.ctx, ""))
	e.next(Draft{Stream: "thread/0", Events: 1})
	equal(e, "state", e.state().Sealed, "")
}

// moveSealWhileBusy: nothing becomes visible once Seal has returned.
func moveSealWhileBusy(e *env) {
	var wg sync.WaitGroup
	var acked atomic.Int64
	enough := make(chan struct{})
	stop := sync.OnceFunc(func() { close(enough) })
	for i := range 4 {
		wg.Go(func() {
			defer stop()
			for n := range math.MaxInt {
				c := e.m.Next(Draft{Stream: gotong.Stream(fmt.Sprintf("thread/%d-%d", i, n)), Events: 1})
				_, err := store.CommitAll(e.ctx, e.s, []store.Commit{c})
				if err == nil {
					err = e.s.SetRegister(e.ctx, key(fmt.Sprint(i, "-", n)), 0, []byte("x"), 0)
				}
				if err != nil {
					if !errors.Is(err, store.ErrSealed) {
						e.Errorf("while it was sealed: %v", err)
					}
					return
				}
				if acked.Add(1) == 20 {
					stop()
				}
			}
		})
	}
	<-enough
	e.check(e.s.Seal(e.ctx, "elsewhere"))
	sealed := e.contents(0)
	wg.Wait()
	equal(e, "contents", e.contents(0), sealed)
	if n := int64(len(sealed.Rows.Registers)); n < acked.Load() {
		e.Errorf("%d registers of %d that were acknowledged", n, acked.Load())
	}
}

func first(epoch gotong.Epoch) store.Restoring {
	return store.Restoring{To: "1", Eras: store.FirstEra(epoch)}
}

// moveRestore: what was read from one store and restored into another is
// unchanged there, and the log continues.
func moveRestore(e *env) {
	e.fill()
	e.check(e.s.Renew(e.ctx, "second00"))
	e.m.Epoch = "second00"
	e.next(Draft{Stream: "thread/1", Events: 2})
	from := e.contents(0)
	e.check(e.s.Close())
	e.harness = e.again()
	e.open()
	steps := []store.Restoring{{Eras: from.State.Eras}, {Rows: store.Rows{Streams: from.Rows.Streams}}}
	for _, commits := range from.Commits {
		if len(commits) > 0 {
			half := len(commits) / 2
			steps = append(steps, store.Restoring{Commits: commits[:half], Documents: []store.Change{put("x", `{"n":1}`), put("y", `{}`)}},
				store.Restoring{Commits: commits[half:], Documents: []store.Change{put("x", `{"n":2}`), {Key: key("y")}}})
		}
	}
	rows := from.Rows
	rows.Streams = nil
	rows.Jobs = slices.Clone(rows.Jobs)
	rows.Jobs[0].Lease = 99
	steps = append(steps, store.Restoring{Rows: rows}, store.Restoring{})
	for i := range steps {
		steps[i].From, steps[i].To = fmt.Sprint(i), fmt.Sprint(i+1)
		if i == 0 {
			steps[i].From = ""
		}
		if i == len(steps)-1 {
			steps[i].To = ""
		}
		e.check(e.s.Restore(e.ctx, steps[i]))
		if err := e.s.Restore(e.ctx, steps[i]); !errors.Is(err, store.ErrConflict) {
			e.Errorf("step %d twice: %v", i, err)
		}
	}
	equal(e, "epoch", e.s.Epoch(), "second00")
	equal(e, "contents", e.contents(3), from)
	e.restart()
	equal(e, "contents after a restart", e.contents(0), from)
	docs := e.load(store.Need{Documents: []gotong.Key{key("x"), key("y")}}).Documents
	equal(e, "documents", docs, map[gotong.Key][]byte{key("x"): []byte(`{"n":2}`)})
	equal(e, "job", e.claim("q", 6, 60, 9)[0].Attempt, 2)
	again := e.commit(Build(e.s.Epoch(), Draft{
		Stream: "thread/2", Home: "group/0", RequestID: "noop", Prev: e.head("thread/2"), Events: 1,
	}))
	equal(e, "a request that was there", again[0].Status, store.Replayed)
	e.next(Draft{Stream: "thread/1", Events: 1})
	e.next(Draft{Stream: "thread/only-noops", Home: "group/0", Events: 2})
	equal(e, "head", e.head("thread/only-noops").Home, gotong.Stream("group/0"))
	for _, p := range []gotong.Stream{"group/0", "group/1"} {
		at := gotong.PartitionOf(p)
		equal(e, "position", e.positions()[at], from.Positions[at]+1)
	}
}

// moveRestoreRefuses: a step that does not fit is rejected and leaves no trace.
func moveRestoreRefuses(e *env) {
	c := e.m.Next(Draft{Stream: "thread/a", Home: "group/g", Events: 2})
	for i := range c.Events {
		c.Events[i].Position = 1
	}
	after := e.m.Next(Draft{Stream: "thread/a", Home: "group/g", Events: 1})
	after.Events[0].Position = 2
	head := store.StreamRow{Stream: "thread/a", Head: after.Head()}
	commit := store.Logged{Record: c.Record(1), Events: c.Events}
	commits := []store.Logged{commit}
	later := store.Logged{Record: after.Record(2), Events: after.Events}
	bad := slices.Clone(c.Events)
	bad[1].Data = []byte(`{}`)
	other := commit
	other.Record.Request.RequestID = "another"
	nothing := e.m.Next(Draft{Stream: "thread/a"})
	claim := store.ClaimRow{Claim: gotong.Claim{Space: "s", Name: "n"}, Stream: "thread/a"}
	register := store.Register{Key: key("r"), Version: 3, Body: []byte("b")}
	cursor := store.CursorRow{Reader: "feed", Partition: 1, Position: 2}
	job := store.Job{Queue: "q", ID: "j", Body: []byte{}}
	everything := store.Rows{
		Streams: []store.StreamRow{head}, Records: []store.Record{nothing.Record(0)}, Claims: []store.ClaimRow{claim},
		Registers: []store.Register{register}, Cursors: []store.CursorRow{cursor}, Jobs: []store.Job{job},
	}
	begin := store.Restoring{To: "1", Eras: store.FirstEra(e.s.Epoch())}
	e.check(e.s.Restore(e.ctx, begin))
	try := func(what string, want error, step store.Restoring) {
		e.Helper()
		before := e.contents(0)
		if err := e.s.Restore(e.ctx, step); !errors.Is(err, want) {
			e.Errorf("%s: %v, want %v", what, err, want)
		}
		equal(e, "after "+what, e.contents(0), before)
	}
	try("another beginning", store.ErrConflict, begin)
	try("other progress", store.ErrConflict, store.Restoring{From: "0", To: "2", Rows: everything})
	try("a damaged event", store.ErrMalformed, store.Restoring{From: "1", To: "2", Commits: []store.Logged{{Record: commit.Record, Events: bad}}, Rows: store.Rows{Streams: everything.Streams}})
	for what, l := range map[string]store.Logged{
		"half a commit":                  {Record: commit.Record, Events: c.Events[:1]},
		"a commit with another's record": other,
		"a record without events":        {Record: commit.Record},
		"events without a record":        {Events: c.Events},
	} {
		try(what, store.ErrMalformed, store.Restoring{From: "1", To: "2", Commits: []store.Logged{l}, Rows: store.Rows{Streams: everything.Streams}})
	}
	try("the record of a commit among those of no-ops", store.ErrMalformed,
		store.Restoring{From: "1", To: "2", Rows: store.Rows{Records: []store.Record{commit.Record}}})
	try("a commit without its stream", store.ErrMalformed, store.Restoring{From: "1", To: "2", Commits: commits})
	try("a commit before the one that it follows", store.ErrMalformed,
		store.Restoring{From: "1", To: "2", Commits: []store.Logged{later, commit}, Rows: store.Rows{Streams: everything.Streams}})
	try("a commit whose predecessor is missing", store.ErrMalformed,
		store.Restoring{From: "1", To: "2", Commits: []store.Logged{later}, Rows: store.Rows{Streams: everything.Streams}})
	try("epochs in the middle", store.ErrMalformed, store.Restoring{From: "1", To: "2", Eras: begin.Eras})
	e.check(e.s.Restore(e.ctx, store.Restoring{From: "1", To: "2", Rows: everything, Commits: []store.Logged{commit, later}}))
	for what, rows := range map[string]store.Rows{
		"a stream": {Streams: everything.Streams}, "a record": {Records: everything.Records}, "a claim": {Claims: everything.Claims},
		"a register": {Registers: everything.Registers}, "a cursor": {Cursors: everything.Cursors}, "a job": {Jobs: everything.Jobs},
	} {
		rows.Registers = append(slices.Clone(rows.Registers), store.Register{Key: key("new"), Version: 1, Body: []byte("x")})
		try(what+" twice", store.ErrMalformed, store.Restoring{From: "2", To: "3", Rows: rows})
	}
	try("a commit twice", store.ErrMalformed, store.Restoring{From: "2", To: "3", Commits: commits})
	e.check(e.s.Restore(e.ctx, store.Restoring{From: "2"}))
	try("into a store that is not empty", store.ErrConflict, begin)
}

// moveRestoreOnce: a row that a step has twice is written neither time; of documents,
// the later one wins.
func moveRestoreOnce(e *env) {
	commit := func(stream gotong.Stream) (store.StreamRow, store.Logged) {
		c := e.m.Next(Draft{Stream: stream, Home: "group/g", Events: 1})
		c.Events[0].Position = 1
		return store.StreamRow{Stream: stream, Head: c.Head()}, store.Logged{Record: c.Record(1), Events: c.Events}
	}
	a, one := commit("thread/a")
	b, two := commit("thread/b")
	noop := e.m.Next(Draft{Stream: "thread/a"})
	record := noop.Record(0)
	same := record
	same.Request = one.Record.Request
	claim := store.ClaimRow{Claim: gotong.Claim{Space: "s", Name: "n"}, Stream: "thread/a"}
	other := store.ClaimRow{Claim: claim.Claim, Stream: "thread/b"}
	register := store.Register{Key: key("r"), Version: 3, Body: []byte("b")}
	cursor := store.CursorRow{Reader: "feed", Partition: 1, Position: 2}
	job := store.Job{Queue: "q", ID: "j", Body: []byte{}}
	e.check(e.s.Restore(e.ctx, first(e.s.Epoch())))
	both := []store.StreamRow{a, b}
	for what, step := range map[string]store.Restoring{
		"streams of one name":             {Rows: store.Rows{Streams: []store.StreamRow{a, a}}},
		"no-ops of one request":           {Rows: store.Rows{Records: []store.Record{record, record}}},
		"rows of one request":             {Rows: store.Rows{Streams: both, Records: []store.Record{same}}, Commits: []store.Logged{one}},
		"commits of one request":          {Rows: store.Rows{Streams: both}, Commits: []store.Logged{one, one}},
		"commits at one position":         {Rows: store.Rows{Streams: both}, Commits: []store.Logged{one, two}},
		"claims of one name":              {Rows: store.Rows{Streams: both, Claims: []store.ClaimRow{claim, other}}},
		"registers of one key":            {Rows: store.Rows{Registers: []store.Register{register, register}}},
		"cursors of one reader":           {Rows: store.Rows{Cursors: []store.CursorRow{cursor, cursor}}},
		"jobs of one queue with one name": {Rows: store.Rows{Jobs: []store.Job{job, job}}},
	} {
		step.From, step.To = "1", "1"
		if err := e.s.Restore(e.ctx, step); !errors.Is(err, store.ErrMalformed) {
			e.Errorf("two %s: %v", what, err)
		}
	}
	e.check(e.s.Restore(e.ctx, store.Restoring{From: "1", Commits: []store.Logged{one}, Rows: store.Rows{
		Streams: []store.StreamRow{a}, Records: []store.Record{record}, Claims: []store.ClaimRow{claim},
		Registers: []store.Register{register}, Cursors: []store.CursorRow{cursor}, Jobs: []store.Job{job},
	}, Documents: []store.Change{put("x", `{}`), put("x", `{"n":1}`), put("y", `{}`), {Key: key("y")}}}))
	docs := e.load(store.Need{Documents: []gotong.Key{key("x"), key("y")}}).Documents
	equal(e, "documents", docs, map[gotong.Key][]byte{key("x"): []byte(`{"n":1}`)})
}

// moveUnfinished: between the first and the last step no write is accepted, also
// after a restart.
func moveUnfinished(e *env) {
	e.check(e.s.Restore(e.ctx, store.Restoring{To: "half", Eras: store.FirstEra("copied00")}))
	e.refused(store.ErrUnfinished)
	e.restart()
	e.refused(store.ErrUnfinished)
	state := e.state()
	equal(e, "state", state, store.State{Eras: store.FirstEra("copied00"), Progress: "half", Empty: true})
	if err := e.s.Renew(e.ctx, "another"); !errors.Is(err, store.ErrUnfinished) {
		e.Errorf("renewed: %v", err)
	}
	e.check(e.s.Restore(e.ctx, store.Restoring{From: "half"}))
	equal(e, "epoch", e.s.Epoch(), "copied00")
	e.m = NewMaker("copied00")
	e.next(Draft{Stream: "thread/a", Events: 1})
}

// moveRenew: old events keep the epoch under which they were chained.
func moveRenew(e *env) {
	old := e.s.Epoch()
	e.next(Draft{Stream: "thread/a", Events: 2})
	for _, bad := range []gotong.Epoch{"", old} {
		if err := e.s.Renew(e.ctx, bad); !errors.Is(err, store.ErrMalformed) {
			e.Errorf("renewed as %q: %v", bad, err)
		}
	}
	at := e.positions()
	e.check(e.s.Renew(e.ctx, "second00"))
	equal(e, "epoch", e.s.Epoch(), "second00")
	e.m.Epoch = "second00"
	e.next(Draft{Stream: "thread/a", Events: 2})
	e.next(Draft{Stream: "thread/b", Events: 1})
	e.restart()
	equal(e, "eras", e.state().Eras, store.FirstEra(old).Next("second00", at))
	equal(e, "events of both", len(e.events(store.EventRange{Stream: "thread/a", To: 9})), 4)
	p := gotong.PartitionOf("thread/a")
	equal(e, "commits of both", len(e.partition(p, 0, math.MaxUint64, 0)), 4)
}
