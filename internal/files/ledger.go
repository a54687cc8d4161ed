package files

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/store"
)

// Ledger lists the bytes that must exist beside a log: those of the uploads that were
// stored, and neither collected nor erased.
type Ledger struct {
	mu      sync.Mutex
	uploads map[string]upload.File // by id
}

// See takes an event into account. The events of an upload must come in their order;
// those of different partitions may come at the same time.
func (l *Ledger) See(e *store.Event) error {
	if e.Stream.Kind() != upload.Name {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Type {
	case upload.EvStored:
		var d struct {
			Payload upload.Finished `json:"payload"`
		}
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return fmt.Errorf("files: event %d of %s: %w", e.Seq, e.Stream, err)
		}
		if l.uploads == nil {
			l.uploads = map[string]upload.File{}
		}
		l.uploads[e.Stream.ID()] = d.Payload.File
	case upload.EvCollected, upload.EvErased:
		delete(l.uploads, e.Stream.ID())
	}
	return nil
}

// kept is an object that has to be kept.
type kept struct {
	upload, name, sum string
	size              int64
}

func (l *Ledger) list() []kept {
	list := make([]kept, 0, len(l.uploads))
	for id, f := range l.uploads {
		list = append(list, kept{id, id, f.Hash, f.Size})
		if f.Thumb != "" {
			list = append(list, kept{id, ThumbOf(id), f.Thumb, f.ThumbSize})
		}
	}
	slices.SortFunc(list, func(a, b kept) int { return strings.Compare(a.name, b.name) })
	return list
}

// The problems of objects.
const (
	Missing   = "missing"
	Different = "different"  // its bytes have another size or hash
	Unread    = "unreadable" // reading failed
	Occupied  = "occupied"   // the target has other bytes in its place
)

// Fault is an object that is not as the log says.
type Fault struct {
	Name    string `json:"name"` // the id of the upload; of a thumbnail, with an ending
	Problem string `json:"problem"`

	upload string
}

func (f Fault) String() string { return f.Name + " is " + f.Problem }

// Tally is the result of reading or moving all objects of a ledger.
type Tally struct {
	Objects int     `json:"objects"` // files and thumbnails by the log
	Bytes   int64   `json:"bytes"`   // their size
	Moved   int     `json:"moved"`   // written by this run
	Faults  []Fault `json:"faults"`
}

// Tally returns what the log says, without reading any object.
func (l *Ledger) Tally() Tally {
	t := Tally{Faults: []Fault{}}
	for _, k := range l.list() {
		t.Objects, t.Bytes = t.Objects+1, t.Bytes+k.size
	}
	return t
}

// Verify reads every object and compares it with the log. Uploads of a log that is in
// use may end meanwhile: those with faults are read again from it, and count if they
// have not ended. A place that does not answer is an error.
func (l *Ledger) Verify(ctx context.Context, in Bytes, log store.Loader, progress func(done, total uint64)) (Tally, error) {
	t, err := l.each(ctx, progress, func(ctx context.Context, k kept) (string, bool, error) {
		problem, err := check(ctx, in, k)
		return problem, false, err
	})
	faults := t.Faults
	t.Faults = []Fault{}
	for _, f := range faults {
		var now Ledger
		snap, failed := log.Load(ctx, store.Need{Events: []store.EventRange{{Stream: thread.UploadStream(f.upload), To: 10}}})
		if failed != nil {
			return t, errors.Join(err, failed)
		}
		for i := range snap.Events[0] {
			err = errors.Join(err, now.See(&snap.Events[0][i]))
		}
		if len(now.uploads) > 0 {
			t.Faults = append(t.Faults, f)
		}
	}
	return t, err
}

// Move copies every object that is not in the target yet, and compares all with the
// log. A fault keeps no other object back; a place that does not answer is an error.
func (l *Ledger) Move(ctx context.Context, from, to Bytes, progress func(done, total uint64)) (Tally, error) {
	return l.each(ctx, progress, func(ctx context.Context, k kept) (string, bool, error) {
		switch problem, err := check(ctx, to, k); {
		case err != nil || problem == "":
			return "", false, err
		case problem != Missing:
			return Occupied, false, nil
		}
		o, err := from.Open(ctx, k.name)
		if errors.Is(err, fs.ErrNotExist) {
			return Missing, false, nil
		}
		if err != nil {
			return "", false, err
		}
		err = errors.Join(to.Put(ctx, k.name, o, k.size, k.sum), o.Close())
		if errors.Is(err, ErrDiffers) {
			return Different, false, nil
		}
		return "", err == nil, err
	})
}

// atOnce is how many objects are read at the same time.
const atOnce = 8

func (l *Ledger) each(
	ctx context.Context, progress func(done, total uint64), do func(context.Context, kept) (problem string, moved bool, err error),
) (Tally, error) {
	t, list := l.Tally(), l.list()
	var mu sync.Mutex
	done := uint64(0)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, k := range list {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			problem, moved, err := do(ctx, k)
			mu.Lock()
			defer mu.Unlock()
			if problem != "" {
				t.Faults = append(t.Faults, Fault{k.name, problem, k.upload})
			}
			if moved {
				t.Moved++
			}
			done++
			progress(done, uint64(len(list)))
			return err
		})
	}
	err := group.Wait()
	slices.SortFunc(t.Faults, func(a, b Fault) int { return strings.Compare(a.Name, b.Name) })
	return t, err
}

// check returns the problem of an object, "" for none.
func check(ctx context.Context, in Bytes, k kept) (problem string, err error) {
	o, err := in.Open(ctx, k.name)
	if errors.Is(err, fs.ErrNotExist) {
		return Missing, nil
	}
	if err == nil {
		h := sha256.New()
		size, failed := io.Copy(h, o)
		if err = errors.Join(failed, o.Close()); err == nil && (size != k.size || sumOf(h) != k.sum) {
			return Different, nil
		}
	}
	if err == nil || ctx.Err() != nil || gotong.CodeOf(err) == gotong.CodeBusy {
		return "", errors.Join(err, ctx.Err())
	}
	return Unread, nil
}
