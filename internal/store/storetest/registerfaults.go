package storetest

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// The cases of register changes in commits that fail. Whatever becomes of a
// commit, its register changes share its fate, and the same request changes no
// register a second time.
var registerFaultTests = map[string]func(*env){
	"commit/registers failed":             registersFailed,
	"commit/registers failed but written": registersFailedButWritten,
	"commit/registers malformed batch":    registersOfMalformedBatch,
	"commit/registers fault in a batch":   registersFaultInBatch,
	"commit/registers sealed":             registersSealed,
	"commit/registers after a restart":    registersAfterRestart,
	"cuts/registers":                      cutRegisters,
	"cuts/stale registers":                cutStaleRegisters,
	"cuts/late request":                   lateRequest,
}

var errInjected = errors.New("storetest: a fault that the case planned")

// password is a commit that changes one register and makes another.
func (e *env) password(version uint64, body string) store.Commit {
	return e.m.Peek(with("user/a", sets("password", version, body), sets("made by "+body, 0, body)))
}

// written checks that a commit of [env.password] set its registers once, or not
// at all.
func (e *env) written(c store.Commit, once bool) {
	e.Helper()
	change, made := c.Registers[0], c.Registers[1]
	want, wantMade, head := fmt.Sprintf("before/%d", change.Expect), "/0", c.Prev
	if once {
		want, wantMade, head = fmt.Sprintf("%s/%d", change.Body, change.Expect+1), fmt.Sprintf("%s/1", made.Body), c.Head()
	}
	equal(e, "password", e.value(change.Key.Name), want)
	equal(e, "made", e.value(made.Key.Name), wantMade)
	equal(e, "head", e.head(c.Request.Stream), head)
	if _, ok := e.record(c.Request); ok != once {
		e.Errorf("a record: %v, want %v", ok, once)
	}
}

// replays checks that the commit, which took effect, is replayed and writes no
// register again: as it left them, changed by somebody else, or deleted.
func (e *env) replays(c store.Commit) {
	e.Helper()
	again := func(want string) {
		e.Helper()
		equal(e, "again", e.commit(c)[0].Status, store.Replayed)
		equal(e, "registers", e.value("password")+" "+e.value(c.Registers[1].Key.Name), want)
	}
	body, version := string(c.Registers[0].Body), c.Registers[0].Expect+1
	again(fmt.Sprintf("%s/%d %s/1", body, version, body))
	e.set(c.Registers[1].Key, 1, "", 0, true) // absent, as the commit expected it
	e.set(key("password"), version, "later", 0, true)
	again(fmt.Sprintf("later/%d /0", version+1))
}

// registersFailed: a commit that fails before it is written changes no
// register; the same request then changes each once.
func registersFailed(e *env) {
	e.set(key("password"), 0, "before", 0, true)
	c := e.password(1, "new")
	f := NewFaulty(e.s)
	f.Fail(OpCommit, 1, errInjected)
	if _, err := store.CommitAll(e.ctx, f, []store.Commit{c}); !errors.Is(err, errInjected) {
		e.Errorf("commit: %v", err)
	}
	e.written(c, false)
	equal(e, "again", e.commit(c)[0].Status, store.Committed)
	e.written(c, true)
	e.replays(c)
}

// registersFailedButWritten: the answer is lost, not the work. The same request
// is replayed.
func registersFailedButWritten(e *env) {
	e.set(key("password"), 0, "before", 0, true)
	c := e.password(1, "new")
	f := NewFaulty(e.s)
	f.FailAfter(OpCommit, 1, errInjected)
	if _, err := store.CommitAll(e.ctx, f, []store.Commit{c}); !errors.Is(err, errInjected) {
		e.Errorf("commit: %v", err)
	}
	e.written(c, true)
	e.replays(c)
}

// registersOfMalformedBatch: a batch that fails as a whole changes no register
// of its other commits.
func registersOfMalformedBatch(e *env) {
	e.set(key("password"), 0, "before", 0, true)
	c, bad := e.password(1, "new"), e.m.Peek(Draft{Stream: "thread/bad", Events: 2})
	bad.Events[1].Seq++
	if _, err := store.CommitAll(e.ctx, e.s, []store.Commit{c, bad}); !errors.Is(err, store.ErrMalformed) {
		e.Errorf("commit: %v", err)
	}
	e.written(c, false)
	e.must(c)
	e.replays(c)
}

// registersFaultInBatch: where the writing of a batch breaks off, here because
// the clock by which registers expire does, every commit of the batch is
// written or none is.
func registersFaultInBatch(e *env) {
	e.needs(e.harness.Properties.Undoes)
	e.set(key("password"), 0, "before", 0, true)
	for looks := range int64(4) {
		stream := gotong.Stream(fmt.Sprint("thread/", looks))
		batch := []store.Commit{e.password(1, "new"), Build(e.s.Epoch(), with(stream, sets("last", 0, "x")))}
		e.breakClock(looks)
		_, err := store.CommitAll(e.ctx, e.s, batch)
		e.breakClock(math.MaxInt64)
		if e.s.Failed() != nil {
			e.restart()
		}
		e.written(batch[0], err == nil)
		equal(e, "the last of the batch", e.value("last") == "x/1", err == nil)
		if err == nil {
			e.replays(batch[0])
			return
		}
	}
	e.must(e.password(1, "new"))
}

