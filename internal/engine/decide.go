package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// decideCold reads what the rules need and the request's record in one
// snapshot, on which every answer may rest, also a rejection.
func (l *lane) decideCold(t *task) {
	if t.ctx.Err() != nil {
		t.done(gotong.Receipt{}, errUnknown())
		return
	}
	key := t.cmd.Key()
	state, snap, err := store.LoadState(t.ctx, l.engine.opts.Store, l.engine.opts.Codec, l.stream,
		func(s gotong.State) []gotong.Ref { return l.needs(s, &t.cmd) },
		func(gotong.State, store.Snapshot) store.Need {
			return store.Need{
				Records: []gotong.RequestKey{key}, Events: []store.EventRange{store.LastEvent(l.stream)}, Registers: t.registers(),
			}
		})
	if err == nil { // nothing may be chained to a head that is not in the log
		err = store.CheckHead(l.stream, state.Head, snap.Events[0])
	}
	if errors.Is(err, store.ErrCorrupt) { // commands decided before the damage are not affected
		if alone, again := l.engine.opts.Store.Load(t.ctx, store.Need{Records: []gotong.RequestKey{key}}); again == nil {
			snap = alone
		}
	}
	if record, ok := snap.Records[key]; ok {
		l.engine.replay(t, record)
		return
	}
	if err != nil {
		l.engine.note(t.ctx, err)
		t.done(gotong.Receipt{}, store.CodedWrite(err))
		return
	}
	if t.stale(snap) {
		t.done(gotong.Receipt{}, gotong.NewError(gotong.CodeConflict,
			"Another request changed this at the same time; nothing was written."))
		return
	}
	l.state = &state
	l.hold(len(snap.Documents))
	t.refs = l.needs(state, &t.cmd)
	decision, err := l.decide(t)
	if err != nil {
		t.done(gotong.Receipt{}, err)
		return
	}
	l.build(t, decision)
}

func (t *task) registers() (keys []gotong.Key) {
	for _, r := range t.cmd.Registers {
		keys = append(keys, r.Key)
	}
	return keys
}

// stale reports whether one of them has another version than the command
// expects.
func (t *task) stale(snap store.Snapshot) bool {
	return slices.ContainsFunc(t.cmd.Registers, func(r gotong.RegisterChange) bool {
		return snap.Registers[r.Key].Version != r.Expect
	})
}

// decideWarm decides on the cached state, after it has read what the cache
// lacks. Only an acceptance stands; any other decision is repeated on a fresh
// state.
func (l *lane) decideWarm(t *task) {
	if err := l.complete(t); err != nil {
		l.halt(t)
		return
	}
	decision, err := l.decide(t)
	if err != nil || len(decision.Facts) == 0 {
		l.halt(t)
		return
	}
	l.build(t, decision)
}

var errStale = errors.New("engine: the cached state is stale")

// complete adds what this command needs to the cached state. The cache already
// has the documents that commands in flight change, so the documents read here
// are those that they leave alone.
func (l *lane) complete(t *task) error {
	for round := range maxRounds {
		t.refs = l.needs(*l.state, &t.cmd)
		for i := range t.refs {
			if c := t.refs[i].Claim; round == 0 && c != (gotong.Claim{}) {
				l.state.Forget(c) // no head shows whether it was made since
			}
		}
		missing := l.state.Missing(t.refs)
		if len(missing) == 0 {
			return nil
		}
		read, _, err := store.LoadState(t.ctx, l.engine.opts.Store, l.engine.opts.Codec, l.stream,
			func(gotong.State) []gotong.Ref { return missing }, nil)
		if err != nil {
			return err
		}
		if read.Head.Seq > l.state.Head.Seq || !l.state.Adopt(read) {
			return errStale
		}
		l.hold(len(missing))
	}
	return errStale
}

// maxRounds bounds the chain of documents in which each names the next that the
// rules need.
const maxRounds = 5

// decide stamps the command and applies the rules.
func (l *lane) decide(t *task) (gotong.Decision, error) {
	t.cmd.Now = l.engine.opts.Clock.Now()
	t.cmd.At = gotong.NextInstant(t.cmd.Now, l.state.Head.At)
	if by := t.cmd.At.Sub(t.cmd.Now); by > MaxAhead {
		l.engine.opts.Ahead(t.ctx, l.stream, by)
	}
	if !l.state.Head.Exists() {
		if _, err := l.kind.Home(t.cmd); err != nil {
			return gotong.Decision{}, err
		}
	}
	state, err := l.sight(t)
	if err != nil {
		return gotong.Decision{}, store.CodedWrite(err)
	}
	return l.kind.Decide(state, t.cmd)
}

