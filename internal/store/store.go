// Package store is the only door to a database: small interfaces about
// behaviour, without interactive transactions and without domain knowledge.
// An adapter knows streams, events, documents, registers, cursors and jobs.
//
// The suite storetest is the definition of this port; every adapter passes all
// of it. The promises in the comments below are what it tests.
//
// # Dependencies
//
// Package gotong and the standard library.
package store

import (
	"context"
	"errors"
	"io"

	"gotong.dev/gotong"
)

// What an adapter's calls fail with. After ErrFull reads go on and writes
// resume by themselves once there is room; after ErrClock once the clocks agree;
// after ErrBusy once fewer writes wait. After ErrFailed the log accepts no
// more writes until the process starts anew. ErrSealed and ErrUnfinished
// are definite too. Any other error of a write means that the outcome is
// unknown.
var (
	ErrFull     = errors.New("store: no room left")
	ErrFailed   = errors.New("store: storage failed; start anew to recover")
	ErrConflict = errors.New("store: not what was expected")
	ErrClosed   = errors.New("store: closed")
	ErrCorrupt  = errors.New("store: the log is damaged")
	ErrClock    = errors.New("store: this node's clock is too far from the database's")
)

// Store is the port as a server uses it. Consumers ask for the part they use.
type Store interface {
	Committer
	Log
	Registers
	Readers
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

// Health is for those who watch the node.
type Health interface {
	// Failed is why the store takes no more writes until the process starts
	// anew, an [ErrFailed]; nil while it does.
	Failed() error
}

// Loader is the view of those who only read.
type Loader interface {
	// Load reads everything that need names in one snapshot.
	Load(ctx context.Context, need Need) (Snapshot, error)
}

// Committer is the write path's view.
type Committer interface {
	Loader

	// Submit queues a batch and returns at once; done receives its outcomes,
	// exactly once. The batch is written with one sync and one outcome per
	// commit: outcome i belongs to commit i, and a commit that is not Committed
	// leaves no trace and does not hinder the others. Commits apply in order, so
	// a commit may expect what an earlier one produces, of the same batch or of
	// a batch submitted before. Where the error is nil, what is Committed
	// survives a crash and a power loss; else the outcome of the whole batch is
	// that error's (see above). ctx takes back only a batch that nobody has
	// begun to write.
	//
	// announce, if not nil, receives the outcomes where the error is nil:
	// within a partition in order of position, and before done is called for
	// anything of the same transaction. Neither callback may block or panic, and
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

// Log is the readers' view of what was committed.
type Log interface {
	// Epoch names this history; while the store is open only [Mover.Restore]
	// and [Mover.Renew] change it.
	Epoch() gotong.Epoch

	// Positions is the last position of each partition; 0 where it is empty.
	Positions(ctx context.Context) ([gotong.Partitions]uint64, error)

	// ReadPartition returns the events of commits with from < position <= to,
	// in order of position, then seq. It returns at least one commit where
	// there is one, whole commits only, and stops after about limit events.
	// Before a commit of which something is missing, or does not match, it
	// stops too; where it would begin there it fails with [ErrCorrupt].
	ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]Event, error)
}

// Need names what one snapshot shall hold.
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
// name, newest first where Descending.
type KeyRange struct {
	Collection string
	Owner      string
	From, To   string // both included
	Descending bool
	Limit      int // at most 1,000; 0 is 1,000
}

// EventRange is the events of a stream with From < seq <= To. It stops after
// Limit events, or before the event with which data and content would pass
// MaxBytes; the first event is always returned. Before an event that is
// missing, or does not match its commitments, it stops too; where it would
// begin there the Load fails with [ErrCorrupt]. No events are the end.
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

// Snapshot is what one Load saw. What does not exist is absent from its map;
// slices are in the order of the Need.
type Snapshot struct {
	Positions [gotong.Partitions]uint64
	Heads     map[gotong.Stream]gotong.Head
	Documents map[gotong.Key][]byte
	Ranges    [][]Document
	Events    [][]Event
	Records   map[gotong.RequestKey]Record
	Claims    map[gotong.Claim]gotong.Stream
	Registers map[gotong.Key]Register // an expired one is absent
	Cursors   map[CursorKey]uint64    // the position up to which the reader has processed; absent at 0
}

// Document is a row of a collection; Body is a JSON object.
type Document struct {
	Key  gotong.Key
	Body []byte
}

// Event is one row of the log. Data is a JSON object that [Envelope] describes;
// Content is a JSON object, or nil where there is none. Where content was
// erased, Content is nil and Erased is true; the commitment stays.
type Event struct {
	Stream        gotong.Stream
	Seq           uint64
	Partition     gotong.Partition
	Position      uint64 // of its commit; the store gives it
	ID            gotong.EventID
	Type          string
	At            gotong.Instant
	Audience      gotong.Audience
	Count         uint64
	Data          []byte
	Content       []byte
	DataSalt      gotong.Salt
	ContentSalt   gotong.Salt // zero where erased
	ContentCommit gotong.Hash
	Erased        bool
	Prev          gotong.Hash
	Chain         gotong.Hash
}

