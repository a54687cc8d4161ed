// Package store is the port to the database: small interfaces, without
// interactive transactions and without domain knowledge. An adapter knows
// streams, events, documents, registers, cursors and jobs.
//
// The suite storetest defines this port: it tests the promises in the comments
// below, and every adapter passes all of it. [Properties] are the few promises
// in which adapters differ.
package store

import (
	"context"
	"errors"
	"io"

	"gotong.dev/gotong"
)

// The errors of an adapter's calls. A write that failed with ErrFull, ErrConflict,
// ErrClosed, ErrClock, [ErrBusy], [ErrMalformed], [ErrSealed] or [ErrUnfinished]
// took no effect; after any other error its outcome is unknown. After ErrFull,
// reads continue, and writes resume by themselves when there is room; after
// ErrClock, when the clocks agree. After ErrFailed, the store rejects every write
// until the process is restarted.
var (
	ErrFull     = errors.New("store: no room left")
	ErrFailed   = errors.New("store: storage failed; restart the server to recover")
	ErrConflict = errors.New("store: not what was expected")
	ErrClosed   = errors.New("store: closed")
	ErrCorrupt  = errors.New("store: the log is damaged")
	ErrClock    = errors.New("store: this node's clock is too far from the database's")
)

// Store is the port as a server uses it. Consumers ask for the part that they
// use.
type Store interface {
	Committer
	Log
	Registers
	Readers
	Texts
	Jobs
	Health
	io.Closer
}

// Whole is what every adapter implements: the port and the [Mover], which only
// tools use.
type Whole interface {
	Store
	Mover
}

// Health reports whether the store still accepts writes.
type Health interface {
	// Failed returns the [ErrFailed] after which the store rejects every write
	// until the process is restarted; nil if there was none.
	Failed() error
}

// Loader reads snapshots.
type Loader interface {
	// Load returns everything that need names, as it was at one moment.
	Load(ctx context.Context, need Need) (Snapshot, error)
}

// Committer is the part of the port that the write path uses.
type Committer interface {
	Loader

	// Submit queues a batch and returns at once; done is called once, with its
	// outcomes. The batch is written with one sync and has one outcome per
	// commit: outcome i belongs to commit i, and a commit that is not Committed
	// leaves no trace and does not affect the others. Commits apply in order, so
	// a commit may expect what an earlier one produces, in the same batch or in
	// a batch submitted before. If the error is nil, each commit that is
	// Committed survives a crash and a power loss; otherwise the error states the
	// outcome of the whole batch (see above). The end of ctx removes only a batch
	// whose writing has not begun.
	//
	// announce, if not nil, is called with the outcomes if the error is nil:
	// within a partition in order of position, and before done is called for
	// any batch of the same transaction. Neither callback may block or panic, and
	// done may be called before Submit returns.
	Submit(ctx context.Context, batch []Commit, announce func([]Outcome), done func([]Outcome, error))
}

// CommitAll submits a batch and returns its outcomes.
func CommitAll(ctx context.Context, to Committer, batch []Commit) ([]Outcome, error) {
	type answer struct {
		outcomes []Outcome
		err      error
	}
	answered := make(chan answer, 1)
	to.Submit(ctx, batch, nil, func(outcomes []Outcome, err error) { answered <- answer{outcomes, err} })
	a := <-answered
	return a.outcomes, a.err
}

// Log reads what was committed, in order of position.
type Log interface {
	// Epoch returns the name of this history. While the store is open, only
	// [Mover.Restore] and [Mover.Renew] change it.
	Epoch() gotong.Epoch

	// Positions returns the last position of each partition; 0 for an empty one.
	Positions(ctx context.Context) ([gotong.Partitions]uint64, error)

	// ReadPartition returns the events of commits with from < position <= to,
	// in order of position, then seq. It returns whole commits only, at least
	// one if there is one, and stops after about limit events. It also stops
	// before a commit of which something is missing or does not match; if that is
	// the first one, it returns [ErrCorrupt].
	ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]Event, error)
}

// Need names what one Load returns.
type Need struct {
	Heads     []gotong.Stream
	Documents []gotong.Key
	Ranges    []KeyRange
	Events    []EventRange
	Records   []gotong.RequestKey
	Claims    []gotong.Claim
	Registers []gotong.Key
	Cursors   []CursorKey
}

// CursorKey names the cursor of a reader in a partition.
type CursorKey struct {
	Reader    string
	Partition gotong.Partition
}

