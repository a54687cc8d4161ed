package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// Commit is what a log, or a part of one that was published, says of one
// position. A commit of a stream that was not published has only its Leaf.
type Commit struct {
	Partition gotong.Partition // set by files
	Position  uint64
	Leaf      gotong.Hash   // set if Events is empty
	Events    []store.Event // one that was not published has only Stream, Seq and Chain
}

// Source is a log that is verified.
type Source struct {
	Eras      store.Eras
	Positions [gotong.Partitions]uint64 // the last ones; Commits yields no others

	// Partial: contents, and events as a whole, may be withheld.
	Partial bool
	// Checked: Commits has verified each event, as stores do.
	Checked bool

	// Commits yields a partition in order of position. After an error that wraps
	// [store.ErrCorrupt], it continues beyond the next position; any other error
	// is the last.
	Commits func(ctx context.Context, p gotong.Partition) iter.Seq2[Commit, error]

	// Since yields what was committed after the positions of a log that is in use, and
	// may have erased what Commits yields. May be nil.
	Since func(ctx context.Context, p gotong.Partition) iter.Seq2[Commit, error]

	// Tiles are the stored trees, from which the first altered commit is known. They
	// are used only as far as a checkpoint proves them. May be nil.
	Tiles store.Loader

	// Signed are the newest checkpoints that came with the log. One that
	// contradicts a pinned one shows that two histories were signed.
	Signed Pinned
}

// VerifyOptions configure [Verify].
type VerifyOptions struct {
	Pinned Pinned // what the log is compared with

	// Replay returns a function that is called for each event of a partition, in
	// order, and returns an error if the events before it do not give its outcome.
	// May be nil.
	Replay func() func(*store.Event) error

	Progress func(done, total uint64) // in commits; called by several goroutines; may be nil
	Parallel int                      // partitions that are read at once; 0 is 1
}

const nothingToCompare = "there is no checkpoint to compare the log with; its chains alone cannot show that its end was cut off"

// Verify reads a whole log and compares it with the checkpoints. The error is one
// of reading; what is wrong with the log is in the report.
func Verify(ctx context.Context, s Source, o VerifyOptions) (Report, error) {
	var done, total, events atomic.Uint64
	for _, n := range s.Positions {
		total.Add(n)
	}
	var found [gotong.Partitions]*Finding
	keys := periods{} // the one partition of their stream has its own goroutine
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(o.Parallel, 1))
	for p := range gotong.Partition(gotong.Partitions) {
		g.Go(func() (err error) {
			v := newVerifier(s, o, p)
			v.keys = keys
			v.advance = func(n int) {
				events.Add(uint64(n)) //nolint:gosec // a length
				if d := done.Add(1); o.Progress != nil && d%1024 == 0 {
					o.Progress(d, total.Load())
				}
			}
			found[p], err = v.run(ctx)
			return err
		})
	}
	err := g.Wait()
	for p := range found {
		if found[p] == nil {
			found[p] = keys.judge(gotong.Partition(p), &o.Pinned[p])
		}
	}
	r := Report{Commits: done.Load(), Events: events.Load()}
	for p, f := range found {
		if f != nil {
			r.Findings = append(r.Findings, *f)
		}
		if pin := o.Pinned[p]; pin.Note != nil {
			r.Checkpoints = append(r.Checkpoints, string(pin.Note))
		}
	}
	if len(r.Checkpoints) == 0 {
		r.Findings = append(r.Findings, Finding{Code: Unverifiable, Detail: nothingToCompare})
	}
	r.Code = codeOf(r.Findings)
	return r, err
}

// verifier reads one partition.
type verifier struct {
	s       Source
	o       VerifyOptions
	p       gotong.Partition
	advance func(events int)
	replay  func(*store.Event) error
	keys    periods

	tree     proof.Tree
	heads    map[gotong.Stream]link
	erasures map[gotong.Stream]store.Erasures
	roots    map[uint64]gotong.Hash // at the sizes of checkpoints
	fault    *Finding               // the first
}

