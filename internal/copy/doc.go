// Package copy moves a whole log from one store to another, or to a file and
// back, unchanged: the commits in the order of the log, each with its idempotency
// record and its events with epoch, position, salts and erased marks; the
// records of requests that changed nothing; claims, registers, cursors of readers
// and open jobs. Documents are not moved: the kinds' rules make them again from the
// events, and then each reader its own, up to its cursor and without jobs.
//
// The source store of a copy is sealed first. The target store keeps the
// progress of the copy beside the rows, in the same transaction, and accepts no
// other write until both sides were compared event by event and the copy was
// checked whole. A copy that was interrupted, by whatever cause, resumes when
// it is run again, with the same result.
//
// # Caveats
//
// Project may use only documents and events of its own stream: partitions are
// rebuilt one after the other. A comparison holds the documents of one reader in
// one partition in memory.
//
// A log that is not sealed is read up to the positions at which the copy began:
// events, heads and records are exactly that prefix, and so are claims, except
// those that a later commit of an older stream made. Cursors and jobs are those of
// the moment before. Registers and records of no-ops are as they are when they are
// read.
package copy

import (
	"context"
	"encoding/json"
	"iter"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// Part is a sort of row that is moved.
type Part string

// The parts, in the order in which they are moved.
const (
	Streams   Part = "stream"
	Events    Part = "event" // each commit's first one with the commit's record
	Noops     Part = "noop"  // the records of requests that changed nothing
	Claims    Part = "claim"
	Registers Part = "register"
	Cursors   Part = "cursor"
	Jobs      Part = "job"
)

// Parts returns all parts in order.
func Parts() []Part { return []Part{Streams, Events, Noops, Claims, Registers, Cursors, Jobs} }

// section returns the store's name of the part; 0 for events, which are read by
// partition.
func (p Part) section() store.Section {
	return map[Part]store.Section{
		Streams: store.AllStreams, Noops: store.AllRecords, Claims: store.AllClaims,
		Registers: store.AllRegisters, Cursors: store.AllCursors, Jobs: store.AllJobs,
	}[p]
}

// Mark is a place in a source from which reading can continue. The zero Mark is
// the beginning.
type Mark struct {
	Part      Part             `json:"part,omitempty"`
	Partition gotong.Partition `json:"partition,omitempty"`
	Position  uint64           `json:"position,omitempty"` // of the last commit that was read
	After     string           `json:"after,omitempty"`    // the store's own mark
	Line      uint64           `json:"line,omitempty"`     // of a file: the last line that was read
	End       bool             `json:"end,omitempty"`      // everything was read
}

// units returns the number of units of a source that lie before the mark.
func (m Mark) units(about About) (n uint64) {
	switch {
	case m.End:
		return about.Units
	case m.Line > 0:
		return m.Line
	case m.Part == "" || m.Part == Streams:
		return 0
	case m.Part != Events:
		return about.Units
	}
	for p := range m.Partition {
		n += about.Positions[p]
	}
	return n + m.Position
}

// Page is some rows of one part, with the mark after them.
type Page struct {
	Part    Part
	Rows    store.Rows
	Commits []store.Logged // in order of partition and position
	Mark    Mark
	Units   uint64 // the share of this page in [About.Units]
}

// Events yields the events of the page's commits in order.
func (p *Page) Events() iter.Seq[*store.Event] {
	return func(yield func(*store.Event) bool) {
		for i := range p.Commits {
			for j := range p.Commits[i].Events {
				if !yield(&p.Commits[i].Events[j]) {
					return
				}
			}
		}
	}
}

// Len returns the number of rows of the page.
func (p *Page) Len() int {
	step := store.Restoring{Rows: p.Rows, Commits: p.Commits}
	return step.Len()
}

func (p *Page) add(other *Page) {
	p.Commits = append(p.Commits, other.Commits...)
	p.Rows.Streams = append(p.Rows.Streams, other.Rows.Streams...)
	p.Rows.Records = append(p.Rows.Records, other.Rows.Records...)
	p.Rows.Claims = append(p.Rows.Claims, other.Rows.Claims...)
	p.Rows.Registers = append(p.Rows.Registers, other.Rows.Registers...)
	p.Rows.Cursors = append(p.Rows.Cursors, other.Rows.Cursors...)
	p.Rows.Jobs = append(p.Rows.Jobs, other.Rows.Jobs...)
}

// Source is a log that can be read from the beginning or from a mark.
type Source interface {
	About() About
	// Pages yields pages of about 512 events, in whole commits, or of at most
	// 1,000 other rows. It ends after the first error.
	Pages(ctx context.Context, from Mark) iter.Seq2[Page, error]
}

// About is what is known of a source before it is read.
type About struct {
	ID        string // equal for the same log in the same form
	Eras      store.Eras
	Positions [gotong.Partitions]uint64
	Units     uint64 // the amount to read: commits of a store, lines of a file
}

// Counts is the number of rows of each part.
type Counts map[Part]uint64

// Progress is how far a stage has come.
type Progress struct {
	Stage       string // "reading", "copying", "comparing", "checking", "writing"
	Done, Total uint64 // in units of the source; Total 0: unknown
}

// Options configure a copy.
type Options struct {
	Codec    *store.Codec          // of the kinds; makes the documents
	Now      func() gotong.Instant // decides which registers have expired
	Readers  []reader.Reader       // their documents are made again too, up to their cursors
	Progress func(Progress)        // called after each page; nil is not called

	// See is called for each event of a source that is scanned, compared or exported, and Beside
	// after the comparison, before the target is released for use: it moves what the
	// events name and the log does not contain. Both may be nil.
	See    func(*store.Event) error
	Beside func(context.Context) error

	Checkpoints string // Export writes them into the file, for those who verify it
}

// see calls See for the events of a page.
func (o *Options) see(p *Page) error {
	if o.See == nil {
		return nil
	}
	for e := range p.Events() {
		if err := o.See(e); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) report(stage string, done, total uint64) {
	if o.Progress != nil {
		o.Progress(Progress{Stage: stage, Done: done, Total: total})
	}
}

// progress is the state of an unfinished copy, kept by the target.
type progress struct {
	Source string       `json:"source"`
	Mark   Mark         `json:"mark"`
	Remade reader.Place `json:"remade,omitzero"` // after the end of the mark
}

func (p progress) String() string {
	b, _ := json.Marshal(p) //nolint:errchkjson // plain fields always have a JSON form
	return string(b)
}
