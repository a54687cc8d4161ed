// Package check reads a whole log again and finds what was changed behind the
// server's back: events that are missing, doubled, moved or do not follow,
// heads that are not the last event, erased marks that no event names, requests
// without their record, and documents that are not what the rules make of the
// events.
//
// [Run] is one round. [Background] runs rounds in a server, slowly; `gotong
// copy` runs one over what it reads and one over what it wrote. A round writes
// nothing, and the log may go on growing meanwhile.
//
// # Caveats
//
// The documents of the streams that are read together are kept in memory, an
// eighth of [Options.MaxKeys] at most; without it all of them. Nothing in the
// log determines registers, claims beyond their stream, or the records of
// no-ops, so they are not checked. Two positions that were swapped, and a whole
// tail that is missing with its head, look right.
//
// # Dependencies
//
// Packages gotong and store, and the standard library.
package check

import (
	"context"
	"fmt"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Sort is what sort of row a [Fault] is about.
type Sort string

// The sorts. Unknown is no damage: a stream or an event that no kind of this
// program knows, whose documents cannot be compared.
const (
	Event    Sort = "event"
	Head     Sort = "head"
	Record   Sort = "record"
	Document Sort = "document"
	Claim    Sort = "claim"
	Unknown  Sort = "unknown"
)

// Fault is one thing that is not as the log says. It holds no content.
type Fault struct { //nolint:errname // the word of the docs
	Sort   Sort
	Stream gotong.Stream // empty where only the position is known
	Seq    uint64        // of the event; 0 where it is not about one
	Key    string        // which position, record, document or claim
	Detail string
}

// Error implements error.
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

// Unwrap makes every fault [store.ErrCorrupt].
func (*Fault) Unwrap() error { return store.ErrCorrupt }

// Store is what a check reads of a store.
type Store interface {
	store.Committer
	Positions(ctx context.Context) ([gotong.Partitions]uint64, error)
	ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]store.Event, error)
	State(ctx context.Context) (store.State, error)
	Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error)
}

// Options are what a round needs. Fault is required.
type Options struct {
	Codec *store.Codec // of the kinds; nil leaves documents out
	Fault func(*Fault) // called once for each fault

	// Pace is called after each read and may wait; its error ends the round.
	Pace func(ctx context.Context) error
	// MaxKeys bounds how many documents are remembered at once; 0 is all of
	// them. Where there are more, the log is read in several parts. A stream
	// with more than an eighth of them is [Unknown].
	MaxKeys int
	// Begin is where to go on; Reached is called with where a later round could.
	Begin   Mark
	Reached func(Mark) error
	// Progress is called with the number of streams that were read; may be nil.
	Progress func(streams uint64)
}

// Mark is a place in a round from which it can go on, in any store.
type Mark struct {
	Phase     int              `json:"phase,omitempty"`
	Partition gotong.Partition `json:"partition,omitempty"`
	Position  uint64           `json:"position,omitempty"`
	Part      uint32           `json:"part,omitempty"`  // of Parts
	Parts     uint32           `json:"parts,omitempty"` // into which the streams are divided; 0 is 1
}

// The phases of a round, in order.
const (
	phasePartitions = iota
	phaseStreams    // with the documents of the same part
	phaseRecords
	phaseClaims
	phaseEnd
)