type link struct {
	seq   uint64
	chain gotong.Hash
}

// maxFaults bounds the positions that are read beyond the first fault, in order to
// find out which event is missing.
const maxFaults = 1000

func newVerifier(s Source, o VerifyOptions, p gotong.Partition) *verifier {
	v := &verifier{
		s: s, o: o, p: p, heads: map[gotong.Stream]link{}, erasures: map[gotong.Stream]store.Erasures{},
		roots: map[uint64]gotong.Hash{o.Pinned[p].Checkpoint.Size: {}, s.Signed[p].Checkpoint.Size: {}},
	}
	if o.Replay != nil {
		v.replay = o.Replay()
	}
	v.root()
	return v
}

func (v *verifier) root() {
	if _, ok := v.roots[v.tree.Size()]; ok {
		v.roots[v.tree.Size()] = v.tree.Root()
	}
}

func (v *verifier) run(ctx context.Context) (*Finding, error) {
	next := uint64(1)
	for c, err := range v.s.Commits(ctx, v.p) {
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			return nil, err
		}
		switch {
		case err != nil:
			v.unreadable(next, err)
		case c.Position != next:
			v.missing(next)
			next = c.Position
			v.commit(&c)
		default:
			v.commit(&c)
		}
		next++
		if v.fault != nil && (v.fault.Stream != "" || next > v.fault.Position+maxFaults) {
			break
		}
	}
	if v.fault == nil && next <= v.s.Positions[v.p] {
		v.missing(next)
	}
	if v.fault == nil && v.tree.Size() >= v.o.Pinned[v.p].Checkpoint.Size { // else what is missing may name them
		if err := v.unnamed(ctx); err != nil {
			return nil, err
		}
	}
	return v.judge(ctx)
}

func (v *verifier) found(position uint64, stream gotong.Stream, seq uint64, detail string) {
	if v.fault == nil {
		v.fault = &Finding{Code: Altered, Partition: v.p, Position: position, Stream: stream, Seq: seq, Detail: detail}
	}
}

// skipped notes that an event is missing. If a commit is missing, this is its
// event.
func (v *verifier) skipped(position uint64, stream gotong.Stream, seq uint64) {
	if v.fault != nil && v.fault.Stream == "" {
		v.fault.Stream, v.fault.Seq = stream, seq
		return
	}
	v.found(position, stream, seq, "the event is missing")
}

func (v *verifier) missing(position uint64) {
	v.found(position, "", 0, "the commit is missing")
}

func (v *verifier) unreadable(position uint64, err error) {
	if d, ok := errors.AsType[*store.Damaged](err); ok {
		v.found(position, d.Stream, d.Seq, "the event does not match its commitments")
		return
	}
	v.found(position, "", 0, err.Error())
}

// commit checks the events of a commit, and adds its leaf.
func (v *verifier) commit(c *Commit) {
	v.advance(len(c.Events))
	if len(c.Events) == 0 {
		v.tree.Add(c.Leaf)
		v.root()
		return
	}
	for i := range c.Events {
		e := &c.Events[i]
		v.event(c.Position, e)
		if e.Stream != c.Events[0].Stream || e.Seq != c.Events[0].Seq+uint64(i) {
			v.found(c.Position, e.Stream, e.Seq, "the event does not belong to its commit")
		}
	}
	v.tree.Add(leafOf(v.p, c.Position, c.Events).Hash())
	v.root()
}