// Header is what the event's link of the chain covers.
func (e *Event) Header(epoch gotong.Epoch) gotong.Header {
	return gotong.Header{
		Epoch: epoch, Partition: e.Partition, Stream: e.Stream, Seq: e.Seq, ID: e.ID, Type: e.Type, At: e.At,
		Audience: e.Audience, Count: e.Count, Prev: e.Prev,
		Data: gotong.CommitData(e.DataSalt, e.Data), Content: e.ContentCommit,
	}
}

// Verify checks the whole row but for its position, which no hash can cover:
// the link covers all that the header names, and no bit outside the hash
// decides whether content is compared. It returns ErrCorrupt where something
// does not match, also where an event marked erased still has content or its
// salt. Whether the mark itself is right, only the stream as a whole shows: a
// later event names what it erases.
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
	Salt        []byte // nil: the fingerprint is not kept and a retry is not checked
	Fingerprint []byte

	Home      gotong.Stream // decides the partition; the same in every commit of a stream
	Prev      gotong.Head   // the head must be this one: same seq, same chain
	Others    []Expectation // heads of other streams that must be where they were
	Events    []Event       // Prev.Seq+1, Prev.Seq+2, …; none for a no-op
	Changes   []Change
	Claims    []gotong.Claim
	Registers []gotong.RegisterChange // each of another key
	Erase     []uint64                // seqs whose content and content salt go: what its events name, see [Event.Erases]
	At        gotong.Instant          // kept in the record
}

// Head is the stream's head after the commit.
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

// Change puts a document, or deletes it where Body is nil.
type Change struct {
	Key  gotong.Key
	Body []byte
}

// Record is the idempotency record of a commit; it lives as long as its events.
type Record struct {
	Request     gotong.RequestKey
	Salt        []byte
	Fingerprint []byte
	Partition   gotong.Partition
	Position    uint64 // 0 for a no-op
	First, Last uint64 // 0 for a no-op
	At          gotong.Instant
}

// Status is the fate of one commit.
type Status uint8

// The fates, in the order in which a store checks for them: a request that was
// committed before is Replayed whatever else changed.
const (
	Committed Status = iota + 1
	Replayed         // the request's record exists; it is in Outcome.Record
	Moved            // a head is not where it was expected; Outcome.Stream says whose
	Taken            // a claim exists; Outcome.Claim says which
	Stale            // a register has another version than expected; Outcome.Register says which
)

// Outcome is what became of one commit.
type Outcome struct {
	Status   Status
	Record   Record        // Committed and Replayed
	Stream   gotong.Stream // Moved
	Claim    gotong.Claim  // Taken
	Register gotong.Key    // Stale
}

// Registers are small versioned rows outside the log with compare-and-set:
// secrets, sessions, tickets, read marks, preferences.
type Registers interface {
	// SetRegister writes body with version expect+1 if the version is expect;
	// else ErrConflict. Body nil deletes. A sync has been done when it returns.
	SetRegister(ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant) error

	// FindRegisters reads one owner's registers in a closed range of names.
	FindRegisters(ctx context.Context, r KeyRange) ([]Register, error)
}

// ReadRegister returns one register; one that does not exist or has expired has
// Version 0.
func ReadRegister(ctx context.Context, from Loader, key gotong.Key) (Register, error) {
	snap, err := from.Load(ctx, Need{Registers: []gotong.Key{key}})
	if r, ok := snap.Registers[key]; ok {
		return r, err
	}
	return Register{Key: key}, err
}

// Register is one row. Versions grow by one with each change; a register that
// was deleted or has expired starts anew at 1.
type Register struct {
	Key     gotong.Key
	Version uint64
	Body    []byte
	Expires gotong.Instant // 0 is never; the adapter may drop it any time after
}

// Readers moves the cursors of what follows partitions; Load reads them.
type Readers interface {
	// Advance moves the cursor from → to and writes documents and jobs, all or
	// nothing; ErrConflict where the cursor is no longer at from.
	Advance(ctx context.Context, step Step) error
}

// Step is one fenced advance of a reader.
type Step struct {
	Reader    string
	Partition gotong.Partition
	From, To  uint64
	Changes   []Change
	Jobs      []Job
}

// Jobs are leased work with a due time.
type Jobs interface {
	// ClaimJobs leases up to limit due jobs of a queue until lease, oldest due
	// first. A job whose lease ran out is due again.
	ClaimJobs(ctx context.Context, queue string, now, lease gotong.Instant, limit int) ([]Job, error)

	// SettleJob removes a job, or gives it a new due time and attempt count;
	// ErrConflict where the lease is no longer the one that was claimed.
	SettleJob(ctx context.Context, job Job, next *gotong.Instant) error
}

// Job is one piece of leased work. Putting a job whose (Queue, ID) exists
// changes nothing.
type Job struct {
	Queue   string
	ID      string
	Due     gotong.Instant
	Attempt int
	Lease   gotong.Instant // set by ClaimJobs; fences SettleJob
	Body    []byte
}

// Envelope is what the data bytes of every event hold: who acted and by which
// request, beside the payload of the kind. Erases is the committed form of an
// erasure: the seqs of earlier events of the same stream, ascending. An event
// is rightly marked erased only where a later one names it there.
type Envelope[P any] struct {
	Actor         gotong.Actor `json:"actor"`
	RequestID     string       `json:"request_id"`
	CorrelationID string       `json:"correlation_id"`
	Erases        []uint64     `json:"erases,omitempty"`
	Payload       P            `json:"payload"`
}
