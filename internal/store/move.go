package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"gotong.dev/gotong"
)

// Why a store accepts no writes. Submit, SetRegister, Advance, ClaimJobs and
// SettleJob fail with one of them; nothing was written, and reads continue.
var (
	// ErrSealed: the log was sealed; it continues in another store.
	ErrSealed = errors.New("store: sealed; the log has moved to another store")
	// ErrUnfinished: a copy into this store began and has not ended.
	ErrUnfinished = errors.New("store: a copy into this store has not ended")
)

// Mover reads and writes a whole log as it is, for a copy between stores. A
// server only reads with it, to check the log.
type Mover interface {
	// State returns the state of the store as a whole.
	State(ctx context.Context) (State, error)

	// Seal ends writing, on every node and durably: a write that has begun ends
	// before Seal returns, and each later one, Restore and Renew too, fails with
	// [ErrSealed]. note says for people where the log went, without secrets; an
	// empty one removes the seal. A sealed store may be sealed again.
	Seal(ctx context.Context, note string) error

	// Rows returns up to limit rows of a section (0 or more than [MaxRead] is
	// MaxRead): those after the mark with which the previous page ended; the
	// first mark is empty. Order and marks are the adapter's own, but fixed:
	// without writes every row comes exactly once, and a mark stays valid over
	// restarts. A page may be empty without being the last.
	Rows(ctx context.Context, section Section, after string, limit int) (Rows, error)

	// Restore writes rows as they are: all of the step, durably, or nothing. It
	// returns [ErrConflict] if the store's progress is not From, or if From is
	// empty and the store holds any row but its meta rows, and [ErrMalformed] if
	// a row exists already. A step has at most [MaxRestore] rows and as many
	// documents.
	Restore(ctx context.Context, step Restoring) error

	// Renew begins a new epoch at the present positions of all partitions: later
	// events are of this epoch, earlier ones keep theirs. No other process may
	// have the store open.
	Renew(ctx context.Context, epoch gotong.Epoch) error
}

// MaxRestore bounds the rows, and the documents, of one [Restoring].
const MaxRestore = MaxCommitEvents

// State is the state of a store as a whole.
type State struct {
	Eras     Eras   // of the log, never empty
	Sealed   string // where the log went; empty if it is not sealed
	Progress string // of the copy into this store; empty if none is under way
	Empty    bool   // there are no rows but the meta rows
}

// Section is one sort of rows. Events and their records are read by [Commits].
type Section uint8

// The sections that [Mover.Rows] knows, in the order in which a copy moves
// them; events come after the streams.
const (
	AllStreams   Section = iota + 1 // every stream that has an event, with its head
	AllRecords                      // every record of a no-op, and, where they are rows of their own, those of commits
	AllClaims                       // every claim
	AllRegisters                    // every register that has not expired
	AllCursors                      // every reader's cursor that is not 0
	AllJobs                         // every job, with its present lease
	AllDocuments                    // every document; only a check reads them, because a copy rebuilds them
)

// Rows are rows of one section.
type Rows struct {
	Streams   []StreamRow
	Records   []Record
	Claims    []ClaimRow
	Registers []Register
	Cursors   []CursorRow
	Jobs      []Job
	Documents []Document // ignored by Restore

	Next string // the mark of the next page; empty if the section has ended
}

// StreamRow is a stream with its head.
type StreamRow struct {
	Stream gotong.Stream
	Head   gotong.Head
}

// ClaimRow is a claim and the stream whose commit made it.
type ClaimRow struct {
	Claim  gotong.Claim
	Stream gotong.Stream
}

// CursorRow is the last position of a partition that a reader has processed.
type CursorRow struct {
	Reader    string
	Partition gotong.Partition
	Position  uint64
}

// Restoring is one step of a copy into a store. The first step has an empty
// From and the Eras, which replace those with which the empty store was created;
// the last one has an empty To, and then the store is like any other. Between
// them, the store accepts no other write.
//
// No row comes twice. Commits come in the order of their partition, and must be of
// streams that this or an earlier step wrote, with the heads that their last commits
// leave.
// Records are those of no-ops. Jobs are written without a lease.
type Restoring struct {
	From, To string // progress before and after; at most 4 KiB
	Eras     Eras   // only in the first step

	Rows      Rows // Next is ignored
	Commits   []Logged
	Documents []Change // in order; a later one of the same key wins
}

// Len returns how many rows the step writes beside documents.
func (r *Restoring) Len() int {
	rows := &r.Rows
	return LoggedEvents(r.Commits) + len(rows.Streams) + len(rows.Records) + len(rows.Claims) +
		len(rows.Registers) + len(rows.Cursors) + len(rows.Jobs)
}

// Check returns [ErrMalformed] if the step exceeds a bound, if it has a row twice, if its
// commits do not follow each other, or if one of its events does not match its commitments
// in the log of these eras.
func (r *Restoring) Check(eras Eras) error {
	if r.Len() > MaxRestore || len(r.Documents) > MaxRestore || len(r.From) > maxProgress || len(r.To) > maxProgress {
		return errors.Join(ErrMalformed, errors.New("store: a step of a copy is too large"))
	}
	if (r.From == "") != (len(r.Eras) > 0) || r.From == "" && r.To == "" {
		return errors.Join(ErrMalformed, errors.New("store: the first step of a copy names the epochs, and no other does"))
	}
	if err := eras.Check(); err != nil {
		return err
	}
	for i := range r.Commits {
		if err := r.Commits[i].Check(eras); err != nil {
			return errors.Join(ErrMalformed, err)
		}
	}
	for i := range r.Rows.Records {
		if c := &r.Rows.Records[i]; c.Position != 0 || c.First != 0 || c.Last != 0 || c.Partition >= gotong.Partitions {
			return fmt.Errorf("%w: the record of a commit without its events", ErrMalformed)
		}
	}
	return r.checkOnce()
}