// KeyRange is a closed range of one owner's names in a collection, in order of
// name, or in the opposite order if Descending.
type KeyRange struct {
	Collection string
	Owner      string
	From, To   string // both included
	Descending bool
	Limit      int // at most 1,000; 0 is 1,000
}

// EventRange is the events of a stream with From < seq <= To. It stops after
// Limit events, or before the event with which data and content would exceed
// MaxBytes; the first event is always returned. It also stops before an event
// that is missing or does not match its commitments; if that is the first one,
// the Load fails with [ErrCorrupt]. An empty result is the end of the stream.
type EventRange struct {
	Stream     gotong.Stream
	From, To   uint64
	Descending bool
	Limit      int // at most 1,000; 0 is 1,000
	MaxBytes   int // 0 is 1 MiB
}

// The bounds of one read.
const (
	MaxRead      = 1000
	MaxReadBytes = 1 << 20
)

// Snapshot is the result of one Load. What does not exist is absent from its
// map; slices are in the order of the Need.
type Snapshot struct {
	Positions [gotong.Partitions]uint64
	Heads     map[gotong.Stream]gotong.Head
	Documents map[gotong.Key][]byte
	Ranges    [][]Document
	Events    [][]Event
	Records   map[gotong.RequestKey]Record
	Claims    map[gotong.Claim]gotong.Stream
	Registers map[gotong.Key]Register // without those that have expired
	Cursors   map[CursorKey]uint64    // the last position that the reader has processed; absent if 0
}

// NewSnapshot returns an empty snapshot for a need. It is for adapters.
func NewSnapshot(need *Need) Snapshot {
	return Snapshot{
		Heads: make(map[gotong.Stream]gotong.Head, len(need.Heads)), Documents: make(map[gotong.Key][]byte, len(need.Documents)),
		Ranges: make([][]Document, len(need.Ranges)), Events: make([][]Event, len(need.Events)),
		Records: map[gotong.RequestKey]Record{}, Claims: map[gotong.Claim]gotong.Stream{},
		Registers: map[gotong.Key]Register{}, Cursors: map[CursorKey]uint64{},
	}
}

// Document is a row of a collection; Body is a JSON object.
type Document struct {
	Key  gotong.Key
	Body []byte
}

// Event is one row of the log. Data is a JSON object that [Envelope] describes;
// Content is a JSON object, or nil if the event has none. If the content was
// erased, Content is nil and Erased is true; the commitment remains.
type Event struct {
	Stream        gotong.Stream
	Seq           uint64
	Partition     gotong.Partition
	Position      uint64 // of its commit; set by the store
	ID            gotong.EventID
	Type          string
	At            gotong.Instant
	Audience      gotong.Audience
	Count         uint64
	Data          []byte
	Content       []byte
	DataSalt      gotong.Salt
	ContentSalt   gotong.Salt // zero if erased
	ContentCommit gotong.Hash
	Erased        bool
	Prev          gotong.Hash
	Chain         gotong.Hash
}

// Header returns what the event's link of the chain covers.
func (e *Event) Header(epoch gotong.Epoch) gotong.Header {
	return gotong.Header{
		Epoch: epoch, Partition: e.Partition, Stream: e.Stream, Seq: e.Seq, ID: e.ID, Type: e.Type, At: e.At,
		Audience: e.Audience, Count: e.Count, Prev: e.Prev,
		Data: gotong.CommitData(e.DataSalt, e.Data), Content: e.ContentCommit,
	}
}

// Verify checks the whole row except its position, which no hash can cover: the
// link covers everything that the header names, and no bit outside the hash
// decides whether content is compared. It returns ErrCorrupt if something does
// not match, or if an event that is marked erased still has content or its salt.
// Only the stream as a whole shows whether the mark itself is right: a later
// event names what it erases.
func (e *Event) Verify(epoch gotong.Epoch) error {
	whole := gotong.CommitContent(e.ContentSalt, e.Content) == e.ContentCommit && (e.Content == nil || len(e.Content) > 0)
	if e.Erased {
		whole = e.Content == nil && e.ContentSalt == gotong.Salt{}
	}
	if !whole || e.ID.At() != e.At || e.Header(epoch).Chain() != e.Chain {
		return ErrCorrupt
	}
	return nil
}

// Commit is the unit of writing.
type Commit struct {
	Request     gotong.RequestKey
	Salt        []byte // nil: no fingerprint is kept, and a repeated request is not compared
	Fingerprint []byte

	Home      gotong.Stream // decides the partition; the same in every commit of a stream
	Prev      gotong.Head   // the head must be this one, see [Commit.Follows]
	Others    []Expectation // other streams whose heads must be at these seqs
	Events    []Event       // Prev.Seq+1, Prev.Seq+2, …; none for a no-op
	Changes   []Change
	Claims    []gotong.Claim
	Registers []gotong.RegisterChange // each of another key
	Erase     []uint64                // seqs whose content and content salt are erased: those that its events name, see [Event.Erases]
	At        gotong.Instant          // kept in the record
}

