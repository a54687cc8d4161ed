package store

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gotong.dev/gotong"
)

// ErrMalformed is what a batch fails with that no store can write: the commit's
// maker is at fault. Nothing of the batch was written.
var ErrMalformed = errors.New("store: malformed commit")

// MaxCommitEvents is how many events one commit may have.
const MaxCommitEvents = 4096

// MaxCommitRegisters is how many registers one commit may change.
const MaxCommitRegisters = 64

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

// Size is about how many bytes the step writes.
func (s *Step) Size() (n int) {
	for i := range s.Changes {
		n += len(s.Changes[i].Body)
	}
	for i := range s.Jobs {
		n += len(s.Jobs[i].Body)
	}
	return n
}

// Size is about how many bytes the commit writes: those of its events and
// documents.
func (c *Commit) Size() (n int) {
	for i := range c.Events {
		n += c.Events[i].Size()
	}
	for i := range c.Changes {
		n += len(c.Changes[i].Body)
	}
	for i := range c.Registers {
		n += len(c.Registers[i].Body)
	}
	return n
}

// Partition is the partition that the commit's home decides.
func (c *Commit) Partition() gotong.Partition { return gotong.PartitionOf(c.Home) }

// Check tells whether the commit's events follow from its Prev: numbered,
// chained and stamped without a gap, and whether it erases what they name and
// nothing else. It fails with [ErrMalformed].
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
	if len(c.Registers) > MaxCommitRegisters {
		return fmt.Errorf("%w: %d registers", ErrMalformed, len(c.Registers))
	}
	for i := range c.Registers {
		for _, earlier := range c.Registers[:i] {
			if earlier.Key == c.Registers[i].Key {
				return fmt.Errorf("%w: a commit to %s changes a register twice", ErrMalformed, c.Request.Stream)
			}
		}
	}
	return c.checkErase()
}

// checkErase compares what the commit erases with what its events, which the
// chain covers, say that it does.
func (c *Commit) checkErase() error {
	var named []uint64
	for i := range c.Events {
		seqs, err := c.Events[i].Erases()
		if err != nil || len(seqs) > 0 && seqs[len(seqs)-1] > c.Prev.Seq {
			return fmt.Errorf("%w: event %d of %s erases what cannot be erased", ErrMalformed, c.Events[i].Seq, c.Request.Stream)
		}
		named = append(named, seqs...)
	}
	if !slices.Equal(named, c.Erase) {
		return fmt.Errorf("%w: a commit to %s erases what its events do not name", ErrMalformed, c.Request.Stream)
	}
	return nil
}

// Erases is the seqs of the events whose content this one erased, ascending and
// all below its own; [ErrCorrupt] where its data names others.
func (e *Event) Erases() ([]uint64, error) {
	if !bytes.Contains(e.Data, []byte(`"erases"`)) {
		return nil, nil
	}
	var fields map[string]json.RawMessage // not a struct: its names would match in any case
	var seqs []uint64
	err := json.Unmarshal(e.Data, &fields)
	if list, ok := fields["erases"]; err == nil && ok {
		err = json.Unmarshal(list, &seqs)
	}
	last := uint64(0)
	for _, seq := range seqs {
		if seq <= last || seq >= e.Seq {
			return nil, ErrCorrupt
		}
		last = seq
	}
	if err != nil {
		return nil, ErrCorrupt
	}
	return seqs, nil
}

// Erasures are the events of one stream that are marked erased, and whether a
// later event named them. It sees the events of the stream in order.
type Erasures map[uint64]bool

// See takes the next event of the stream. It returns [ErrCorrupt] where the
// event names one that is not marked erased.
func (m Erasures) See(e *Event) error {
	seqs, err := e.Erases()
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		if _, erased := m[seq]; !erased {
			return fmt.Errorf("event %d names event %d, which was not erased: %w", e.Seq, seq, ErrCorrupt)
		}
		m[seq] = true
	}
	if e.Erased {
		m[e.Seq] = false
	}
	return nil
}

// Unnamed is the first event marked erased that none which was seen names; 0
// where there is none.
func (m Erasures) Unnamed() (first uint64) {
	for seq, named := range m {
		if !named && (first == 0 || seq < first) {
			first = seq
		}
	}
	return first
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
