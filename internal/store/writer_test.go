package store_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong/internal/store"
)

// desk is a writer whose transactions wait until the test lets them end.
type desk struct {
	*store.Writer[int]
	began  chan []int    // what a transaction writes
	commit chan struct{} // lets it end

	mu   sync.Mutex
	told []string // announcements and answers, in order
}

func newDesk(t *testing.T, o store.WriterOptions[int]) *desk {
	t.Helper()
	d := &desk{began: make(chan []int, 100), commit: make(chan struct{}, 100)}
	if o.Write == nil {
		o.Write = func(batch []*store.Work[int]) error {
			list := make([]int, len(batch))
			for i, k := range batch {
				list[i] = k.What
			}
			d.began <- list
			<-d.commit
			return nil
		}
	}
	d.Writer = store.NewWriter(o)
	return d
}

func (d *desk) note(what string, n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		what = err.Error()
	}
	d.told = append(d.told, fmt.Sprint(what, " ", n))
}

// submit submits n, and has then called when it is answered.
func (d *desk) submit(ctx context.Context, n, bytes int, then func()) {
	d.Submit(ctx, &store.Work[int]{
		What: n, Commits: 1, Bytes: bytes, Announce: func() { d.note("announced", n, nil) },
		Done: func(err error) {
			d.note("answered", n, err)
			if then != nil {
				then()
			}
		},
	})
}

// notes ends the writer and returns what was announced and answered.
func (d *desk) notes() []string {
	close(d.commit)
	d.Close()
	return d.told
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %v\nwant %v", what, got, want)
	}
}

// What waits shares a transaction; all of it is announced before any of it is
// answered, and transactions are answered in their order.
func TestWriterAnnouncesBeforeItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, store.WriterOptions[int]{})
		for n := 1; n <= 3; n++ {
			d.submit(t.Context(), n, 0, nil)
			synctest.Wait()
		}
		equal(t, "first transaction", <-d.began, []int{1})
		equal(t, "notes", d.notes(), []string{
			"announced 1", "answered 1", "announced 2", "announced 3", "answered 2", "answered 3",
		})
		equal(t, "second transaction", <-d.began, []int{2, 3})
	})
}

// While callers are answered the next transaction begins, whether it waited or
// comes only then; its answers stay behind.
func TestWriterAnswersBesideTheNextTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, store.WriterOptions[int]{})
		release := make(chan struct{})
		d.submit(t.Context(), 1, 0, func() { <-release })
		<-d.began
		d.commit <- struct{}{}
		synctest.Wait() // the answer to 1 is being rendered
		d.submit(t.Context(), 2, 0, nil)
		equal(t, "transaction beside an answer", <-d.began, []int{2})
		d.commit <- struct{}{}
		synctest.Wait()
		equal(t, "notes while 1 is answered", len(d.told), 2)
		close(release)
		equal(t, "notes", d.notes(), []string{"announced 1", "answered 1", "announced 2", "answered 2"})
	})
}

// A transaction holds so many commits and so many bytes, and at least one write.
func TestWriterBoundsBatchAndQueue(t *testing.T) {
	for name, tc := range map[string]struct {
		o       store.WriterOptions[int]
		bytes   []int // of each write; the first one runs while the others queue
		batches [][]int
		busy    []int
	}{
		"commits":       {store.WriterOptions[int]{MaxBatch: 2}, []int{0, 0, 0, 0}, [][]int{{1}, {2, 3}, {4}}, nil},
		"bytes":         {store.WriterOptions[int]{MaxBatchBytes: 10}, []int{0, 6, 4, 1, 99, 1}, [][]int{{1}, {2, 3}, {4}, {5}, {6}}, nil},
		"queue":         {store.WriterOptions[int]{MaxQueue: 2}, []int{0, 0, 0, 0}, [][]int{{1}, {2, 3}}, []int{4}},
		"queue's bytes": {store.WriterOptions[int]{MaxQueueBytes: 10}, []int{0, 6, 5, 4}, [][]int{{1}, {2, 4}}, []int{3}},
		"one that is larger than the queue": {
			store.WriterOptions[int]{MaxQueueBytes: 10}, []int{0, 99, 1}, [][]int{{1}, {2}}, []int{3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, tc.o)
				var busy []int
				for i, bytes := range tc.bytes {
					d.Submit(t.Context(), &store.Work[int]{What: i + 1, Commits: 1, Bytes: bytes, Done: func(err error) {
						if errors.Is(err, store.ErrBusy) {
							busy = append(busy, i+1)
						}
					}})
					synctest.Wait()
				}
				d.notes()
				close(d.began)
				var batches [][]int
				for b := range d.began {
					batches = append(batches, b)
				}
				equal(t, "batches", batches, tc.batches)
				equal(t, "not accepted", busy, tc.busy)
			})
		})
	}
}

