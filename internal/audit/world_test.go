package audit

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/proof"
)

// world is a small log, with its stored tree and the checkpoints of some moments.
type world struct {
	t       testing.TB
	rng     *rand.Rand
	epoch   gotong.Epoch
	commits [gotong.Partitions][]Commit
	heads   map[gotong.Stream]gotong.Head
	docs    documents
	live    *memory.Store // holds the log too, if set
	signer  proof.Signer
	pinned  []Pinned                   // after each step that was pinned
	before  map[gotong.EventID]erasure // events that were erased, as they were
	secret  bool                       // votes are
}

// erasure is an event before it was erased, after so many checkpoints.
type erasure struct {
	event store.Event
	after int
}

func newWorld(tb testing.TB, seed uint64) *world {
	tb.Helper()
	text, err := proof.NewSigner("test.example.org")
	if err != nil {
		tb.Fatal(err)
	}
	s, err := proof.ParseSigner(text)
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{
		t: tb, rng: rand.New(rand.NewPCG(seed, 1)), epoch: "aaaaaaaa", heads: map[gotong.Stream]gotong.Head{},
		docs: documents{}, signer: s, before: map[gotong.EventID]erasure{},
	}
	w.pin()
	return w
}

// event returns the next event of a stream.
func (w *world) event(stream gotong.Stream, home gotong.Stream, head gotong.Head, f fact) store.Event {
	p := gotong.PartitionOf(home)
	e := store.Event{
		Stream: stream, Seq: head.Seq + 1, Partition: p, Type: f.name, At: head.At + 1 + gotong.Instant(w.rng.IntN(1000)),
		Audience: f.audience, Count: head.Count, Data: []byte(f.data), Content: fmt.Appendf(nil, `{"text":"%d"}`, w.rng.Uint32()), Prev: head.Chain,
	}
	for i := range 4 {
		binary.BigEndian.PutUint64(e.DataSalt[8*i:], w.rng.Uint64())
		binary.BigEndian.PutUint64(e.ContentSalt[8*i:], w.rng.Uint64())
	}
	e.ID = gotong.NewEventID(e.At, w.rng.Uint64())
	e.ContentCommit = gotong.CommitContent(e.ContentSalt, e.Content)
	e.Chain = e.Header(w.epoch).Chain()
	return e
}

// write appends a commit of n events, which erases other events of the stream.
func (w *world) write(stream, home gotong.Stream, n int, erases ...uint64) {
	var facts []fact
	for i := range n {
		data := fmt.Sprintf(`{"actor":{"user_id":"u%d"},"request_id":"r%d","payload":{}}`, w.rng.IntN(9), w.rng.Uint32())
		if i == 0 && len(erases) > 0 {
			data = fmt.Sprintf(`{"erases":[%d],"request_id":"r%d","payload":{}}`, erases[0], w.rng.Uint32())
		}
		facts = append(facts, fact{"thing.done", "", data})
	}
	w.commit(stream, home, facts, erases...)
}

// fact is what an event says.
type fact struct {
	name     string
	audience gotong.Audience
	data     string
}

// by returns a fact of a user.
func (w *world) by(user, name string, audience gotong.Audience, data any) fact {
	payload, err := json.Marshal(data)
	if err != nil {
		w.t.Fatal(err)
	}
	return fact{name, audience, fmt.Sprintf(`{"actor":{"user_id":%q},"request_id":"r%d","payload":%s}`, user, w.rng.Uint32(), payload)}
}

