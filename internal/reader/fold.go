package reader

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// The bounds of what one reader may ask for and keep.
const (
	maxKept  = 4 << 20 // bytes of documents that a follower remembers between rounds
	maxJobID = 128
)

// fold makes the steps of one reader in one partition. It remembers documents,
// which no one else changes while the reader's cursor is where it was.
type fold struct {
	reader *Reader
	from   store.Loader               // nil: no document exists that it does not remember
	docs   map[gotong.Key][]byte      // nil: it does not exist
	size   int                        // bytes of docs
	skips  func(position uint64) bool // positions that an operator passed; nil: none
	alone  bool                       // each commit is a run of its own
}

// made is what some commits cause for one reader.
type made struct {
	to      uint64 // the last position that was processed
	changes []store.Change
	jobs    []store.Job
	erases  bool  // the changes may remove what an event erased
	stop    error // why the reader cannot process the position after to; nil: it can
}

// steps processes commits in order, until the reader fails at one. Of positions up
// to quiet, only pending jobs are made. An error is one of the store.
func (f *fold) steps(ctx context.Context, from uint64, commits []Commit, quiet uint64) (made, error) {
	m := made{to: from}
	if f.docs == nil || f.size > maxKept && f.from != nil {
		f.docs, f.size = map[gotong.Key][]byte{}, 0
	}
	needs, err := f.load(ctx, commits)
	if err != nil {
		return m, err
	}
	at, alone := map[gotong.Key]int{}, f.alone
	for len(commits) > 0 && m.stop == nil {
		n := f.run(commits, quiet)
		if alone {
			n = min(n, 1)
		}
		if n == 0 { // an operator passed it
			m.to, commits, needs = commits[0].Position, commits[1:], needs[1:]
			continue
		}
		step, err := f.read(needs[:n], commits[:n])
		if alone = alone || err != nil; err != nil && n > 1 { // only a commit alone shows which one fails
			continue
		}
		if m.stop = err; err == nil {
			if commits[0].Position <= quiet {
				if step.Jobs, err = f.pending(ctx, step.Jobs); err != nil {
					return m, err
				}
			}
			f.add(&m, step, at)
			m.erases = m.erases || len(m.changes) > 0 && slices.ContainsFunc(commits[:n], Commit.erases)
			m.to, commits, needs = commits[n-1].Position, commits[n:], needs[n:]
		}
	}
	return m, nil
}

// pending returns those jobs that have had no effect yet, if that can be known.
func (f *fold) pending(ctx context.Context, jobs []store.Job) (list []store.Job, err error) {
	if f.reader.Ran == nil || f.from == nil {
		return nil, nil
	}
	for some := range slices.Chunk(jobs, store.MaxRead) {
		var need store.Need
		for i := range some {
			request, _ := f.reader.Ran(some[i])
			need.Records = append(need.Records, request)
		}
		snap, err := f.from.Load(ctx, need)
		if err != nil {
			return nil, err
		}
		for i, request := range need.Records {
			if _, ran := snap.Records[request]; !ran {
				list = append(list, some[i])
			}
		}
	}
	return list, nil
}

// run returns how many of the commits can be read at once: those before one that
// an operator passed, and before the end of the positions without jobs.
func (f *fold) run(commits []Commit, quiet uint64) (n int) {
	for _, c := range commits {
		if f.skips != nil && f.skips(c.Position) || (c.Position <= quiet) != (commits[0].Position <= quiet) {
			break
		}
		n++
	}
	return n
}

// erases reports whether an event of the commit erases others, or may.
func (c Commit) erases() bool {
	return slices.ContainsFunc(c.Events, func(e store.Event) bool { seqs, err := e.Erases(); return err != nil || len(seqs) > 0 })
}

// add adds a step to what was made. at says where in its changes each document is.
func (f *fold) add(m *made, step Step, at map[gotong.Key]int) {
	for _, ch := range step.Changes {
		f.put(ch)
		if n, ok := at[ch.Key]; ok {
			m.changes[n] = ch
			continue
		}
		at[ch.Key] = len(m.changes)
		m.changes = append(m.changes, ch)
	}
	m.jobs = append(m.jobs, step.Jobs...)
}

// need is the documents that a commit needs, or why they cannot be named.
type need struct {
	keys []gotong.Key
	err  error
}

// load reads the documents that the commits need and that are not remembered.
func (f *fold) load(ctx context.Context, commits []Commit) ([]need, error) {
	needs := make([]need, len(commits))
	if f.reader.Needs == nil {
		return needs, nil
	}
	var missing []gotong.Key
	for i, c := range commits {
		needs[i].err = store.Guard(func() error { needs[i].keys = f.reader.Needs(c); return nil })
		for _, key := range needs[i].keys {
			if _, known := f.docs[key]; !known && f.from != nil {
				f.docs[key] = nil
				missing = append(missing, key)
			}
		}
	}
	for some := range slices.Chunk(missing, store.MaxRead) {
		snap, err := f.from.Load(ctx, store.Need{Documents: some})
		if err != nil {
			f.docs = nil // what is marked as missing may exist
			return nil, err
		}
		for key, body := range snap.Documents {
			f.put(store.Change{Key: key, Body: body})
		}
	}
	return needs, nil
}

func (f *fold) put(ch store.Change) {
	f.size += len(ch.Body) - len(f.docs[ch.Key])
	f.docs[ch.Key] = ch.Body
}

// read calls the reader for a run of commits and checks what it returns.
func (f *fold) read(needs []need, run []Commit) (step Step, err error) {
	docs := map[gotong.Key][]byte{}
	for _, n := range needs {
		if n.err != nil {
			return step, n.err
		}
		for _, key := range n.keys {
			if body := f.docs[key]; body != nil {
				docs[key] = body
			}
		}
	}
	err = store.Guard(func() error { step, err = f.reader.Read(docs, run); return err })
	for i := range step.Changes {
		if key := step.Changes[i].Key; err == nil && !slices.Contains(f.reader.Collections, key.Collection) {
			err = fmt.Errorf("reader: %s has no collection %q", f.reader.Name, key.Collection)
		}
	}
	for i := range step.Jobs {
		j := &step.Jobs[i]
		if err == nil && (!name.MatchString(j.Queue) || j.ID == "" || len(j.ID) > maxJobID || len(j.Body) > store.MaxReadBytes) {
			err = errors.New("reader: a job needs a queue, an id of 1 to 128 bytes and a body of at most 1 MiB")
		}
	}
	return step, err
}

// commitsOf groups the events of a partition by position.
func commitsOf(rows []store.Event) (list []Commit) {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Position == rows[0].Position {
			n++
		}
		list = append(list, Commit{Partition: rows[0].Partition, Position: rows[0].Position, Events: rows[:n:n]})
		rows = rows[n:]
	}
	return list
}