// registersSealed: a sealed store changes no register.
func registersSealed(e *env) {
	e.set(key("password"), 0, "before", 0, true)
	c := e.password(1, "new")
	e.check(e.s.Seal(e.ctx, "elsewhere"))
	if _, err := store.CommitAll(e.ctx, e.s, []store.Commit{c}); !errors.Is(err, store.ErrSealed) {
		e.Errorf("commit: %v", err)
	}
	e.written(c, false)
	e.check(e.s.Seal(e.ctx, ""))
	e.must(c)
	e.replays(c)
}

// registersAfterRestart: a request from before a restart is replayed.
func registersAfterRestart(e *env) {
	e.needs(e.harness.Properties.Durable)
	e.set(key("password"), 0, "before", 0, true)
	c := e.password(1, "new")
	e.must(c)
	e.restart()
	e.written(c, true)
	e.replays(c)
}

// cutPoints are where a case cuts a connection: a request or an answer is lost
// after so many pieces. The requests of these cases are of several pieces each.
const cutPoints = 4

// large is a body of a register that one piece of a connection does not hold.
func large(name string) string { return name + strings.Repeat("x", 80<<10) }

// cutRegisters: a commit whose connection is cut at any moment, in the middle of
// its request too, sets its registers once.
func cutRegisters(e *env) {
	s, p := e.through()
	m, version := NewMaker(s.Epoch()), uint64(0)
	for _, lose := range []func(int){p.LoseRequest, p.LoseAnswer} {
		for after := range cutPoints {
			body := large(fmt.Sprint(after))
			first := m.Next(with("user/a", sets("x", version, "passed"), sets("y", version, body)))
			batch := []store.Commit{first, m.Next(with("user/a", sets("x", version+1, body)))}
			before := p.Cuts()
			lose(after)
			out, err := store.CommitAll(e.ctx, s, batch)
			e.check(err)
			lose(-1)
			if after == 0 && p.Cuts() == before {
				e.Errorf("nothing was cut")
			}
			equal(e, "outcomes", []store.Status{out[0].Status, out[1].Status}, []store.Status{store.Committed, store.Committed})
			for range 2 {
				equal(e, "x", e.value("x") == fmt.Sprintf("%s/%d", body, version+2), true)
				equal(e, "y", e.value("y") == fmt.Sprintf("%s/%d", body, version+1), true)
				out = e.commit(batch...) // on another node
				equal(e, "again", []store.Status{out[0].Status, out[1].Status}, []store.Status{store.Replayed, store.Replayed})
			}
			e.set(key("y"), version+1, "even", 0, true)
			version += 2
		}
	}
}

// cutStaleRegisters: wherever its connection is cut, a commit that is stale
// writes nothing, its outcome names the register once it is known, and the
// other commit of its batch sets its register once.
func cutStaleRegisters(e *env) {
	s, p := e.through()
	e.set(key("x"), 0, "kept", 0, true)
	m := NewMaker(s.Epoch())
	for i, lose := range []func(int){p.LoseRequest, p.LoseAnswer} {
		for after := range cutPoints {
			name := fmt.Sprint(i, "-", after)
			stale := m.Peek(with("thread/stale", sets("trace "+name, 0, large("x")), sets("x", 0, "lost")))
			lose(after)
			out, _, err := settle(e.ctx, s, m.Next(with("thread/a", sets(name, 0, "set"))), stale)
			e.check(err)
			lose(-1)
			if out[0].Status != store.Committed && out[0].Status != store.Replayed {
				e.Errorf("cut %s: the other commit has status %d", name, out[0].Status)
			}
			equal(e, "outcome", out[1], store.Outcome{Status: store.Stale, Register: key("x")})
			equal(e, "registers", e.value("x")+" "+e.value(name)+" "+e.value("trace "+name), "kept/1 set/1 /0")
			e.traceless([]store.Commit{stale})
		}
	}
	equal(e, "heads", e.load(store.Need{Heads: []gotong.Stream{"thread/a", "thread/stale"}}).Heads,
		map[gotong.Stream]gotong.Head{"thread/a": m.Head("thread/a")})
}

// lateRequest: a request that reaches the database after its connection was cut
// does not make a commit that was reported as stale take effect, and no register
// is set twice by it and by the request that came after it.
func lateRequest(e *env) {
	s, p := e.through()
	e.set(key("x"), 0, "theirs", 0, true)
	c := Build(s.Epoch(), with("thread/a", sets("x", 0, "ours")))
	p.KeepRequest(0)
	out, reported := store.CommitAll(e.ctx, s, []store.Commit{c})
	e.set(key("x"), 1, "", 0, true) // as the commit expects it, after all
	e.check(p.Deliver())
	value, want := "/0", store.Committed
	if e.head("thread/a").Exists() {
		value, want = "ours/1", store.Replayed
	}
	equal(e, "x after the late request", e.value("x"), value)
	if reported == nil && (out[0].Status != store.Stale || want == store.Replayed) {
		e.Errorf("reported %+v, then the register is %s", out[0], value)
	}
	out, _, err := settle(e.ctx, s, c)
	e.check(err)
	equal(e, "outcome", out[0].Status, want)
	equal(e, "x", e.value("x"), "ours/1")
	equal(e, "head", e.head("thread/a"), c.Head())
}