// build turns a decision into a commit, applies it to the lane's state and
// submits it.
func (l *lane) build(t *task, d gotong.Decision) {
	if err := l.decided(t, d); err != nil {
		l.mu.Lock()
		l.halted = true // the state may contain a part of the decision
		l.mu.Unlock()
		t.done(gotong.Receipt{}, err)
		return
	}
	l.submit(t)
}

// decided fills the task's commit and applies it to the lane's state.
func (l *lane) decided(t *task, d gotong.Decision) error {
	home := l.state.Head.Home
	if !l.state.Head.Exists() {
		h, err := l.kind.Home(t.cmd)
		if err != nil {
			return err
		}
		home = h
	}
	t.access = false
	noise := newNoise(len(d.Facts))
	noise.read(t.salt[:])
	t.fingerprint = fingerprint(t.salt[:], &t.cmd)
	t.commit[0] = store.Commit{
		Request: t.cmd.Key(), Home: home, Prev: l.state.Head,
		Others: l.expectations(t), Claims: d.Claims, Registers: t.cmd.Registers, At: t.cmd.At,
		Salt: t.salt[:], Fingerprint: t.fingerprint[:],
		Events: t.row[:0:1],
	}
	if len(d.Facts) > 1 {
		t.commit[0].Events = make([]store.Event, 0, len(d.Facts))
	}
	for i := range d.Facts {
		if err := l.append(t, &d.Facts[i], &t.commit[0], &noise); err != nil {
			return err
		}
	}
	return nil
}

// expectations returns the heads of other streams whose documents the decision
// used.
func (l *lane) expectations(t *task) []store.Expectation {
	var others []store.Expectation
	for _, r := range t.refs {
		same := func(e store.Expectation) bool { return e.Stream == r.Stream }
		if r.Stream == "" || r.Stream == l.stream || slices.ContainsFunc(others, same) {
			continue
		}
		head, _ := l.state.HeadOf(r.Stream)
		others = append(others, store.Expectation{Stream: r.Stream, Seq: head.Seq})
	}
	return others
}

// append numbers, stamps, salts and chains one fact, and projects it onto the
// lane's state.
func (l *lane) append(t *task, f *gotong.Fact, commit *store.Commit, noise *noise) error {
	data, content, err := store.EncodeFact(&t.cmd, f)
	if err != nil {
		return err
	}
	row := l.row(t, f, commit, noise)
	row.Data, row.Content = data, content
	row.ContentCommit = gotong.CommitContent(row.ContentSalt, content)
	row.Chain = row.Header(l.engine.opts.Store.Epoch()).Chain()
	commit.Events = append(commit.Events, row)
	commit.Erase = append(commit.Erase, f.Erases...)

	event := gotong.Event{
		Stream: row.Stream, Seq: row.Seq, ID: row.ID, Type: row.Type, At: row.At, Audience: row.Audience,
		Count: row.Count, Actor: f.By(t.cmd.Actor), RequestID: t.cmd.RequestID, CorrelationID: t.cmd.CorrelationID,
		Data: f.Data, Content: f.Content,
	}
	if l.kind.Affects != nil {
		a := l.kind.Affects(event)
		t.access = t.access || a.Everyone || len(a.Users) > 0
	}
	for _, ch := range l.kind.Project(*l.state, event) {
		change, err := store.EncodeChange(ch)
		if err != nil {
			return err
		}
		commit.Changes = append(commit.Changes, change)
		l.state.SetDoc(ch.Key, ch.Doc)
		l.hold(1)
	}
	if len(f.Erases) > 0 {
		l.mu.Lock()
		l.halted = true // the state may hold what was erased: begin from a fresh one
		l.mu.Unlock()
	}
	l.state.Head = commit.Head()
	return nil
}

func (l *lane) row(t *task, f *gotong.Fact, commit *store.Commit, noise *noise) store.Event {
	head := l.state.Head
	at := gotong.NextInstant(t.cmd.At, head.At)
	count := head.Count
	if f.Counted {
		count++
	}
	var random [8]byte
	noise.read(random[:])
	row := store.Event{
		Stream: l.stream, Seq: head.Seq + 1, Partition: gotong.PartitionOf(commit.Home),
		ID:   gotong.NewEventID(at, binary.BigEndian.Uint64(random[:])),
		Type: f.Type, At: at, Audience: f.Audience, Count: count, Prev: head.Chain,
	}
	noise.read(row.DataSalt[:])
	noise.read(row.ContentSalt[:])
	return row
}