// vote appends a case with a vote of a few users, and returns the tally, which
// counts so many yes too many.
func (w *world) vote(extra int) *store.Event {
	home := gotong.Stream(fmt.Sprintf("group/%d", w.rng.IntN(3)))
	stream := gotong.Stream(fmt.Sprintf("case/%d-%d", len(w.heads), w.rng.Uint32()))
	voters := 1 + w.rng.IntN(5)
	terms := cases.Terms{Gate: cases.Vote, Vote: 1, Quorum: 30, Threshold: 50, Secret: w.secret}
	w.commit(stream, home, []fact{
		w.by("u0", cases.EvCreated, "", cases.Created{ScopeID: "rt05", Home: home, Track: "tuntaskan", Stage: "lapor"}),
		w.by("u0", cases.EvProposed, "", cases.Proposed{Seq: 2, From: "lapor", To: "bahas", Terms: terms, Voters: voters, Now: 1e6, ClosesAt: 2e6}),
	})
	tally := cases.Tallied{Gate: 2, Secret: w.secret, Voters: voters, Count: cases.Count{Needed: (voters*3 + 9) / 10}, Now: 2e6}
	for i := range w.rng.IntN(voters + 1) {
		user, choice := fmt.Sprintf("u%d", i), cases.Yes
		if tally.Yes++; w.rng.IntN(2) == 0 {
			choice = cases.No
			tally.Yes, tally.No = tally.Yes-1, tally.No+1
		}
		w.commit(stream, home, []fact{w.by(user, cases.EvVoted, gotong.ForUser(user), cases.Voted{Gate: 2, Choice: choice, Now: 1.5e6})})
		ballot := cases.Ballot{UserID: user, Seq: uint64(3 + i), Choice: choice}
		if w.secret {
			ballot.Choice = ""
		}
		tally.Ballots = append(tally.Ballots, ballot)
	}
	tally.Yes += extra
	tally.Why, tally.Passed = cases.WhyPassed, true
	end := w.by("system", cases.EvApplied, "", cases.Outcome{Gate: 2, Why: cases.WhyPassed, Stage: "bahas", Now: 2e6})
	if cast := tally.Yes + tally.No; cast < tally.Needed || tally.Yes <= tally.No {
		tally.Why, tally.Passed = cases.WhyThreshold, false
		if cast < tally.Needed {
			tally.Why = cases.WhyQuorum
		}
		end = w.by("system", cases.EvRejected, "", cases.Outcome{Gate: 2, Why: tally.Why, Stage: "lapor", Now: 2e6})
	}
	w.commit(stream, home, []fact{w.by("system", cases.EvTallied, "", tally), end})
	return w.find(gotong.PartitionOf(home), stream, uint64(3+len(tally.Ballots)))
}

func (w *world) commit(stream, home gotong.Stream, facts []fact, erases ...uint64) {
	p := gotong.PartitionOf(home)
	head, ok := w.heads[stream]
	if !ok {
		head = gotong.Head{At: 1_700_000_000_000_000, Home: home}
	}
	c := Commit{Position: uint64(len(w.commits[p])) + 1}
	for _, f := range facts {
		e := w.event(stream, home, head, f)
		e.Position = c.Position
		head = gotong.Head{Seq: e.Seq, Chain: e.Chain, At: e.At, Count: e.Count, Home: home}
		c.Events = append(c.Events, e)
	}
	if w.live != nil {
		w.store(c, w.heads[stream], home, erases)
	}
	w.heads[stream] = head
	w.commits[p] = append(w.commits[p], c)
	w.docs.apply(w.t, reader.Commit{Partition: p, Position: c.Position, Events: c.Events})
	for _, seq := range erases {
		e := w.find(p, stream, seq)
		w.before[e.ID] = erasure{*e, len(w.pinned) - 1}
		e.Erased, e.Content, e.ContentSalt = true, nil, gotong.Salt{}
	}
}

func (w *world) find(p gotong.Partition, stream gotong.Stream, seq uint64) *store.Event {
	for i := range w.commits[p] {
		for j := range w.commits[p][i].Events {
			if e := &w.commits[p][i].Events[j]; e.Stream == stream && e.Seq == seq {
				return e
			}
		}
	}
	w.t.Fatalf("%s has no event %d", stream, seq)
	return nil
}

// fill writes commits to streams of a few homes. Every tenth commit erases.
func (w *world) fill(commits int) {
	for range commits {
		home := gotong.Stream(fmt.Sprintf("group/%d", w.rng.IntN(3)))
		stream := gotong.Stream(fmt.Sprintf("thread/%d-%s", w.rng.IntN(4), home.ID()))
		head := w.heads[stream]
		if w.rng.IntN(20) == 0 {
			w.vote(0)
		}
		if head.Seq > 2 && w.rng.IntN(3) == 0 {
			if seq := 1 + w.rng.Uint64N(head.Seq); !w.find(gotong.PartitionOf(home), stream, seq).Erased {
				w.write(stream, home, 1, seq)
				continue
			}
		}
		w.write(stream, home, 1+w.rng.IntN(3))
	}
}

