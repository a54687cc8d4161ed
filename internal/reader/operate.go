package reader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// The errors of what operators ask for, apart from those of the store.
var (
	ErrNoReader   = errors.New("there is no reader of this name")
	ErrNotStopped = errors.New("the reader has not stopped in this partition")
	ErrEvery      = errors.New("the reader needs every commit and cannot skip one")
	ErrNoJob      = errors.New("there is no such job")
	ErrLeased     = errors.New("the job is running, or was claimed at this moment; try again")
)

// Status is where a reader is in a partition.
type Status struct {
	Reader    string           `json:"reader"`
	Partition gotong.Partition `json:"partition"`
	Cursor    uint64           `json:"cursor"`             // the last position that it has processed
	End       uint64           `json:"end"`                // the last position of the partition
	Quiet     uint64           `json:"quiet,omitempty"`    // up to here it makes no jobs, because it processes them again
	Clearing  bool             `json:"clearing,omitempty"` // a rebuild has not ended; run it again
	Stop      *Stop            `json:"stop,omitempty"`

	since clock.Moment // since when it is behind the end; 0: it is not
}

// Behind returns for how long the reader has not processed the whole partition; 0
// if it has. Only a [Runner] knows it.
func (s *Status) Behind(now clock.Moment) time.Duration {
	if s.since == 0 {
		return 0
	}
	return now.Sub(s.since)
}

// List returns the status of every reader in every partition that has a commit,
// as the store has it.
func List(ctx context.Context, s Store, readers []Reader) (list []Status, err error) {
	var need store.Need
	for i := range readers {
		need.Registers = append(need.Registers, rebuildKey(readers[i].Name))
		for p := range gotong.Partition(gotong.Partitions) {
			need.Cursors = append(need.Cursors, store.CursorKey{Reader: readers[i].Name, Partition: p})
		}
	}
	snap, err := s.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	for i := range readers {
		mark, err := markIn(&snap, readers[i].Name)
		if err != nil {
			return nil, err
		}
		stopped, err := findAll[Stop](ctx, s, stops, readers[i].Name+" ")
		if err != nil {
			return nil, err
		}
		for p := range gotong.Partition(gotong.Partitions) {
			st := Status{
				Reader: readers[i].Name, Partition: p, End: snap.Positions[p], Quiet: mark.Quiet[p], Clearing: mark.Clearing,
				Cursor: snap.Cursors[store.CursorKey{Reader: readers[i].Name, Partition: p}],
			}
			if st.Quiet <= st.Cursor {
				st.Quiet = 0
			}
			for _, stop := range stopped {
				if stop.Partition == p && stop.Skipped == 0 && stop.Position > st.Cursor {
					st.Stop = &stop
					break
				}
			}
			if st.End > 0 {
				list = append(list, st)
			}
		}
	}
	return list, nil
}

func markIn(snap *store.Snapshot, reader string) (mark rebuild, err error) {
	if r, ok := snap.Registers[rebuildKey(reader)]; ok {
		if err := json.Unmarshal(r.Body, &mark); err != nil {
			return mark, errors.Join(store.ErrCorrupt, err)
		}
	}
	return mark, nil
}

// Skip has a reader pass the position at which it stopped in a partition. The
// register of the stop records when. Later rebuilds pass the position too. It
// returns [ErrEvery] for a reader that needs every commit.
func Skip(ctx context.Context, s Store, readers []Reader, name string, p gotong.Partition, now gotong.Instant) (Stop, error) {
	switch i := slices.IndexFunc(readers, func(r Reader) bool { return r.Name == name }); {
	case i < 0:
		return Stop{}, ErrNoReader
	case readers[i].Every:
		return Stop{}, fmt.Errorf("%w: correct the cause and restart the server; if its documents are damaged, "+
			"have them made again with gotong reader rebuild %s", ErrEvery, name)
	}
	list, err := List(ctx, s, readers)
	if err != nil {
		return Stop{}, err
	}
	for _, st := range list {
		if st.Reader != name || st.Partition != p || st.Stop == nil {
			continue
		}
		stop, version, err := readStop(ctx, s, st.Stop.key())
		if err != nil {
			return Stop{}, err
		}
		stop.Skipped = now
		return stop, setJSON(ctx, s, stop.key(), version, stop)
	}
	return Stop{}, ErrNotStopped
}