func (v *verifier) event(position uint64, e *store.Event) {
	was := v.heads[e.Stream]
	hidden := v.s.Partial && e.ID.IsZero()
	switch {
	case e.Seq > was.seq+1:
		v.skipped(position, e.Stream, was.seq+1)
	case e.Seq != was.seq+1 || !hidden && e.Prev != was.chain:
		v.found(position, e.Stream, e.Seq, "the event does not follow the one before it in its stream")
	case !hidden && !v.matches(position, e):
		v.found(position, e.Stream, e.Seq, "the event does not match its commitments")
	}
	v.heads[e.Stream] = link{e.Seq, e.Chain}
	if v.s.Partial || v.fault != nil {
		return
	}
	err := v.erased(e)
	if err == nil && v.p == gotong.PartitionOf(KeysStream) {
		err = v.keys.see(e)
	}
	if err == nil && v.replay != nil {
		err = v.replay(e)
	}
	if err == nil {
		return
	}
	v.found(position, e.Stream, e.Seq, err.Error())
	v.fault.says = true
	if errors.Is(err, store.ErrUnreadable) { // written by another version
		v.fault.Code = Unverifiable
	}
}

// matches verifies an event, without the content if it was withheld.
func (v *verifier) matches(position uint64, e *store.Event) bool {
	epoch := v.s.Eras.At(v.p, position)
	if v.s.Checked && e.Partition == v.p {
		return true
	}
	if e.Partition != v.p {
		return false
	}
	if v.s.Partial && e.Content == nil && e.ContentSalt == (gotong.Salt{}) {
		return e.ID.At() == e.At && e.Header(epoch).Chain() == e.Chain
	}
	return e.Verify(epoch) == nil
}

func (v *verifier) erased(e *store.Event) error {
	seqs, err := e.Erases()
	if err != nil || len(seqs) == 0 && !e.Erased {
		return err
	}
	if v.erasures[e.Stream] == nil {
		v.erasures[e.Stream] = store.Erasures{}
	}
	return v.erasures[e.Stream].See(e)
}

// unnamed reports an event that is marked erased and that no later event names.
func (v *verifier) unnamed(ctx context.Context) error {
	first := func() (gotong.Stream, uint64) {
		for stream, seen := range v.erasures {
			if seq := seen.Unnamed(); seq > 0 {
				return stream, seq
			}
		}
		return "", 0
	}
	if _, seq := first(); seq > 0 && v.s.Since != nil {
		for c, err := range v.s.Since(ctx, v.p) {
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				return err
			}
			for i := range c.Events {
				_ = v.erased(&c.Events[i]) // the log ends before it
			}
		}
	}
	if stream, seq := first(); seq > 0 {
		v.found(0, stream, seq, "the event is marked erased, and no later event names it")
	}
	return nil
}

// judge compares the tree with the checkpoints.
func (v *verifier) judge(ctx context.Context) (*Finding, error) {
	pinned, own := v.o.Pinned[v.p], v.s.Signed[v.p]
	at := pinned.Checkpoint
	if v.fault == nil && (pinned.Note == nil || v.holds(at)) && own.Note != nil && !v.holds(own.Checkpoint) {
		pinned, at = own, own.Checkpoint // later than what is pinned, or all that there is
	}
	if pinned.Note == nil || v.fault == nil && v.holds(at) {
		return v.fault, nil
	}
	if f, err := v.first(ctx, at); f != nil || err != nil {
		return f, err
	}
	if v.fault == nil && v.tree.Size() < at.Size {
		f := &Finding{Code: Truncated, Partition: v.p, Position: v.tree.Size() + 1}
		f.Detail = fmt.Sprintf("the log ends at %d, before the checkpoint at %d", v.tree.Size(), at.Size)
		return f, nil
	}
	if v.fault == nil && own.Note != nil && v.holds(own.Checkpoint) {
		return &Finding{
			Code: Forked, Partition: v.p,
			Detail: fmt.Sprintf("two histories were signed: the log is that of its own checkpoint at %d, and not of the other one at %d",
				own.Checkpoint.Size, at.Size),
		}, nil
	}
	if v.fault == nil {
		v.found(0, "", 0, fmt.Sprintf("the commits up to position %d are not those of the checkpoint", at.Size))
	}
	return v.fault, nil
}

// holds reports whether the log is that of the checkpoint.
func (v *verifier) holds(c proof.Checkpoint) bool { return v.roots[c.Size] == c.Root }
