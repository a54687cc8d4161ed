package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"gotong.dev/gotong"
)

// ErrMalformed is what a batch fails with that no store can write: the commit's
// maker is at fault. Nothing of the batch was written.
var ErrMalformed = errors.New("store: malformed commit")

// MaxCommitEvents is how many events one commit may have.
const MaxCommitEvents = 4096

// NewEpoch is a random name for a new history: 8 of a-z0-9.
func NewEpoch() gotong.Epoch { return gotong.Epoch(strings.ToLower(rand.Text()[:8])) }

// Bound is how many rows a read with this limit returns at most: 0, and
// anything above [MaxRead], is MaxRead.
func Bound(limit int) int {
	if limit <= 0 || limit > MaxRead {
		return MaxRead
	}
	return limit
}

// ByteBound is how many bytes of data and content a read returns at most: 0,
// and anything above [MaxReadBytes], is MaxReadBytes.
func ByteBound(limit int) int {
	if limit <= 0 || limit > MaxReadBytes {
		return MaxReadBytes
	}
	return limit
}

// Size is what an event counts against [EventRange.MaxBytes].
func (e *Event) Size() int { return len(e.Data) + len(e.Content) }

// Partition is the partition that the commit's home decides.
func (c *Commit) Partition() gotong.Partition { return gotong.PartitionOf(c.Home) }

// Check tells whether the commit's events follow from its Prev: numbered,
// chained and stamped without a gap. It fails with [ErrMalformed].
func (c *Commit) Check() error {
	if len(c.Events) > 0 && (c.Home == "" || c.Prev.Home != "" && c.Prev.Home != c.Home) {
		return fmt.Errorf("%w: home %q of %s", ErrMalformed, c.Home, c.Request.Stream)
	}
	if len(c.Events) > MaxCommitEvents {
		return fmt.Errorf("%w: %d events", ErrMalformed, len(c.Events))
	}
	seq, chain, at := c.Prev.Seq, c.Prev.Chain, c.Prev.At
	for i := range c.Events {
		e := &c.Events[i]
		if e.Stream != c.Request.Stream || e.Seq != seq+1 || e.Prev != chain || e.At <= at || e.Erased ||
			e.ID.At() != e.At || e.Partition != c.Partition() {
			return fmt.Errorf("%w: event %d of %s does not follow", ErrMalformed, e.Seq, e.Stream)
		}
		seq, chain, at = e.Seq, e.Chain, e.At
	}
	return nil
}

// Record is the idempotency record of the commit at this position of its
// partition; a no-op has neither position nor seqs.
func (c *Commit) Record(position uint64) Record {
	r := Record{
		Request: c.Request, Salt: c.Salt, Fingerprint: c.Fingerprint, Partition: c.Partition(), At: c.At,
	}
	if len(c.Events) > 0 {
		r.Position, r.First, r.Last = position, c.Prev.Seq+1, c.Prev.Seq+uint64(len(c.Events))
	}
	return r
}