// Head returns the stream's head after the commit.
func (c *Commit) Head() gotong.Head {
	if len(c.Events) == 0 {
		return c.Prev
	}
	last := &c.Events[len(c.Events)-1]
	return gotong.Head{Seq: last.Seq, Chain: last.Chain, At: last.At, Count: last.Count, Home: c.Home}
}

// Expectation is another stream whose documents the decision used.
type Expectation struct {
	Stream gotong.Stream
	Seq    uint64
}

// Change puts a document, or deletes it if Body is nil.
type Change struct {
	Key  gotong.Key
	Body []byte
}

// Record is the idempotency record of a commit. It is kept as long as the
// commit's events.
type Record struct {
	Request     gotong.RequestKey
	Salt        []byte
	Fingerprint []byte
	Partition   gotong.Partition
	Position    uint64 // 0 for a no-op
	First, Last uint64 // 0 for a no-op
	At          gotong.Instant
}

// Status says whether one commit was written, and if not, why.
type Status uint8

// The statuses. A store checks for Replayed first, then in this order: a request
// that was committed before is Replayed, whatever has changed since.
const (
	Committed Status = iota + 1
	Replayed         // the request's record exists; it is in Outcome.Record
	Moved            // the head of Outcome.Stream is not the expected one
	Taken            // Outcome.Claim exists
	Stale            // Outcome.Register has another version than expected
)

// Outcome is the result of one commit.
type Outcome struct {
	Status   Status
	Record   Record        // Committed and Replayed
	Stream   gotong.Stream // Moved
	Claim    gotong.Claim  // Taken
	Register gotong.Key    // Stale
}

// Registers are small versioned rows outside the log with compare-and-set:
// secrets, logins, tickets, read marks, preferences.
type Registers interface {
	// SetRegister writes body with version expect+1 if the version is expect,
	// and returns ErrConflict otherwise. A nil body deletes. The change is synced
	// when it returns.
	SetRegister(ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant) error

	// FindRegisters returns one owner's registers in a closed range of names.
	FindRegisters(ctx context.Context, r KeyRange) ([]Register, error)
}

// ReadRegister returns one register. Its Version is 0 if it does not exist or
// has expired.
func ReadRegister(ctx context.Context, from Loader, key gotong.Key) (Register, error) {
	snap, err := from.Load(ctx, Need{Registers: []gotong.Key{key}})
	if r, ok := snap.Registers[key]; ok {
		return r, err
	}
	return Register{Key: key}, err
}

// Register is one row. Each change raises its version by one; after a register
// was deleted or has expired, its versions begin at 1 again.
type Register struct {
	Key     gotong.Key
	Version uint64
	Body    []byte
	Expires gotong.Instant // 0: never; afterwards the adapter may delete it at any time
}

// Readers moves the cursors of the components that follow partitions; Load
// reads them.
type Readers interface {
	// Advance moves each step's cursor from → to and writes the documents and jobs
	// of all steps, all or nothing. It returns ErrConflict if one of the cursors is
	// no longer at its From, and [ErrMalformed] if two steps have the same cursor.
	//
	// What it wrote survives the end of the process, but not always a power loss:
	// the last calls of Advance, ClaimJobs and SettleJob may then be undone, in the
	// opposite order and each as a whole, back to the last synced write.
	Advance(ctx context.Context, steps ...Step) error
}

// Step is one fenced advance of a reader. A cursor may also move back.
type Step struct {
	Reader    string
	Partition gotong.Partition
	From, To  uint64
	Changes   []Change
	Jobs      []Job
	Erases    bool // Changes remove erased content, which must then be in no file, as after [Commit].Erase
	Clears    bool // Changes are part of emptying whole collections: their texts may stop being found at once
}

// Envelope is the JSON in the data bytes of every event: the actor and the
// request, beside the payload of the kind. Erases is the committed form of an
// erasure: the seqs of earlier events of the same stream, ascending. An event
// may be marked erased only if a later one names it there.
type Envelope[P any] struct {
	Actor         gotong.Actor `json:"actor"`
	RequestID     string       `json:"request_id"`
	CorrelationID string       `json:"correlation_id"`
	Erases        []uint64     `json:"erases,omitempty"`
	Payload       P            `json:"payload"`
}