// replay answers a request whose record exists: with the first receipt, or with
// a rejection if the request differs from the first.
func (e *Engine) replay(t *task, record store.Record) {
	if record.Salt != nil && !same(&record, &t.cmd) {
		t.done(gotong.Receipt{}, gotong.NewError(gotong.CodeReused,
			"This request id was used for another request; use a new one."))
		return
	}
	var receipt gotong.Receipt
	err := store.Guard(func() (err error) {
		receipt, err = Replay(context.WithoutCancel(t.ctx), e.opts.Store, record)
		return err
	})
	if err != nil {
		t.done(gotong.Receipt{}, store.CodedWrite(err))
		return
	}
	t.done(receipt, nil)
}

// Replay returns the receipt of a record, read from its events, or
// [store.ErrCorrupt] if some of them are missing.
func Replay(ctx context.Context, from store.Committer, record store.Record) (gotong.Receipt, error) {
	receipt := receiptOf(&record)
	receipt.Replayed, receipt.Access = true, record.First > 0
	stream, next := record.Request.Stream, record.First
	if next == 0 && record.Last == 0 && record.Position == 0 { // a no-op
		return receipt, nil
	}
	if next == 0 || record.Last-next >= store.MaxCommitEvents {
		return receipt, fmt.Errorf("%w: a request's record on %s has impossible seqs", store.ErrCorrupt, stream)
	}
	for next <= record.Last {
		snap, err := from.Load(ctx, store.Need{Events: []store.EventRange{{Stream: stream, From: next - 1, To: record.Last}}})
		if err != nil {
			return receipt, err
		}
		rows := snap.Events[0]
		if len(rows) == 0 || rows[0].Position != record.Position {
			return receipt, fmt.Errorf("%w: a request's record does not fit event %d of %s", store.ErrCorrupt, next, stream)
		}
		next = rows[len(rows)-1].Seq + 1
		receipt = withEvents(receipt, rows)
	}
	return receipt, nil
}

func receiptOf(record *store.Record) gotong.Receipt {
	return gotong.Receipt{
		Stream: record.Request.Stream, Partition: record.Partition, Position: record.Position,
		First: record.First, Last: record.Last, At: record.At,
	}
}

func withEvents(r gotong.Receipt, rows []store.Event) gotong.Receipt {
	for i := range rows {
		r.EventIDs = append(r.EventIDs, rows[i].ID)
		r.Chain, r.At = rows[i].Chain, rows[i].At
	}
	return r
}

// needs returns what the rules need for a command. If they look at an event,
// that includes what decides whether the actor may see it.
func (l *lane) needs(s gotong.State, cmd *gotong.Command) []gotong.Ref {
	refs := l.kind.Needs(s, *cmd)
	if l.kind.AccessNeeds == nil || !namesEvent(refs) {
		return refs
	}
	for _, r := range l.kind.AccessNeeds(s, viewerOf(cmd)) {
		if !slices.Contains(refs, r) {
			refs = append(refs, r)
		}
	}
	return refs
}

func namesEvent(refs []gotong.Ref) bool {
	return slices.ContainsFunc(refs, func(r gotong.Ref) bool { return !r.Event.IsZero() })
}

func viewerOf(cmd *gotong.Command) gotong.Viewer {
	return gotong.Viewer{UserID: cmd.Actor.UserID, Role: cmd.Actor.Role}
}

// sight returns the lane's state as the command's actor sees it: the one
// visibility function, applied to the documents that decide the command. The
// lane does not cache it, because the next command has another actor. What the
// command needs has been looked up.
func (l *lane) sight(t *task) (gotong.State, error) {
	if l.kind.Access == nil || !namesEvent(t.refs) {
		return *l.state, nil
	}
	viewer := viewerOf(&t.cmd)
	access, err := l.engine.places.Resolve(t.ctx, l.engine.opts.Store, l.stream,
		[]gotong.Viewer{viewer}, []gotong.Grant{l.kind.Access(*l.state, viewer)})
	if err != nil {
		return *l.state, err
	}
	return l.state.WithSight(func(e gotong.Event) bool {
		return e.Stream == l.stream && access[0].Sees(e.Seq, e.Audience, l.kind.AboutOf(e)...)
	}), nil
}
