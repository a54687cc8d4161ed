// Package modeltest does the same random things to an adapter and to the reference,
// and compares every answer and all that is there.
package modeltest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
	"pgregory.net/rapid"
)

// Run runs the model; place returns the function that opens the store of a new,
// empty place. The store is closed and opened again between random pieces.
func Run(t *testing.T, place func(t *testing.T) func(storetest.Options) (store.Whole, error)) {
	t.Helper()
	rapid.Check(t, func(r *rapid.T) {
		now, at := gotong.Instant(1000), place(t)
		open := func() store.Whole {
			s, err := at(storetest.Options{Collections: []string{"things"}, Now: func() gotong.Instant { return now }})
			if err != nil {
				r.Fatal(err)
			}
			return s
		}
		p := &pair{r: r, t: t, subject: open(), requests: []string{"again"}}
		defer func() { _ = p.subject.Close() }()
		p.reference = memory.New(p.subject.Epoch(), memory.Options{Now: func() gotong.Instant { return now }})
		defer func() { _ = p.reference.Close() }()
		r.Repeat(map[string]func(*rapid.T){
			"commit": p.commit, "register": p.register, "advance": p.advance, "jobs": p.jobs,
			"time":   func(r *rapid.T) { now += gotong.Instant(rapid.IntRange(1, 100_000_000).Draw(r, "passes")) },
			"reopen": func(*rapid.T) { check(t, p.subject.Close()); p.subject = open() },
			"read":   p.compare,
		})
		p.compare(r)
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair is two stores that have to behave alike.
type pair struct {
	r         *rapid.T
	t         *testing.T
	subject   store.Whole
	reference *memory.Store
	requests  []string
	leased    []store.Job
	clock     gotong.Instant
}

func same[T any](r *rapid.T, what string, got, want T) {
	if !reflect.DeepEqual(got, want) {
		r.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

var modelStreams = []gotong.Stream{"thread/a", "thread/b", "group/g"}

// commit tries a batch of commits, some of them stale, repeated or in conflict.
func (p *pair) commit(r *rapid.T) {
	m := storetest.NewMaker(p.reference.Epoch())
	heads, err := p.reference.Load(p.t.Context(), store.Need{Heads: modelStreams})
	check(p.t, err)
	batch := make([]store.Commit, rapid.IntRange(1, 6).Draw(r, "commits"))
	pending := heads.Heads
	for i := range batch {
		stream := rapid.SampledFrom(modelStreams).Draw(r, "stream")
		d := storetest.Draft{
			Stream: stream, Home: "group/g", Prev: pending[stream], Events: rapid.IntRange(0, 3).Draw(r, "events"),
			Actor: rapid.SampledFrom([]string{"u1", "u2"}).Draw(r, "actor"), At: p.clock,
		}
		if rapid.IntRange(0, 9).Draw(r, "stale") == 0 {
			d.Prev = gotong.Head{}
		}
		if rapid.IntRange(0, 3).Draw(r, "repeat") == 0 {
			d.RequestID = rapid.SampledFrom(p.requests).Draw(r, "request")
		}
		if rapid.Bool().Draw(r, "claims") {
			d.Claims = []gotong.Claim{{Space: "s", Name: fmt.Sprint(rapid.IntRange(0, 20).Draw(r, "claim"))}}
		}
		if rapid.Bool().Draw(r, "expects") {
			other := rapid.SampledFrom(modelStreams).Draw(r, "other")
			d.Others = []store.Expectation{{Stream: other, Seq: pending[other].Seq}}
		}
		if d.Events > 0 && d.Prev.Seq > 0 && rapid.IntRange(0, 3).Draw(r, "erases") == 0 {
			d.Erase = []uint64{rapid.Uint64Range(1, d.Prev.Seq).Draw(r, "erase")}
		}
		d.Changes = drawChanges(r)
		batch[i] = storetest.Build(m.Epoch, d)
		pending[stream] = batch[i].Head()
		p.requests = append(p.requests, batch[i].Request.RequestID)
	}
	p.clock += 3
	got, gotErr := store.CommitAll(p.t.Context(), p.subject, batch)
	want, wantErr := store.CommitAll(p.t.Context(), p.reference, batch)
	same(r, "error", fmt.Sprint(gotErr), fmt.Sprint(wantErr))
	same(r, "outcomes", got, want)
}

func drawKey(r *rapid.T) gotong.Key {
	name := fmt.Sprint(rapid.IntRange(0, 9).Draw(r, "name"))
	return gotong.Key{Collection: "things", Owner: rapid.SampledFrom([]string{"o", "p"}).Draw(r, "owner"), Name: name}
}

func drawChanges(r *rapid.T) []store.Change {
	return rapid.SliceOfN(rapid.Custom(func(r *rapid.T) store.Change {
		c := store.Change{Key: drawKey(r)}
		if rapid.Bool().Draw(r, "put") {
			c.Body = fmt.Appendf(nil, `{"n":%d}`, rapid.IntRange(0, 99).Draw(r, "n"))
		}
		return c
	}), 0, 4).Draw(r, "changes")
}

func (p *pair) register(r *rapid.T) {
	key, expect := drawKey(r), rapid.Uint64Range(0, 3).Draw(r, "expect")
	if current, err := store.ReadRegister(p.t.Context(), p.reference, key); err == nil && rapid.Bool().Draw(r, "current") {
		expect = current.Version
	}
	var body []byte
	if rapid.IntRange(0, 3).Draw(r, "delete") > 0 {
		body = []byte{byte(rapid.IntRange(0, 255).Draw(r, "body"))}
	}
	expires := gotong.Instant(rapid.SampledFrom([]int{0, 1, 50_000_000, 400_000_000}).Draw(r, "expires"))
	same(r, "set register", p.subject.SetRegister(p.t.Context(), key, expect, body, expires),
		p.reference.SetRegister(p.t.Context(), key, expect, body, expires))
}

func (p *pair) advance(r *rapid.T) {
	step := store.Step{Reader: "r", From: rapid.Uint64Range(0, 3).Draw(r, "from"), Changes: drawChanges(r)}
	at := store.CursorKey{Reader: "r"}
	if snap, err := p.reference.Load(p.t.Context(), store.Need{Cursors: []store.CursorKey{at}}); err == nil && rapid.Bool().Draw(r, "current") {
		step.From = snap.Cursors[at]
	}
	step.To = step.From + rapid.Uint64Range(0, 2).Draw(r, "by")
	for range rapid.IntRange(0, 3).Draw(r, "jobs") {
		step.Jobs = append(step.Jobs, store.Job{
			Queue: "q", ID: fmt.Sprint(rapid.IntRange(0, 9).Draw(r, "id")), Due: gotong.Instant(rapid.IntRange(0, 9).Draw(r, "due")),
			Attempt: rapid.IntRange(0, 3).Draw(r, "attempt"), Body: []byte("body"),
		})
	}
	steps := []store.Step{step}
	if rapid.Bool().Draw(r, "two") {
		steps = append(steps, store.Step{Reader: "s", From: rapid.Uint64Range(0, 1).Draw(r, "from of s"), To: 1, Changes: drawChanges(r)})
	}
	same(r, "advance", p.subject.Advance(p.t.Context(), steps...), p.reference.Advance(p.t.Context(), steps...))
}

func (p *pair) jobs(r *rapid.T) {
	now := gotong.Instant(rapid.IntRange(0, 30).Draw(r, "now"))
	lease, limit := now+gotong.Instant(rapid.IntRange(1, 10).Draw(r, "lease")), rapid.IntRange(0, 4).Draw(r, "limit")
	got, err := p.subject.ClaimJobs(p.t.Context(), "q", now, lease, limit)
	want, werr := p.reference.ClaimJobs(p.t.Context(), "q", now, lease, limit)
	same(r, "claim", errors.Join(err, werr), nil)
	if len(got)+len(want) > 0 { // nil or empty is no difference
		same(r, "claimed", got, want)
	}
	first, err := p.subject.NextDue(p.t.Context(), "q")
	second, werr := p.reference.NextDue(p.t.Context(), "q")
	same(r, "due next", []any{first, err}, []any{second, werr})
	p.leased = append(p.leased, want...)
	if len(p.leased) == 0 {
		return
	}
	job := rapid.SampledFrom(p.leased).Draw(r, "settle")
	var next *store.Job
	if rapid.Bool().Draw(r, "put off") {
		next = &store.Job{
			Due: now + 5, Attempt: job.Attempt + 1, Crashes: job.Crashes, Error: "why", Dead: rapid.IntRange(0, 3).Draw(r, "dead") == 0,
			Lease: rapid.SampledFrom([]gotong.Instant{0, 0, now + 7, now + 50}).Draw(r, "lease kept"),
		}
	}
	same(r, "settle", p.subject.SettleJob(p.t.Context(), job, next), p.reference.SettleJob(p.t.Context(), job, next))
}

// compare reads all there is from both.
func (p *pair) compare(r *rapid.T) {
	need := store.Need{Heads: modelStreams}
	for _, stream := range modelStreams {
		need.Events = append(need.Events, store.EventRange{Stream: stream, To: 1000})
		for _, id := range p.requests {
			need.Records = append(need.Records, gotong.RequestKey{Stream: stream, Actor: "u1", RequestID: id},
				gotong.RequestKey{Stream: stream, Actor: "u2", RequestID: id})
		}
	}
	for i := range 21 {
		need.Claims = append(need.Claims, gotong.Claim{Space: "s", Name: fmt.Sprint(i)})
	}
	for _, owner := range []string{"o", "p"} {
		rng := store.KeyRange{Collection: "things", Owner: owner, From: "0", To: "9"}
		need.Ranges = append(need.Ranges, rng)
		got, err := p.subject.FindRegisters(p.t.Context(), rng)
		want, werr := p.reference.FindRegisters(p.t.Context(), rng)
		same(r, "finding registers", errors.Join(err, werr), nil)
		if len(got)+len(want) > 0 {
			same(r, "registers", got, want)
		}
	}
	got, err := p.subject.Load(p.t.Context(), need)
	want, werr := p.reference.Load(p.t.Context(), need)
	same(r, "loading", errors.Join(err, werr), nil)
	same(r, "snapshot", got, want)
	home := gotong.PartitionOf("group/g")
	rows, err := p.subject.ReadPartition(p.t.Context(), home, 0, 10_000, 0)
	ref, werr := p.reference.ReadPartition(p.t.Context(), home, 0, 10_000, 0)
	same(r, "reading the partition", errors.Join(err, werr), nil)
	same(r, "partition", rows, ref)
}
