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

// ErrMalformed is the error of a batch that no store can write, because of an
// error in the program. Nothing of the batch was written.
var ErrMalformed = errors.New("store: malformed commit")

// MaxCommitEvents is how many events one commit may have.
const MaxCommitEvents = 4096

// MaxCommitRegisters is how many registers one commit may change.
const MaxCommitRegisters = 64

// NewEpoch returns a random name for a new history: 8 characters of a-z0-9.
func NewEpoch() gotong.Epoch { return gotong.Epoch(strings.ToLower(rand.Text()[:8])) }

// Bound returns how many rows a read with this limit returns at most: [MaxRead]
// if the limit is 0 or larger than that.
func Bound(limit int) int {
	if limit <= 0 || limit > MaxRead {
		return MaxRead
	}
	return limit
}

// ByteBound returns how many bytes of data and content a read returns at most:
// [MaxReadBytes] if the limit is 0 or larger than that.
func ByteBound(limit int) int {
	if limit <= 0 || limit > MaxReadBytes {
		return MaxReadBytes
	}
	return limit
}

// Size returns how many bytes an event counts against [EventRange.MaxBytes].
func (e *Event) Size() int { return len(e.Data) + len(e.Content) }

// StepsSize returns about how many bytes the steps write.
func StepsSize(steps []Step) (n int) {
	for i := range steps {
		for j := range steps[i].Changes {
			n += len(steps[i].Changes[j].Body)
		}
		for j := range steps[i].Jobs {
			n += len(steps[i].Jobs[j].Body)
		}
	}
	return n
}

// CheckSteps returns [ErrMalformed] if two steps have the same cursor, or a text
// cannot be found.
func CheckSteps(steps []Step) error {
	for i := range steps {
		for j := range steps[:i] {
			if steps[i].Reader == steps[j].Reader && steps[i].Partition == steps[j].Partition {
				return fmt.Errorf("%w: two steps of reader %q", ErrMalformed, steps[i].Reader)
			}
		}
		if err := checkTexts(steps[i].Changes); err != nil {
			return err
		}
	}
	return nil
}

// Size returns about how many bytes the commit writes: those of its events,
// documents and registers.
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

// Partition returns the partition, which the commit's home decides.
func (c *Commit) Partition() gotong.Partition { return gotong.PartitionOf(c.Home) }

// Follows reports whether the head of the commit's stream is the one on which the
// decision rests. Seq and chain show that; the home, time and count of Prev come
// from the caller and become those of events, so a commit with events needs the
// whole head.
func (c *Commit) Follows(head gotong.Head) bool {
	if len(c.Events) == 0 {
		return head.Seq == c.Prev.Seq && head.Chain == c.Prev.Chain
	}
	return head == c.Prev
}

// Check returns [ErrMalformed] unless the commit's events follow its Prev in seq,
// chain, time and count, it erases exactly what they name, and it changes no
// register twice. Whether Prev is the head, only the store knows: [Commit.Follows].
func (c *Commit) Check() error {
	if len(c.Events) > 0 && (c.Home == "" || c.Prev.Home != "" && c.Prev.Home != c.Home) {
		return fmt.Errorf("%w: home %q of %s", ErrMalformed, c.Home, c.Request.Stream)
	}
	if len(c.Events) > MaxCommitEvents {
		return fmt.Errorf("%w: %d events", ErrMalformed, len(c.Events))
	}
	seq, chain, at, count := c.Prev.Seq, c.Prev.Chain, c.Prev.At, c.Prev.Count
	for i := range c.Events {
		e := &c.Events[i]
		if e.Stream != c.Request.Stream || e.Seq != seq+1 || e.Prev != chain || e.At <= at || e.Erased ||
			e.ID.At() != e.At || e.Partition != c.Partition() || e.Count < count || e.Count > count+1 {
			return fmt.Errorf("%w: event %d of %s does not follow", ErrMalformed, e.Seq, e.Stream)
		}
		seq, chain, at, count = e.Seq, e.Chain, e.At, e.Count
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

// checkErase compares what the commit erases with what its events name, which
// the chain covers.
func (c *Commit) checkErase() error {
	var named []uint64
	for i := range c.Events {
		seqs, err := c.Events[i].Erases()
		if err != nil || len(seqs) > 0 && seqs[len(seqs)-1] > c.Prev.Seq {
			return fmt.Errorf("%w: event %d of %s erases what does not precede it", ErrMalformed, c.Events[i].Seq, c.Request.Stream)
		}
		named = append(named, seqs...)
	}
	if !slices.Equal(named, c.Erase) {
		return fmt.Errorf("%w: a commit to %s erases other events than its own events name", ErrMalformed, c.Request.Stream)
	}
	return nil
}

// Erases returns the seqs of the events whose content this one erased, ascending
// and all below its own; [ErrCorrupt] if its data names others.
func (e *Event) Erases() ([]uint64, error) {
	if !bytes.Contains(e.Data, []byte(`"erases"`)) {
		return nil, nil
	}
	var fields map[string]json.RawMessage // a struct would match names in any case
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
// later event names them. See is called with the events of the stream in order.
type Erasures map[uint64]bool

// See notes the next event of the stream. It returns [ErrCorrupt] if the event
// names one that is not marked erased.
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

// Unnamed returns the seq of the first event that is marked erased and that no
// later event names; 0 if there is none.
func (m Erasures) Unnamed() (first uint64) {
	for seq, named := range m {
		if !named && (first == 0 || seq < first) {
			first = seq
		}
	}
	return first
}

// Record returns the idempotency record of the commit at this position of its
// partition; that of a no-op has neither position nor seqs.
func (c *Commit) Record(position uint64) Record {
	r := Record{
		Request: c.Request, Salt: c.Salt, Fingerprint: c.Fingerprint, Partition: c.Partition(), At: c.At,
	}
	if len(c.Events) > 0 {
		r.Position, r.First, r.Last = position, c.Prev.Seq+1, c.Prev.Seq+uint64(len(c.Events))
	}
	return r
}
