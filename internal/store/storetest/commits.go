package storetest

import (
	"cmp"
	"reflect"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var commitTests = map[string]func(*env){
	"commit/all of it":              wholeCommit,
	"commit/positions count":        positionsCount,
	"commit/own fate":               ownFate,
	"commit/lost predecessor":       lostPredecessor,
	"commit/other predecessor":      otherPredecessor(),
	"commit/other one, rested on":   otherPredecessor(store.Expectation{Stream: "thread/a", Seq: 1}),
	"commit/forged predecessor":     forgedPredecessor,
	"commit/order of fates":         orderOfFates,
	"commit/expectations":           expectations,
	"commit/twins in a batch":       twinsInBatch,
	"commit/keys are independent":   independentKeys,
	"commit/claims":                 claims,
	"commit/no-op":                  noOp,
	"commit/malformed":              malformed,
	"commit/nothing":                func(e *env) { e.commit() },
	"commit/without a fingerprint":  withoutFingerprint,
	"commit/keeps nothing of yours": aliasing,
	"commit/done context":           doneContext,
}

// wholeCommit: everything that a commit carries is there afterwards, unchanged.
func wholeCommit(e *env) {
	claim := gotong.Claim{Space: "email", Name: "a@b.id"}
	c := e.m.Next(Draft{
		Stream: "thread/a", Home: "group/ent-1", Events: 3, Audience: "role/admin", Claims: []gotong.Claim{claim},
		Changes: []store.Change{put("x", `{"n":1}`), put("gone", `{}`), {Key: key("gone")}},
	})
	out := e.must(c)[0]
	p := gotong.PartitionOf("group/ent-1")
	want := store.Record{
		Request: c.Request, Salt: c.Salt, Fingerprint: c.Fingerprint, Partition: p, Position: 1, First: 1, Last: 3, At: c.At,
	}
	if !reflect.DeepEqual(out.Record, want) {
		e.Errorf("record %+v, want %+v", out.Record, want)
	}
	events := slices.Clone(c.Events)
	for i := range events {
		events[i].Partition, events[i].Position = p, 1
	}
	snap := e.load(store.Need{
		Heads: []gotong.Stream{"thread/a", "thread/b"}, Documents: []gotong.Key{key("x"), key("gone")},
		Events:  []store.EventRange{{Stream: "thread/a", To: 9}, {Stream: "thread/b", To: 9}},
		Records: []gotong.RequestKey{c.Request, {Stream: "thread/a", Actor: "u1", RequestID: "none"}},
		Claims:  []gotong.Claim{claim, {Space: "email", Name: "none"}},
		Ranges:  []store.KeyRange{{Collection: things, Owner: "owner", To: "~"}, {Collection: others, Owner: "owner", To: "~"}},
	})
	var positions [gotong.Partitions]uint64
	positions[p] = 1
	equal(e, "positions", snap.Positions, positions)
	equal(e, "heads", snap.Heads, map[gotong.Stream]gotong.Head{"thread/a": c.Head()})
	equal(e, "documents", snap.Documents, map[gotong.Key][]byte{key("x"): []byte(`{"n":1}`)})
	equal(e, "records", snap.Records, map[gotong.RequestKey]store.Record{c.Request: want})
	equal(e, "claims", snap.Claims, map[gotong.Claim]gotong.Stream{claim: "thread/a"})
	equal(e, "events", snap.Events[0], events)
	equal(e, "partition", e.partition(p, 0, 9, 9), events)
	if len(snap.Events) != 2 || len(snap.Events[1]) != 0 || len(snap.Ranges) != 2 || len(snap.Ranges[1]) != 0 {
		e.Errorf("events %v, ranges %v", snap.Events, snap.Ranges)
	}
	equal(e, "range", snap.Ranges[0], []store.Document{{Key: key("x"), Body: []byte(`{"n":1}`)}})
}

func equal[T any](e *env, what string, got, want T) {
	e.Helper()
	if !reflect.DeepEqual(got, want) {
		e.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// positionsCount: a partition counts its commits, not its events; streams of
// one home share it.
func positionsCount(e *env) {
	const home = gotong.Stream("group/ent-1")
	p := gotong.PartitionOf(home)
	for i, stream := range []gotong.Stream{"thread/a", "thread/b", home, "thread/a"} {
		out := e.next(Draft{Stream: stream, Home: home, Events: i + 1})
		if out.Record.Position != uint64(i+1) || out.Record.Partition != p {
			e.Errorf("commit %d: position %d of %d", i, out.Record.Position, out.Record.Partition)
		}
	}
	if all := e.positions(); all[p] != 4 {
		e.Errorf("positions %v", all)
	}
}

// ownFate: each commit of a batch has an outcome of its own, and one that is not
// committed leaves no trace.
func ownFate(e *env) {
	taken := gotong.Claim{Space: "name", Name: "budi"}
	old := e.next(Draft{Stream: "thread/old", Events: 1, Claims: []gotong.Claim{taken}})
	stale := e.m.Peek(Draft{Stream: "thread/moved", Events: 1, Changes: []store.Change{put("moved", `{}`)}})
	e.next(Draft{Stream: "thread/moved", Events: 1})
	follower := Build(e.s.Epoch(), Draft{Stream: "thread/moved", Events: 1, Prev: stale.Head(),
		Changes: []store.Change{put("follower", `{}`)}, Claims: []gotong.Claim{{Space: "name", Name: "free"}}})
	replay := Build(e.s.Epoch(), Draft{Stream: "thread/old", Events: 1, RequestID: old.Record.Request.RequestID,
		Changes: []store.Change{put("replay", `{}`)}})
	first := e.m.Next(Draft{Stream: "thread/a", Events: 2, Changes: []store.Change{put("a", `{"n":1}`)}})
	batch := []store.Commit{
		first, stale, follower, replay,
		e.m.Peek(Draft{Stream: "thread/taken", Events: 1, Claims: []gotong.Claim{taken}, Changes: []store.Change{put("taken", `{}`)}}),
		e.m.Next(Draft{Stream: "thread/a", Events: 1, Changes: []store.Change{put("a", `{"n":2}`)}}), // builds on the first
		e.m.Next(Draft{Stream: "thread/b", Events: 1, Others: []store.Expectation{{Stream: "thread/a", Seq: 3}}}),
	}
	before := e.positions()
	out := e.commit(batch...)
	want := []store.Status{
		store.Committed, store.Moved, store.Moved, store.Replayed, store.Taken, store.Committed, store.Committed,
	}
	for i, o := range out {
		if o.Status != want[i] {
			e.Errorf("commit %d: %+v, want status %d", i, o, want[i])
		}
	}
	equal(e, "replayed record", out[3].Record, old.Record)
	if out[1].Stream != "thread/moved" || out[2].Stream != "thread/moved" || out[4].Claim != taken {
		e.Errorf("reasons %+v", out)
	}
	e.traceless(batch[1:3], "moved", "follower", "replay", "taken")
	equal(e, "head of a", e.head("thread/a").Seq, 3)
	equal(e, "head of taken", e.head("thread/taken"), gotong.Head{})
	equal(e, "head of moved", e.head("thread/moved").Seq, 1)
	equal(e, "document", e.load(store.Need{Documents: []gotong.Key{key("a")}}).Documents[key("a")], []byte(`{"n":2}`))
	after := e.positions()
	if sum(after) != sum(before)+3 {
		e.Errorf("positions %v, before %v", after, before)
	}
}

func sum(all [gotong.Partitions]uint64) (n uint64) {
	for _, v := range all {
		n += v
	}
	return n
}

// traceless: these commits have left no record, no document and no claim.
func (e *env) traceless(commits []store.Commit, names ...string) {
	e.Helper()
	for i := range commits {
		if r, ok := e.record(commits[i].Request); ok {
			e.Errorf("record of what was not committed: %+v", r)
		}
		if got := e.load(store.Need{Claims: commits[i].Claims}).Claims; len(got) > 0 {
			e.Errorf("claims of what was not committed: %v", got)
		}
	}
	for _, name := range names {
		if body, ok := e.load(store.Need{Documents: []gotong.Key{key(name)}}).Documents[key(name)]; ok {
			e.Errorf("document %s of what was not committed: %s", name, body)
		}
	}
}

// lostPredecessor: a commit that builds on one that lost its seq to another
// commit is moved, although the head has the expected seq: its chain differs.
func lostPredecessor(e *env) {
	e.next(Draft{Stream: "thread/a", Events: 1})
	lost := e.m.Peek(Draft{Stream: "thread/a", Events: 1})
	winner := e.m.Next(Draft{Stream: "thread/a", Events: 1})
	follower := Build(e.s.Epoch(), Draft{Stream: "thread/a", Events: 1, Prev: lost.Head()})
	out := e.commit(winner, lost, follower)
	if out[0].Status != store.Committed || out[1].Status != store.Moved || out[2].Status != store.Moved {
		e.Errorf("outcomes %+v", out)
	}
	equal(e, "head", e.head("thread/a"), winner.Head())
}

// otherPredecessor: a head at the same seq with another chain is another head,
// also if an earlier commit of the batch rests on the seq alone.
func otherPredecessor(others ...store.Expectation) func(*env) {
	return func(e *env) {
		lost := e.m.Peek(Draft{Stream: "thread/a", Events: 1})
		e.next(Draft{Stream: "thread/a", Events: 1})
		beside := e.m.Next(Draft{Stream: "thread/b", Events: 1, Others: others})
		follower := Build(e.s.Epoch(), Draft{Stream: "thread/a", Events: 1, Prev: lost.Head()})
		out := e.commit(beside, follower)
		if out[0].Status != store.Committed || out[1].Status != store.Moved {
			e.Errorf("outcomes %+v", out)
		}
		equal(e, "head", e.head("thread/a"), e.m.Head("thread/a"))
	}
}

// forgedPredecessor: home, time and count of the head come from the store. A commit
// with another home would put its events into another partition, one with another
// time or count would break their order, although seq and chain are right.
func forgedPredecessor(e *env) {
	e.next(Draft{Stream: "thread/a", Home: "group/g", Events: 2})
	head := e.m.Head("thread/a")
	for name, forge := range map[string]func(*gotong.Head){
		"home":         func(h *gotong.Head) { h.Home = "group/elsewhere" },
		"no home":      func(h *gotong.Head) { h.Home = "" },
		"earlier":      func(h *gotong.Head) { h.At -= 2 },
		"later":        func(h *gotong.Head) { h.At += 2 },
		"lower count":  func(h *gotong.Head) { h.Count-- },
		"higher count": func(h *gotong.Head) { h.Count++ },
	} {
		prev := head
		forge(&prev)
		beside := e.m.Next(Draft{Stream: "thread/b", Home: "group/g", Events: 1})
		forged := Build(e.s.Epoch(), Draft{Stream: "thread/a", Home: cmp.Or(prev.Home, "group/g"), Events: 1, Prev: prev})
		out := e.commit(beside, forged, e.m.Next(Draft{Stream: "thread/b", Events: 1}))
		if out[0].Status != store.Committed || out[1].Status != store.Moved || out[1].Stream != "thread/a" || out[2].Status != store.Committed {
			e.Errorf("%s: %+v", name, out)
		}
		e.traceless([]store.Commit{forged})
		equal(e, name, e.head("thread/a"), head)
	}
	e.next(Draft{Stream: "thread/a", Events: 1})
}

// orderOfFates: replayed before moved before taken, the own stream before
// others.
func orderOfFates(e *env) {
	claim := gotong.Claim{Space: "s", Name: "n"}
	old := e.next(Draft{Stream: "thread/a", Events: 1, Claims: []gotong.Claim{claim}})
	wrong := []store.Expectation{{Stream: "thread/b", Seq: 7}}
	d := Draft{Stream: "thread/a", Events: 1, Others: wrong, Claims: []gotong.Claim{claim}}
	moved := Build(e.s.Epoch(), d)
	d.RequestID = old.Record.Request.RequestID
	replayed := Build(e.s.Epoch(), d)
	d.RequestID = ""
	other := e.m.Peek(d)
	d.Others = nil
	taken := e.m.Peek(d)
	out := e.commit(replayed, moved, other, taken)
	equal(e, "replayed", out[0], store.Outcome{Status: store.Replayed, Record: old.Record})
	equal(e, "moved", out[1], store.Outcome{Status: store.Moved, Stream: "thread/a"})
	equal(e, "moved by another", out[2], store.Outcome{Status: store.Moved, Stream: "thread/b"})
	equal(e, "taken", out[3], store.Outcome{Status: store.Taken, Claim: claim})
}

// expectations: the heads of other streams must be exactly where the decision saw
// them, also if it saw none.
func expectations(e *env) {
	e.next(Draft{Stream: "group/g", Events: 2})
	for _, tt := range []struct {
		stream gotong.Stream
		seq    uint64
		ok     bool
	}{{"group/g", 2, true}, {"group/g", 1, false}, {"group/g", 3, false}, {"group/g", 0, false},
		{"group/none", 0, true}, {"group/none", 1, false}} {
		d := Draft{Stream: "thread/a", Events: 1, Others: []store.Expectation{
			{Stream: "group/none", Seq: 0}, {Stream: tt.stream, Seq: tt.seq},
		}}
		out := e.commit(e.m.Peek(d))[0]
		if (out.Status == store.Committed) != tt.ok || !tt.ok && out.Stream != tt.stream {
			e.Errorf("%+v: %+v", tt, out)
		}
		if tt.ok {
			e.m = NewMaker(e.s.Epoch())
			e.m.heads["thread/a"] = e.head("thread/a")
		}
	}
}

func twinsInBatch(e *env) {
	d := Draft{Stream: "thread/a", Events: 1, RequestID: "same"}
	twin := e.m.Peek(d)
	first := e.m.Next(d)
	out := e.commit(first, twin, e.m.Next(Draft{Stream: "thread/a", Events: 1}))
	if out[0].Status != store.Committed || out[1].Status != store.Replayed || out[2].Status != store.Committed {
		e.Fatalf("outcomes %+v", out)
	}
	equal(e, "record", out[1].Record, out[0].Record)
}

// independentKeys: a request id belongs to one actor on one stream.
func independentKeys(e *env) {
	for _, d := range []Draft{
		{Stream: "thread/a", Actor: "u1"}, {Stream: "thread/a", Actor: "u2"}, {Stream: "thread/b", Actor: "u1"},
	} {
		d.RequestID, d.Events = "same", 1
		e.next(d)
	}
	equal(e, "head", e.head("thread/a").Seq, 2)
}

func claims(e *env) {
	a, b := gotong.Claim{Space: "email", Name: "a"}, gotong.Claim{Space: "name", Name: "a"}
	e.next(Draft{Stream: "user/1", Events: 1, Claims: []gotong.Claim{a}})
	out := e.commit(
		e.m.Peek(Draft{Stream: "user/2", Events: 1, Claims: []gotong.Claim{b, a}}),
		e.m.Next(Draft{Stream: "user/3", Events: 1, Claims: []gotong.Claim{b}}), // the one before left nothing
		e.m.Peek(Draft{Stream: "user/4", Events: 1, Claims: []gotong.Claim{b}}),
	)
	if out[0].Status != store.Taken || out[0].Claim != a || out[1].Status != store.Committed ||
		out[2].Status != store.Taken || out[2].Claim != b {
		e.Errorf("outcomes %+v", out)
	}
	equal(e, "claims", e.load(store.Need{Claims: []gotong.Claim{a, b}}).Claims,
		map[gotong.Claim]gotong.Stream{a: "user/1", b: "user/3"})
}

// noOp: a commit without events has a record without position and seqs, moves
// nothing, and is checked and replayed like any other.
func noOp(e *env) {
	first := e.m.Peek(Draft{Stream: "thread/a", RequestID: "noop"})
	for range 2 {
		c := e.m.Next(Draft{Stream: "thread/a", Events: 1})
		e.must(c)
	}
	c := e.m.Next(Draft{Stream: "thread/a"})
	c.Prev = gotong.Head{Seq: c.Prev.Seq, Chain: c.Prev.Chain} // all that is compared
	out := e.commit(c, c, first, e.m.Peek(Draft{Stream: "thread/new"}))
	want := store.Record{Request: c.Request, Salt: c.Salt, Fingerprint: c.Fingerprint, Partition: c.Partition(), At: c.At}
	equal(e, "outcome", out[0], store.Outcome{Status: store.Committed, Record: want})
	equal(e, "again", out[1], store.Outcome{Status: store.Replayed, Record: want})
	equal(e, "of an older head", out[2], store.Outcome{Status: store.Moved, Stream: "thread/a"})
	equal(e, "of a stream without events", out[3].Status, store.Committed)
	if got, ok := e.record(c.Request); !ok || !reflect.DeepEqual(got, want) {
		e.Errorf("record %+v", got)
	}
	snap := e.load(store.Need{Heads: []gotong.Stream{"thread/a", "thread/new"}})
	equal(e, "heads", snap.Heads, map[gotong.Stream]gotong.Head{"thread/a": e.m.Head("thread/a")})
	equal(e, "positions", sum(snap.Positions), 2)
	e.next(Draft{Stream: "thread/new", Home: "group/elsewhere", Events: 1}) // the no-op fixed no home
	equal(e, "partition", len(e.partition(gotong.PartitionOf("group/elsewhere"), 0, 9, 9)), 1)
}
