package copy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"reflect"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/store"
)

// ErrDiffers is wrapped by the error of a comparison whose sides differ; the
// text names the place.
var ErrDiffers = errors.New("copy: the two sides differ")

func differs(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDiffers}, args...)...)
}

// Verify compares a source with a store: the epochs, every event with its
// position, salts and commitments, every commit's record, and every other row by
// count and hash. Then it checks the store completely: every chain up to the
// stream's head, the record of every commit and every document (package check).
// It writes nothing.
func Verify(ctx context.Context, from Source, to store.Whole, o Options) (Summary, error) {
	target, err := fromStore(ctx, to, true)
	if err != nil {
		return Summary{}, err
	}
	a, b := from.About(), target.About()
	sum := Summary{Eras: b.Eras, Rows: Counts{}}
	if !reflect.DeepEqual(a.Eras, b.Eras) {
		return sum, differs("their epochs differ")
	}
	if a.Positions != b.Positions {
		return sum, differs("the source ends at positions %v, the target at %v", a.Positions, b.Positions)
	}
	c := &comparison{o: o, total: a.Units, soon: o.Now() + grace, order: check.Order{Eras: b.Eras}}
	if err := c.compare(ctx, from, target); err != nil {
		return sum, err
	}
	sum.Rows = c.target.counts()
	sum.Verified = true
	return sum, checked(ctx, to, o, sum.Rows[Streams])
}

// grace is the time that the comparison may take: registers that expire within
// it do not count.
const grace = gotong.Instant(600_000_000)

// comparison reads two sources side by side.
type comparison struct {
	o              Options
	done, total    uint64
	soon           gotong.Instant
	source, target tallies
	order          check.Order
}

func (c *comparison) compare(ctx context.Context, a, b Source) error {
	c.source, c.target = newTallies(), newTallies()
	c.o.report("comparing", 0, c.total)
	mine, stopMine := iter.Pull2(c.commits(ctx, a, c.source, true))
	defer stopMine()
	theirs, stopTheirs := iter.Pull2(c.commits(ctx, b, c.target, false))
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
		if err := c.commit(x, y); err != nil {
			return err
		}
	}
	if err := c.order.End(); err != nil {
		return err
	}
	return c.source.differ(c.target)
}

// checked checks a whole store. It returns an error with the first faults.
func checked(ctx context.Context, s store.Whole, o Options, streams uint64) error {
	var faults []error
	more := 0
	err := check.Run(ctx, s, check.Options{
		Codec: o.Codec, Readers: o.Readers,
		Fault: func(f *check.Fault) {
			if len(faults) < maxFaults {
				faults = append(faults, f)
			} else {
				more++
			}
		},
		Progress: func(done uint64) { o.report("checking", done, streams) },
	})
	if more > 0 {
		faults = append(faults, fmt.Errorf("and %d more", more))
	}
	return errors.Join(append(faults, err)...)
}

const maxFaults = 20

// commits yields the commits of a source, and counts and hashes its other rows.
func (c *comparison) commits(ctx context.Context, from Source, into tallies, reported bool) iter.Seq2[*store.Logged, error] {
	return func(yield func(*store.Logged, error) bool) {
		for page, err := range from.Pages(ctx, Mark{}) {
			if err != nil {
				yield(nil, err)
				return
			}
			err := into.add(&page, c.soon)
			if err == nil && reported { // once, for the source
				err = c.o.see(&page)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Commits {
				if !yield(&page.Commits[i], nil) {
					return
				}
			}
			if reported {
				c.done += page.Units
				c.o.report("comparing", c.done, c.total)
			}
		}
	}
}

// commit compares one commit of each side; nil means that a side has no more.
func (c *comparison) commit(x, y *store.Logged) error {
	if x == nil || y == nil {
		return differs("one of them has more events")
	}
	for i := range min(len(x.Events), len(y.Events)) {
		if e := &x.Events[i]; !sameEvent(e, &y.Events[i]) {
			return differs("%s, event %d, at %d of partition %d", e.Stream, e.Seq, e.Position, e.Partition)
		}
		if err := c.order.Check(&y.Events[i]); err != nil {
			return err
		}
	}
	if r := &x.Record; !sameRecord(r, &y.Record) {
		return differs("%s, the record of request %q, at %d of partition %d",
			r.Request.Stream, r.Request.RequestID, r.Position, r.Partition)
	}
	return nil
}

func sameRecord(x, y *store.Record) bool {
	return x.Request == y.Request && sameBytes(x.Salt, y.Salt) && sameBytes(x.Fingerprint, y.Fingerprint) &&
		x.Partition == y.Partition && x.Position == y.Position && x.First == y.First && x.Last == y.Last && x.At == y.At
}

func sameEvent(x, y *store.Event) bool {
	return x.Stream == y.Stream && x.Seq == y.Seq && x.Partition == y.Partition && x.Position == y.Position &&
		x.ID == y.ID && x.Type == y.Type && x.At == y.At && x.Audience == y.Audience && x.Count == y.Count &&
		sameBytes(x.Data, y.Data) && sameBytes(x.Content, y.Content) &&
		x.DataSalt == y.DataSalt && x.ContentSalt == y.ContentSalt && x.ContentCommit == y.ContentCommit &&
		x.Erased == y.Erased && x.Prev == y.Prev && x.Chain == y.Chain
}

// sameBytes compares two byte strings; nil and empty differ.
func sameBytes(x, y []byte) bool { return bytes.Equal(x, y) && (x == nil) == (y == nil) }

// tally is the number of rows of a part and the sum of their hashes, which does
// not depend on their order.
type tally struct {
	n   uint64
	sum big.Int
}

type tallies map[Part]*tally

func newTallies() tallies {
	t := tallies{}
	for _, part := range Parts() {
		t[part] = &tally{}
	}
	return t
}

// add counts the rows of a page; registers only if they expire later than soon.
// Commits are compared one by one, and only their events are counted here.
func (t tallies) add(page *Page, soon gotong.Instant) error {
	t[Events].n += uint64(store.LoggedEvents(page.Commits)) //nolint:gosec // a length
	for part, row := range linesOf(&page.Rows) {
		if r, ok := row.(registerLine); ok && r.Expires != 0 && r.Expires <= int64(soon) {
			continue
		}
		text, err := json.Marshal(row)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		t[part].n++
		t[part].sum.Add(&t[part].sum, new(big.Int).SetBytes(sum[:]))
	}
	return nil
}

func (t tallies) differ(other tallies) error {
	for _, part := range Parts() {
		a, b := t[part], other[part]
		if a.n != b.n {
			return differs("the source has %d rows of sort %q, the target %d", a.n, part, b.n)
		}
		if a.sum.Cmp(&b.sum) != 0 {
			return differs("of %d rows of sort %q, at least one differs", a.n, part)
		}
	}
	return nil
}

func (t tallies) counts() Counts {
	c := Counts{}
	for part, tally := range t {
		c[part] = tally.n
	}
	return c
}
