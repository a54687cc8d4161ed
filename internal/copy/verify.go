package copy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// ErrDiffers is what a comparison of two sides ends with; the text says where.
var ErrDiffers = errors.New("copy: the two sides differ")

func differs(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDiffers}, args...)...)
}

// Verify compares a source with a store: the epochs, every event with its
// position, salts and commitments, every other row by count and hash; then it
// computes every chain of the store again, up to the stream's head, and looks
// for the record of every commit. It writes nothing.
func Verify(ctx context.Context, from Source, to store.Store, o Options) (Summary, error) {
	target, err := fromStore(ctx, to, true)
	if err != nil {
		return Summary{}, err
	}
	a, b := from.About(), target.About()
	sum := Summary{Eras: b.Eras, Rows: Counts{}}
	if !reflect.DeepEqual(a.Eras, b.Eras) {
		return sum, differs("their epochs are not the same")
	}
	if a.Positions != b.Positions {
		return sum, differs("the source ends at positions %v, the target at %v", a.Positions, b.Positions)
	}
	c := &comparison{to: to, o: o, total: a.Units, soon: o.Now() + grace, order: order{eras: b.Eras}}
	if err := c.compare(ctx, from, target); err != nil {
		return sum, err
	}
	sum.Rows = c.target.counts()
	sum.Verified = true
	return sum, checkChains(ctx, to, o, sum.Rows[Streams])
}

// grace: registers that expire before the comparison may be done do not count.
const grace = gotong.Instant(600_000_000)

// comparison reads two sources side by side.
type comparison struct {
	to             store.Store
	o              Options
	done, total    uint64
	soon           gotong.Instant
	source, target tallies
	order          order
	commits        []store.Record // just read of the target; their records are still to be looked at
}

func (c *comparison) compare(ctx context.Context, a, b Source) error {
	c.source, c.target = newTallies(), newTallies()
	c.o.tell("comparing", 0, c.total)
	mine, stopMine := iter.Pull2(c.events(ctx, a, c.source, true))
	defer stopMine()
	theirs, stopTheirs := iter.Pull2(c.events(ctx, b, c.target, false))
	defer stopTheirs()
	for {
		x, xErr, more := mine()
		y, yErr, moreToo := theirs()
		if err := cmp.Or(xErr, yErr, ctx.Err()); err != nil {
			return err
		}
		if !more && !moreToo {
			break
		}
		if err := c.event(ctx, x, y); err != nil {
			return err
		}
	}
	if err := c.lookUp(ctx); err != nil {
		return err
	}
	return c.source.differ(c.target)
}

// events yields the events of a source and counts and hashes its other rows.
func (c *comparison) events(ctx context.Context, from Source, into tallies, told bool) iter.Seq2[*store.Event, error] {
	return func(yield func(*store.Event, error) bool) {
		for page, err := range from.Pages(ctx, Mark{}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if err := into.add(&page, c.soon); err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Events {
				if !yield(&page.Events[i], nil) {
					return
				}
			}
			if told {
				c.done += page.Units
				c.o.tell("comparing", c.done, c.total)
			}
		}
	}
}

// event compares one event of each side; nil where a side has no more.
func (c *comparison) event(ctx context.Context, x, y *store.Event) error {
	if x == nil || y == nil {
		return differs("one of them has more events")
	}
	if !sameEvent(x, y) {
		return differs("%s, event %d, at %d of partition %d", x.Stream, x.Seq, x.Position, x.Partition)
	}
	if err := c.order.check(y); err != nil {
		return err
	}
	if n := len(c.commits); n > 0 && c.commits[n-1].Position == y.Position && c.commits[n-1].Partition == y.Partition {
		c.commits[n-1].Last = y.Seq
		return nil
	}
	if len(c.commits) >= lookUps {
		if err := c.lookUp(ctx); err != nil {
			return err
		}
	}
	var env store.Envelope[json.RawMessage]
	if err := json.Unmarshal(y.Data, &env); err != nil {
		return differs("%s, event %d, has data that cannot be read", y.Stream, y.Seq)
	}
	c.commits = append(c.commits, store.Record{
		Request:   gotong.RequestKey{Stream: y.Stream, Actor: env.Actor.UserID, RequestID: env.RequestID},
		Partition: y.Partition, Position: y.Position, First: y.Seq, Last: y.Seq,
	})
	return nil
}

// sameEvent compares every field of two events.
func sameEvent(x, y *store.Event) bool {
	return x.Stream == y.Stream && x.Seq == y.Seq && x.Partition == y.Partition && x.Position == y.Position &&
		x.ID == y.ID && x.Type == y.Type && x.At == y.At && x.Audience == y.Audience && x.Count == y.Count &&
		sameBytes(x.Data, y.Data) && sameBytes(x.Content, y.Content) &&
		x.DataSalt == y.DataSalt && x.ContentSalt == y.ContentSalt && x.ContentCommit == y.ContentCommit &&
		x.Erased == y.Erased && x.Prev == y.Prev && x.Chain == y.Chain
}

// sameBytes tells no bytes from none at all.
func sameBytes(x, y []byte) bool { return bytes.Equal(x, y) && (x == nil) == (y == nil) }

// lookUps is how many records are read at once.
const lookUps = 256

// lookUp compares the target's records with the commits that were read.
func (c *comparison) lookUp(ctx context.Context) error {
	need := store.Need{Records: make([]gotong.RequestKey, 0, len(c.commits))}
	for _, want := range c.commits {
		need.Records = append(need.Records, want.Request)
	}
	snap, err := c.to.Load(ctx, need)
	if err != nil {
		return err
	}
	for _, want := range c.commits {
		r := snap.Records[want.Request]
		if r.Partition != want.Partition || r.Position != want.Position || r.First != want.First || r.Last != want.Last {
			return differs("the record of the commit at %d of partition %d is missing or another", want.Position, want.Partition)
		}
	}
	c.commits = c.commits[:0]
	return nil
}