// checkOnce returns [ErrMalformed] if a row comes twice, or if two commits of a stream or
// a partition are not neighbours in their order.
func (r *Restoring) checkOnce() error {
	seen, ends := map[any]bool{}, map[any]uint64{}
	bad := ""
	once := func(key any) {
		if seen[key] {
			bad = "a row comes twice"
		}
		seen[key] = true
	}
	next := func(of any, first, last uint64) {
		if end, known := ends[of]; known && first != end+1 {
			bad = "commits do not follow each other"
		}
		ends[of] = last
	}
	for _, c := range r.Records() {
		if once(c.Request); c.Position > 0 {
			next(c.Request.Stream, c.First, c.Last)
			next(c.Partition, c.Position, c.Position)
		}
	}
	for _, row := range r.Rows.Streams {
		once(row.Stream)
	}
	for _, row := range r.Rows.Claims {
		once(row.Claim)
	}
	for _, row := range r.Rows.Registers {
		once(row.Key)
	}
	for _, row := range r.Rows.Cursors {
		once(CursorKey{row.Reader, row.Partition})
	}
	for _, row := range r.Rows.Jobs {
		once([2]string{row.Queue, row.ID})
	}
	if bad != "" {
		return fmt.Errorf("%w: in a step of a copy, %s", ErrMalformed, bad)
	}
	return nil
}

// TakeStep carries out a step of a copy with write, for [Mover.Restore], unless the step
// is malformed. The first one brings the epochs.
func (b *Base) TakeStep(step *Restoring, write func(Eras) error) error {
	eras := b.Eras()
	if step.From == "" {
		eras = step.Eras
	}
	err := cmp.Or(step.Check(eras), CheckChanges(step.Documents, b.Collections))
	if err == nil {
		err = write(eras)
	}
	if err == nil && step.From == "" {
		b.SetEras(eras)
	}
	return err
}

// Plan returns the streams, commits, records, claims and documents of the step as what a
// batch writes.
func (r *Restoring) Plan() *Plan {
	p := &Plan{
		Heads: map[gotong.Stream]gotong.Head{}, Claims: map[gotong.Claim]gotong.Stream{}, Documents: finalDocuments(r.Documents),
	}
	for _, row := range r.Rows.Streams {
		p.Heads[row.Stream] = row.Head
	}
	for i := range r.Commits {
		c := &r.Commits[i]
		p.Written = append(p.Written, Planned{&Commit{Request: c.Record.Request, Events: c.Events}, c.Record})
	}
	for _, record := range r.Rows.Records {
		p.Written = append(p.Written, Planned{&Commit{Request: record.Request}, record})
	}
	for _, c := range r.Rows.Claims {
		p.Claims[c.Claim] = c.Stream
	}
	return p
}

// Events are the events of the step in order.
func (r *Restoring) Events() (list []Event) {
	for i := range r.Commits {
		list = append(list, r.Commits[i].Events...)
	}
	return list
}

// Records are the records of the step's commits, then those of no-ops.
func (r *Restoring) Records() (list []Record) {
	for i := range r.Commits {
		list = append(list, r.Commits[i].Record)
	}
	return append(list, r.Rows.Records...)
}

const maxProgress = 4096

// Era is one epoch of a log: the events of positions above After, up to where
// the next era begins.
type Era struct {
	Epoch gotong.Epoch              `json:"epoch"`
	After [gotong.Partitions]uint64 `json:"after"`
}

// Eras are the epochs of a log, the oldest first. Each event is chained under
// the epoch in which it was written. Adapters keep them as the JSON of this
// type.
type Eras []Era

// Check returns [ErrMalformed] if no log can have these eras.
func (e Eras) Check() error {
	seen := map[gotong.Epoch]bool{}
	for i := range e {
		_, err := gotong.ParseCursor(string(e[i].Epoch) + ":0")
		bad := err != nil || seen[e[i].Epoch] || i == 0 && e[i].After != [gotong.Partitions]uint64{}
		for p := range e[i].After {
			bad = bad || i > 0 && e[i].After[p] < e[i-1].After[p]
		}
		if bad {
			return fmt.Errorf("%w: epoch %q", ErrMalformed, e[i].Epoch)
		}
		seen[e[i].Epoch] = true
	}
	if len(e) == 0 {
		return fmt.Errorf("%w: no epoch", ErrMalformed)
	}
	return nil
}

// ParseEras returns eras from their JSON, which no store lacks.
func ParseEras(text string) (eras Eras, err error) {
	if json.Unmarshal([]byte(text), &eras) != nil || len(eras) == 0 {
		return nil, fmt.Errorf("%w: the list of epochs cannot be read", ErrFailed)
	}
	return eras, nil
}

// FirstEra returns the eras of a new log.
func FirstEra(epoch gotong.Epoch) Eras { return Eras{{Epoch: epoch}} }

// Epoch returns the present epoch.
func (e Eras) Epoch() gotong.Epoch { return e[len(e)-1].Epoch }

// At returns the epoch of the events at a position of a partition.
func (e Eras) At(p gotong.Partition, position uint64) gotong.Epoch {
	for i := len(e) - 1; i > 0; i-- {
		if position > e[i].After[p] {
			return e[i].Epoch
		}
	}
	return e[0].Epoch
}

// Next returns the eras with a new one that begins after these positions.
func (e Eras) Next(epoch gotong.Epoch, positions [gotong.Partitions]uint64) Eras {
	return append(slices.Clip(e), Era{Epoch: epoch, After: positions})
}
