// Package check reads a whole log again and finds changes made behind the
// server's back: events that are missing, doubled, moved or not chained to the
// one before, heads that are not the last event, erased marks that no event
// names, commits without their record, and documents and jobs that differ from what
// the rules and the readers make of the events.
//
// [Run] is one round. [Background] runs rounds in a server, slowly; `gotong
// copy` runs one over its source and one over its target. A round writes
// nothing, and the log may grow meanwhile.
//
// # Caveats
//
// The documents of the streams that are read together are kept in memory, at
// most an eighth of [Options.MaxKeys]; without it, all of them. So are those of
// one reader in one partition, at most [Options.MaxBytes]. Nothing in the
// log determines registers, claims beyond their stream, or the records of
// no-ops, so they are not checked. Two swapped positions, or the loss of the
// whole end of a stream together with its head, cannot be detected.
package check

import (
	"context"
	"fmt"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// Sort is the sort of row that a [Fault] concerns.
type Sort string

// The sorts. Unknown is no damage: no kind of this program knows the stream or
// the event, so its documents cannot be compared.
const (
	Event    Sort = "event"
	Head     Sort = "head"
	Record   Sort = "record"
	Document Sort = "document"
	Claim    Sort = "claim"
	Job      Sort = "job"
	Unknown  Sort = "unknown"
)

// Fault is one difference from what the log determines. It holds no content.
type Fault struct { //nolint:errname // the word of the docs
	Sort   Sort
	Stream gotong.Stream // empty if it is not known
	Seq    uint64        // of the event; 0 if the fault concerns none
	Key    string        // the position, record, document, claim or job
	Detail string
}

func (f *Fault) Error() string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s", f.Sort)
	if f.Stream != "" {
		_, _ = fmt.Fprintf(&b, " of %s", f.Stream)
	}
	if f.Seq > 0 {
		_, _ = fmt.Fprintf(&b, ", event %d", f.Seq)
	}
	if f.Key != "" {
		_, _ = fmt.Fprintf(&b, ", %s", f.Key)
	}
	return b.String() + ": " + f.Detail
}

// Unwrap returns [store.ErrCorrupt].
func (*Fault) Unwrap() error { return store.ErrCorrupt }

// Store is the part of a store that a check reads.
type Store interface {
	store.Committer
	Positions(ctx context.Context) ([gotong.Partitions]uint64, error)
	ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]store.Event, error)
	FindRegisters(ctx context.Context, r store.KeyRange) ([]store.Register, error)
	State(ctx context.Context) (store.State, error)
	Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error)
}

// Options configure a round. Fault is required.
type Options struct {
	Codec   *store.Codec    // of the kinds; if nil, their documents are not checked
	Readers []reader.Reader // whose documents are checked
	Fault   func(*Fault)    // called once for each fault

	// Pace is called after each read and may wait. Its error ends the round.
	Pace func(ctx context.Context) error
	// MaxKeys bounds the number of documents that are remembered at once; 0 is
	// no bound. If there are more, the log is read in several parts. A stream
	// with more than an eighth of them is [Unknown].
	MaxKeys int
	// MaxBytes bounds the documents of a reader that are held at once; 0 is no
	// bound. If there are more, they are [Unknown].
	MaxBytes int
	// Begin is the mark at which to begin. Reached is called with each mark at
	// which a later round could begin; its error ends the round.
	Begin   Mark
	Reached func(Mark) error
	// Progress is called with the number of streams that were read; nil is not
	// called.
	Progress func(streams uint64)
}

// Mark is a place in a round at which another round can begin, on any store.
type Mark struct {
	Phase     int              `json:"phase,omitempty"`
	Partition gotong.Partition `json:"partition,omitempty"`
	Position  uint64           `json:"position,omitempty"`
	Part      uint32           `json:"part,omitempty"`  // of Parts
	Parts     uint32           `json:"parts,omitempty"` // the number of parts; 0 means 1
}

// The phases of a round, in order.
const (
	phasePartitions = iota
	phaseStreams    // with the documents of the same part
	phaseRecords
	phaseClaims
	phaseReaders // a part is a reader
	phaseEnd
)