// A context that ends takes back what nobody has begun, and nothing else.
func TestWriterContextEndsOnlyTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, store.WriterOptions[int]{})
		ctx, cancel := context.WithCancel(t.Context())
		d.submit(ctx, 1, 0, nil)
		<-d.began
		d.submit(ctx, 2, 0, nil)
		d.submit(t.Context(), 3, 0, nil)
		cancel()
		synctest.Wait()
		d.submit(ctx, 4, 0, nil)
		equal(t, "notes", d.notes(), []string{
			"context canceled 2", "context canceled 4", "announced 1", "answered 1", "announced 3", "answered 3",
		})
	})
}

// A writer whose only waiting write was taken back accepts the next one.
func TestWriterGoesOnAfterADrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, store.WriterOptions[int]{})
		d.submit(t.Context(), 1, 0, nil)
		<-d.began
		ctx, cancel := context.WithCancel(t.Context())
		d.submit(ctx, 2, 0, nil)
		cancel()
		synctest.Wait()
		d.commit <- struct{}{}
		synctest.Wait()
		d.submit(t.Context(), 3, 0, nil)
		equal(t, "the next transaction", <-d.began, []int{3})
		d.notes()
	})
}

// A panic and a storage failure are outcomes of the whole batch; after a
// failure nothing is written any more.
func TestWriterContainsFaults(t *testing.T) {
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		write  func() error
		is     error // the outcome
		sticky bool
	}{
		"panic":   {func() error { panic("a fault") }, store.ErrFault, false},
		"error":   {func() error { return broken }, broken, false},
		"failure": {func() error { return fmt.Errorf("%w: %w", store.ErrFailed, broken) }, store.ErrFailed, true},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			w := store.NewWriter(store.WriterOptions[int]{Write: func([]*store.Work[int]) error {
				if calls++; calls > 1 {
					return nil
				}
				return tc.write()
			}})
			if err := w.Do(t.Context(), 1, 0); !errors.Is(err, tc.is) {
				t.Errorf("the write itself: %v", err)
			}
			err := w.Do(t.Context(), 2, 0)
			equal(t, "a later write fails", errors.Is(err, store.ErrFailed), tc.sticky)
			equal(t, "the writer has failed", w.Failed() != nil, tc.sticky)
			w.Close()
			if err := w.Do(t.Context(), 3, 0); !errors.Is(err, store.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

func TestWriterObservesEachTransactionWithCommits(t *testing.T) {
	var seen []string
	w := store.NewWriter(store.WriterOptions[int]{
		Write: func([]*store.Work[int]) error { seen = append(seen, "writes"); return nil },
		Observe: func(commits int) func() {
			seen = append(seen, fmt.Sprint("begins ", commits))
			return func() { seen = append(seen, "ended") }
		},
	})
	w.Submit(t.Context(), &store.Work[int]{Commits: 3, Done: func(error) {}})
	if err := w.Do(t.Context(), 1, 0); err != nil { // one without commits
		t.Fatal(err)
	}
	w.Close()
	if seen = slices.Compact(seen); !slices.Contains(seen, "begins 3") && !slices.Contains(seen, "begins 4") {
		t.Errorf("%q", seen)
	}
}

// However the two workers are scheduled, writes are announced and answered in the
// order in which they were written.
func TestWriterAnswersInTheOrderOfWriting(t *testing.T) {
	const n = 50_000
	written := 0 // by whoever has the turn
	answered := make([]int, 0, n)
	w := store.NewWriter(store.WriterOptions[*int]{MaxBatch: 1, MaxQueue: n, Write: func(batch []*store.Work[*int]) error {
		for _, k := range batch {
			written++
			*k.What = written
		}
		return nil
	}})
	for range n {
		at := new(int)
		w.Submit(t.Context(), &store.Work[*int]{What: at, Done: func(error) { answered = append(answered, *at) }})
	}
	w.Close()
	if len(answered) != n || !slices.IsSorted(answered) {
		t.Errorf("%d answers, in order: %v", len(answered), slices.IsSorted(answered))
	}
}
