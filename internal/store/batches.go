package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"gotong.dev/gotong"
)

// The bounds of one transaction of a database that several nodes share. A larger
// batch is written in several transactions, one after the other.
const (
	MaxTogether      = 256 // commits
	MaxBytesTogether = 8 << 20

	maxEventsTogether = 2 * MaxCommitEvents
)

// Batch is a batch that was submitted, and where its outcomes go.
type Batch struct {
	Commits []Commit
	Out     []Outcome
}

// CheckBatch returns [ErrMalformed] unless each commit passes [Commit.Check] and
// changes documents of these collections alone.
func CheckBatch[C any](batch []Commit, collections map[string]C) error {
	for i := range batch {
		if err := batch[i].Check(); err != nil {
			return err
		}
		if err := CheckChanges(batch[i].Changes, collections); err != nil {
			return err
		}
	}
	return nil
}

// CheckChanges returns [ErrMalformed] if a change is of another collection.
func CheckChanges[C any](changes []Change, collections map[string]C) error {
	for _, ch := range changes {
		if _, known := collections[ch.Key.Collection]; !known {
			return unknownCollection(ch.Key.Collection)
		}
	}
	return nil
}

func unknownCollection(name string) error {
	return fmt.Errorf("%w: no collection %q", ErrMalformed, name)
}

// finalDocuments returns the last value of each document; nil deletes.
func finalDocuments(changes []Change) map[gotong.Key][]byte {
	docs := map[gotong.Key][]byte{}
	for _, ch := range changes {
		docs[ch.Key] = ch.Body
	}
	return docs
}

// MergeSteps checks the steps of an [Readers.Advance]. It returns the last value of
// each document, and the first job of each id with the earliest time of all, in order
// of queue and id.
func MergeSteps(steps []Step, collections map[string]bool) (map[gotong.Key][]byte, []Job, error) {
	if err := CheckSteps(steps); err != nil {
		return nil, nil, err
	}
	var changes []Change
	jobs := map[[2]string]Job{}
	for _, step := range steps {
		changes = append(changes, step.Changes...)
		for _, job := range step.Jobs {
			key := [2]string{job.Queue, job.ID}
			if first, again := jobs[key]; again {
				first.Due = min(first.Due, job.Due)
				job = first
			}
			jobs[key] = job
		}
	}
	list := slices.SortedFunc(maps.Values(jobs), func(a, b Job) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.ID, b.ID))
	})
	return finalDocuments(changes), list, CheckChanges(changes, collections)
}

// WriteBatches writes the batches of several calls as one, in as few transactions as
// their size allows. settle decides the outcomes of commits and carries them out in
// one transaction.
func WriteBatches(ops []*Work[Batch], settle func([]Commit) ([]Outcome, error)) error {
	batch := ops[0].What.Commits
	if len(ops) > 1 {
		batch = nil
		for _, o := range ops {
			batch = append(batch, o.What.Commits...)
		}
	}
	out := make([]Outcome, 0, len(batch))
	for len(batch) > 0 {
		n := fitting(batch)
		some, err := settle(batch[:n])
		if err != nil {
			return Hedged(err, len(out) > 0)
		}
		out, batch = append(out, some...), batch[n:]
	}
	for _, o := range ops {
		out = out[copy(o.What.Out, out):]
	}
	return nil
}

// fitting returns how many of the commits one transaction can hold, at least one.
func fitting(batch []Commit) (n int) {
	events, bytes := 0, 0
	for n < min(len(batch), MaxTogether) {
		events += len(batch[n].Events)
		bytes += batch[n].Size()
		if n > 0 && (events > maxEventsTogether || bytes > MaxBytesTogether) {
			break
		}
		n++
	}
	return n
}

// Hedged returns err without its claim that nothing was written, if some of the
// batch may have been.
func Hedged(err error, some bool) error {
	for _, nothing := range []error{ErrFull, ErrBusy, ErrClock, ErrSealed, ErrUnfinished, ErrMalformed} {
		if some && errors.Is(err, nothing) {
			return errors.New("store: some of the batch may be written: " + err.Error())
		}
	}
	return err
}
