package storetest

import (
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var commitRegisterTests = map[string]func(*env){
	"commit/registers":               registersOfCommit,
	"commit/registers stale alone":   staleAlone,
	"commit/registers replay":        replaySetsNothing,
	"commit/registers no trace":      registersLeaveNoTrace,
	"commit/registers expired":       registersExpired,
	"commit/registers set outside":   registersSetOutside,
	"race/one register in a commit":  registerRace,
	"race/twins that set a register": registerTwins,
}

// sets is a change of a register in a commit; an empty body deletes.
func sets(name string, expect uint64, body string) gotong.RegisterChange {
	r := gotong.RegisterChange{Key: key(name), Expect: expect}
	if body != "" {
		r.Body = []byte(body)
	}
	return r
}

func with(stream gotong.Stream, registers ...gotong.RegisterChange) Draft {
	return Draft{Stream: stream, Events: 1, Registers: registers}
}

// value is a register as text: its body, a slash and its version.
func (e *env) value(name string) string {
	e.Helper()
	r := e.register(key(name))
	return fmt.Sprintf("%s/%d", r.Body, r.Version)
}

// registersOfCommit: registers are made, changed and deleted with the events,
// each commit of a batch on what the earlier ones left.
func registersOfCommit(e *env) {
	e.must(
		e.m.Next(with("thread/a", sets("x", 0, "one"), sets("gone", 0, "here"))),
		e.m.Next(with("thread/a", sets("x", 1, "two"))),
		e.m.Next(with("thread/b", sets("x", 2, "three"), sets("gone", 1, ""))),
		e.m.Next(Draft{Stream: "thread/b", Registers: []gotong.RegisterChange{sets("noop", 0, "set")}}),
	)
	equal(e, "x", e.value("x"), "three/3")
	equal(e, "gone", e.value("gone"), "/0")
	equal(e, "noop", e.value("noop"), "set/1")
	e.next(with("thread/b", sets("gone", 0, "anew")))
	equal(e, "made anew", e.value("gone"), "anew/1")
	twice := []store.Commit{e.m.Peek(with("thread/a", sets("x", 3, "a"), sets("x", 4, "b")))}
	if _, err := store.CommitAll(e.ctx, e.s, twice); err == nil {
		e.Errorf("a commit changed a register twice")
	}
}

// staleAlone: a register of another version makes its commit stale, names the
// register, and hinders no other commit of the batch.
func staleAlone(e *env) {
	e.set(key("x"), 0, "kept", 0, true)
	for i, expect := range []uint64{0, 2} {
		stream := gotong.Stream(fmt.Sprint("thread/stale-", i))
		stale := e.m.Peek(with(stream, sets("free", 0, "trace"), sets("x", expect, "trace")))
		stale.Changes = []store.Change{put("stale", `{}`)}
		stale.Claims = []gotong.Claim{{Space: "name", Name: "stale"}}
		out := e.commit(
			e.m.Next(with("thread/before", sets("before", uint64(i), "b"))), stale,
			e.m.Next(with("thread/after", sets("after", uint64(i), "a"))))
		equal(e, "before", out[0].Status, store.Committed)
		equal(e, "stale", out[1], store.Outcome{Status: store.Stale, Register: key("x")})
		equal(e, "after", out[2].Status, store.Committed)
		e.traceless([]store.Commit{stale}, "stale")
		equal(e, "head", e.head(stream), gotong.Head{})
	}
	equal(e, "x", e.value("x"), "kept/1")
	equal(e, "free", e.value("free"), "/0")
	equal(e, "others", e.value("before")+" "+e.value("after"), "b/2 a/2")
	alone := e.commit(e.m.Peek(with("thread/c", sets("none", 1, "x"))))[0]
	equal(e, "one that does not exist", alone, store.Outcome{Status: store.Stale, Register: key("none")})
}

// replaySetsNothing: a request that was committed before changes no register,
// whatever version it expects.
func replaySetsNothing(e *env) {
	first := e.m.Next(with("thread/a", sets("password", 0, "first")))
	e.must(first)
	for _, expect := range []uint64{0, 1} {
		again := first
		again.Registers = []gotong.RegisterChange{sets("password", expect, "reset"), sets("other", 0, "trace")}
		equal(e, "again", e.commit(again)[0].Status, store.Replayed)
	}
	equal(e, "password", e.value("password")+" "+e.value("other"), "first/1 /0")
	e.check(e.s.SetRegister(e.ctx, key("password"), 1, nil, 0)) // the first commit could run again now
	equal(e, "after it was deleted", e.commit(first)[0].Status, store.Replayed)
	equal(e, "password", e.value("password"), "/0")
}

// registersLeaveNoTrace: a commit that fails for another reason sets nothing,
// and that reason comes before [store.Stale].
func registersLeaveNoTrace(e *env) {
	claim := gotong.Claim{Space: "name", Name: "budi"}
	e.next(Draft{Stream: "thread/a", Events: 1, Claims: []gotong.Claim{claim}})
	moved := Build(e.s.Epoch(), with("thread/a", sets("x", 0, "trace"), sets("y", 7, "trace")))
	other := e.m.Peek(with("thread/b", sets("x", 0, "trace"), sets("y", 7, "trace")))
	other.Others = []store.Expectation{{Stream: "thread/a", Seq: 9}}
	taken := e.m.Peek(with("thread/b", sets("x", 0, "trace"), sets("y", 7, "trace")))
	taken.Claims = []gotong.Claim{claim}
	out := e.commit(moved, other, taken, e.m.Next(with("thread/d", sets("z", 0, "set"))))
	for i, want := range []store.Status{store.Moved, store.Moved, store.Taken, store.Committed} {
		equal(e, fmt.Sprint("outcome ", i), out[i].Status, want)
	}
	equal(e, "registers", e.value("x")+" "+e.value("y")+" "+e.value("z"), "/0 /0 set/1")
}

// registersExpired: one that has expired does not exist.
func registersExpired(e *env) {
	r := sets("x", 0, "old")
	r.Expires = e.now() + 5
	e.next(with("thread/a", r))
	equal(e, "before", e.value("x"), "old/1")
	e.clock.Add(5)
	equal(e, "stale", e.commit(e.m.Peek(with("thread/a", sets("x", 1, "trace"))))[0].Status, store.Stale)
	e.next(with("thread/a", sets("x", 0, "new")))
	equal(e, "after", e.value("x"), "new/1")
}

// registersSetOutside: commits and SetRegister see each other's versions.
func registersSetOutside(e *env) {
	e.next(with("thread/a", sets("x", 0, "one")))
	e.set(key("x"), 0, "lost", 0, false)
	e.set(key("x"), 1, "two", 0, true)
	equal(e, "stale", e.commit(e.m.Peek(with("thread/a", sets("x", 1, "lost"))))[0].Status, store.Stale)
	e.next(with("thread/a", sets("x", 2, "three")))
	equal(e, "x", e.value("x"), "three/3")
}

// registerRace: of commits that compete for one version, one wins, and only its
// events are there.
func registerRace(e *env) {
	out := together(e, racers, func(i int) (store.Outcome, error) {
		stream := gotong.Stream(fmt.Sprint("thread/", i))
		out, err := store.CommitAll(e.ctx, e.s, []store.Commit{e.m.Peek(with(stream, sets("x", 0, fmt.Sprint(i))))})
		if err != nil {
			return store.Outcome{}, err
		}
		return out[0], nil
	})
	if count(out, store.Committed) != 1 || count(out, store.Stale) != racers-1 {
		e.Errorf("outcomes %+v", out)
	}
	for i := range out {
		want := uint64(0)
		if out[i].Status == store.Committed {
			want = 1
			equal(e, "x", e.value("x"), fmt.Sprint(i, "/1"))
		}
		equal(e, "events", e.head(gotong.Stream(fmt.Sprint("thread/", i))).Seq, want)
	}
}

// registerTwins: twins of one request set the register once; the others are
// replayed and never stale.
func registerTwins(e *env) {
	out := together(e, racers, func(i int) (store.Outcome, error) {
		d := with("thread/a", sets("x", 0, fmt.Sprint(i)))
		d.RequestID = "twin"
		out, err := store.CommitAll(e.ctx, e.s, []store.Commit{e.m.Peek(d)})
		if err != nil {
			return store.Outcome{}, err
		}
		return out[0], nil
	})
	if count(out, store.Committed) != 1 || count(out, store.Replayed) != racers-1 {
		e.Errorf("outcomes %+v", out)
	}
	equal(e, "version", e.register(key("x")).Version, 1)
}