// pin signs the checkpoints of the log as it is.
func (w *world) pin() {
	var pinned Pinned
	for p := range gotong.Partition(gotong.Partitions) {
		size := uint64(len(w.commits[p]))
		root, err := tree{w.t.Context(), w.docs, p}.root(size)
		if err != nil {
			w.t.Fatal(err)
		}
		c := proof.Checkpoint{Origin: proof.Origin{Instance: "test.example.org", Epoch: w.epoch, Partition: p}, Size: size, Root: root}
		pinned[p].Checkpoint = c
		if pinned[p].Note, err = c.Sign(w.signer); err != nil {
			w.t.Fatal(err)
		}
	}
	w.pinned = append(w.pinned, pinned)
}

// copied returns the commits without anything shared with the world.
func (w *world) copied() (commits [gotong.Partitions][]Commit) {
	for p := range w.commits {
		for _, c := range w.commits[p] {
			c.Events = slices.Clone(c.Events)
			for i := range c.Events {
				e := &c.Events[i]
				e.Data, e.Content = slices.Clone(e.Data), slices.Clone(e.Content)
			}
			commits[p] = append(commits[p], c)
		}
	}
	return commits
}

// replay counts the votes of cases.
var (
	codec  = store.NewCodec([]gotong.Kind{cases.Rules{Tracks: cases.BuiltIn()}.Kind()})
	replay = Replay(codec)
)

// source returns commits as a log.
func (w *world) source(commits [gotong.Partitions][]Commit) Source {
	s := Source{
		Eras: store.FirstEra(w.epoch), Tiles: w.docs, Signed: w.pinned[len(w.pinned)-1],
		Commits: func(_ context.Context, p gotong.Partition) iter.Seq2[Commit, error] {
			return func(yield func(Commit, error) bool) {
				for _, c := range commits[p] {
					if !yield(c, nil) {
						return
					}
				}
			}
		},
	}
	for p := range commits {
		s.Positions[p] = uint64(len(commits[p]))
	}
	return s
}

// store writes a commit to the store, and its tree if the reader runs.
func (w *world) store(c Commit, prev gotong.Head, home gotong.Stream, erases []uint64) {
	e := c.Events[0]
	outcomes, err := store.CommitAll(w.t.Context(), w.live, []store.Commit{{
		Request: gotong.RequestKey{Stream: e.Stream, Actor: "u", RequestID: e.ID.String()}, Home: home, Prev: prev,
		Events: c.Events, Erase: erases, At: e.At,
	}})
	if err != nil || outcomes[0].Status != store.Committed || outcomes[0].Record.Position != c.Position {
		w.t.Fatalf("%+v, %v", outcomes, err)
	}
}

// grow lets the reader catch up in the store.
func (w *world) grow() {
	leaves, _, err := sizes(w.t.Context(), w.live)
	if err != nil {
		w.t.Fatal(err)
	}
	docs := documents{}
	for p := range w.commits {
		step := store.Step{Reader: "audit", Partition: gotong.Partition(p), From: leaves[p], To: uint64(len(w.commits[p]))}
		for _, c := range w.commits[p][leaves[p]:] {
			rc := reader.Commit{Partition: step.Partition, Position: c.Position, Events: c.Events}
			snap, err := w.live.Load(w.t.Context(), store.Need{Documents: Reader().Needs(rc)})
			if err != nil {
				w.t.Fatal(err)
			}
			for key, body := range snap.Documents {
				if docs[key] == nil {
					docs[key] = body
				}
			}
			docs.apply(w.t, rc)
		}
		for key, body := range docs {
			if key.Owner == ownerOf(step.Partition) {
				step.Changes = append(step.Changes, store.Change{Key: key, Body: body})
			}
		}
		if step.From < step.To {
			if err := w.live.Advance(w.t.Context(), step); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}