// Rebuild moves a reader's cursors back to 0 and deletes its documents; the nodes
// that run the readers of the store then make them again. Of positions that it had
// processed before, the reader makes no jobs, except pending ones if it has
// [Reader.Ran]. Jobs that exist stay, except those that Ran does not know. If Rebuild
// is interrupted, the reader does not run until it is called again.
func Rebuild(ctx context.Context, s store.Whole, readers []Reader, name string) error {
	i := slices.IndexFunc(readers, func(r Reader) bool { return r.Name == name })
	if i < 0 {
		return ErrNoReader
	}
	need := store.Need{Registers: []gotong.Key{rebuildKey(name)}}
	for p := range gotong.Partition(gotong.Partitions) {
		need.Cursors = append(need.Cursors, store.CursorKey{Reader: name, Partition: p})
	}
	for range maxTries { // a runner may advance until it sees the mark
		err := clearOnce(ctx, s, &readers[i], need)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return store.ErrConflict
}

const maxTries = 16

func clearOnce(ctx context.Context, s store.Whole, r *Reader, need store.Need) error {
	snap, err := s.Load(ctx, need)
	if err != nil {
		return err
	}
	mark, err := markIn(&snap, r.Name)
	if err != nil {
		return err
	}
	mark.Reader, mark.Times, mark.Clearing = r.Name, mark.Times+1, true
	back, fence := make([]store.Step, len(need.Cursors)), make([]store.Step, len(need.Cursors))
	for i, key := range need.Cursors {
		mark.Quiet[i] = max(mark.Quiet[i], min(snap.Cursors[key], snap.Positions[i]))
		back[i] = store.Step{Reader: r.Name, Partition: key.Partition, From: snap.Cursors[key]}
		fence[i] = store.Step{Reader: r.Name, Partition: key.Partition, Clears: true}
	}
	version := snap.Registers[rebuildKey(r.Name)].Version
	if err := setJSON(ctx, s, rebuildKey(r.Name), version, mark); err != nil {
		return err
	}
	if err := s.Advance(ctx, back...); err != nil {
		return err
	}
	for after := ""; ; {
		rows, err := s.Rows(ctx, store.AllDocuments, after, store.MaxRead)
		if err != nil {
			return err
		}
		fence[0].Changes = nil
		for i := range rows.Documents {
			if key := rows.Documents[i].Key; slices.Contains(r.Collections, key.Collection) {
				fence[0].Changes = append(fence[0].Changes, store.Change{Key: key})
			}
		}
		if err := s.Advance(ctx, fence...); err != nil {
			return err
		}
		if after = rows.Next; after == "" {
			break
		}
	}
	if err := removeDamaged(ctx, s, r); err != nil {
		return err
	}
	mark.Clearing = false
	return setJSON(ctx, s, rebuildKey(r.Name), version+1, mark)
}

// removeDamaged removes the jobs of a reader whose bodies no event made.
func removeDamaged(ctx context.Context, s store.Whole, r *Reader) error {
	if r.Ran == nil {
		return nil
	}
	jobs, err := Jobs(ctx, s, false, 0)
	for i := 0; i < len(jobs) && err == nil; i++ {
		if _, whole := r.Ran(jobs[i]); jobs[i].Queue == r.Name && !whole {
			err = s.SettleJob(ctx, jobs[i], nil)
		}
	}
	return err
}

// Jobs returns the jobs of the store, or the dead ones alone. It reads up to most
// jobs; 0: all.
func Jobs(ctx context.Context, s Whole, dead bool, most int) (list []store.Job, err error) {
	for read, after := 0, ""; ; {
		rows, err := s.Rows(ctx, store.AllJobs, after, store.MaxRead)
		if err != nil {
			return nil, err
		}
		read += len(rows.Jobs)
		for _, job := range rows.Jobs {
			if job.Dead || !dead {
				list = append(list, job)
			}
		}
		if after = rows.Next; after == "" || most > 0 && read >= most {
			return list, nil
		}
	}
}

// Retry makes a job due now and forgets its failures. A dead job lives again.
func Retry(ctx context.Context, s store.Whole, queue, id string, now gotong.Instant) error {
	jobs, err := Jobs(ctx, s, false, 0)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		if job.Queue != queue || job.ID != id {
			continue
		}
		if job.Lease > now {
			return ErrLeased
		}
		err := s.SettleJob(ctx, job, &store.Job{Due: now, Error: job.Error})
		if errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("%w: %w", ErrLeased, err)
		}
		return err
	}
	return ErrNoJob
}
