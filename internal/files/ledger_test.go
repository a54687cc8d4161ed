package files_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/store"
)

// row is an event of an upload, as the log has it.
func row(t *testing.T, id, kind string, payload any) *store.Event {
	t.Helper()
	data, err := json.Marshal(map[string]any{"payload": payload})
	if err != nil {
		t.Fatal(err)
	}
	return &store.Event{Stream: thread.UploadStream(id), Type: kind, Data: data}
}

func see(t *testing.T, l *files.Ledger, id, kind string, payload any) {
	t.Helper()
	if err := l.See(row(t, id, kind, payload)); err != nil {
		t.Fatal(err)
	}
}

// file is what upload.stored says of a body, and of its thumbnail if there is one.
func file(body, thumb string) upload.Finished {
	f := upload.File{Size: int64(len(body)), Hash: hashOf(body), Type: files.Octets}
	if thumb != "" {
		f.Thumb, f.ThumbSize = hashOf(thumb), int64(len(thumb))
	}
	return upload.Finished{File: f}
}

// filled returns a ledger of n uploads, each second one with a thumbnail, whose bytes
// are in a place, and of some that have ended or have not been stored.
func filled(t *testing.T, n int, in files.Bytes) (l *files.Ledger, objects int) {
	t.Helper()
	l = &files.Ledger{}
	for i := range n {
		id, body, thumb := fmt.Sprintf("up-%03d", i), fmt.Sprint("body ", i), ""
		if err := put(t, in, id, body); err != nil {
			t.Fatal(err)
		}
		if objects++; i%2 == 0 {
			objects, thumb = objects+1, fmt.Sprint("thumb ", i)
			if err := put(t, in, files.ThumbOf(id), thumb); err != nil {
				t.Fatal(err)
			}
		}
		see(t, l, id, upload.EvStarted, upload.Started{})
		see(t, l, id, upload.EvStored, file(body, thumb))
	}
	see(t, l, "open", upload.EvStarted, upload.Started{})
	for id, ending := range map[string]string{"old-1": upload.EvCollected, "old-2": upload.EvErased} {
		if err := put(t, in, id, "removed soon"); err != nil {
			t.Fatal(err)
		}
		see(t, l, id, upload.EvStored, file("removed soon", ""))
		see(t, l, id, ending, upload.Ended{})
	}
	return l, objects
}

// log answers with the events that uploads have by now.
type log map[gotong.Stream][]store.Event

func (g log) Load(_ context.Context, need store.Need) (snap store.Snapshot, err error) {
	snap.Events = [][]store.Event{g[need.Events[0].Stream]}
	return snap, nil
}

// quota accepts so many objects, as a whole even if others have failed meanwhile, and
// fails from then on.
type quota struct {
	files.Bytes
	left atomic.Int32
}

func (q *quota) Put(ctx context.Context, name string, from io.ReadSeeker, size int64, sum string) error {
	if q.left.Add(-1) < 0 {
		return gotong.NewError(gotong.CodeBusy, "no answer")
	}
	return q.Bytes.Put(context.WithoutCancel(ctx), name, from, size, sum)
}

func quiet(uint64, uint64) {}

// TestBytesMove: in every direction; a run that was interrupted goes on, and copies
// nothing twice; what has ended stays behind.
func TestBytesMove(t *testing.T) {
	for a, open := range places {
		for b, target := range places {
			t.Run(a+" to "+b, func(t *testing.T) {
				from, to := open(t), target(t)
				l, objects := filled(t, 20, from)
				cut := &quota{Bytes: to}
				cut.left.Store(7)
				first, err := l.Move(t.Context(), from, cut, quiet)
				if gotong.CodeOf(err) != gotong.CodeBusy || first.Moved > 7 {
					t.Fatalf("interrupted: %+v, %v", first, err)
				}
				there := 0
				for i := range 20 {
					for _, name := range []string{fmt.Sprintf("up-%03d", i), files.ThumbOf(fmt.Sprintf("up-%03d", i))} {
						if _, err := get(t, to, name); err == nil {
							there++
						}
					}
				}
				if there != first.Moved {
					t.Errorf("%d objects are there, and %d were reported", there, first.Moved)
				}
				last := uint64(0)
				second, err := l.Move(t.Context(), from, to, func(done, _ uint64) { last = done })
				if err != nil || second.Objects != objects || second.Moved != objects-there || len(second.Faults) > 0 || last != uint64(objects) {
					t.Errorf("resumed after %d of %d: %+v, %d, %v", there, objects, second, last, err)
				}
				third, err := l.Move(t.Context(), from, to, quiet)
				if err != nil || third.Moved != 0 || len(third.Faults) > 0 {
					t.Errorf("again: %+v, %v", third, err)
				}
				if all, err := l.Verify(t.Context(), to, log{}, quiet); err != nil || all.Objects != objects || len(all.Faults) > 0 {
					t.Errorf("verified: %+v, %v", all, err)
				}
				for _, name := range []string{"old-1", "old-2", "open"} {
					if _, err := get(t, to, name); err == nil {
						t.Errorf("%s was copied although it has ended", name)
					}
				}
			})
		}
	}
}

// TestLostBytesAreNamed: by a comparison and by a copy, which copies all others.
func TestLostBytesAreNamed(t *testing.T) {
	each(t, func(t *testing.T, in files.Bytes) { //nolint:thelper // the test itself
		l, objects := filled(t, 6, in)
		if err := errors.Join(in.Remove(t.Context(), "up-001"), in.Remove(t.Context(), files.ThumbOf("up-002")),
			in.Remove(t.Context(), "up-003"), in.Remove(t.Context(), "up-004")); err != nil {
			t.Fatal(err)
		}
		for name, body := range map[string]string{"up-003": "bodY 3", "up-004": "body 4, and more"} {
			if err := put(t, in, name, body); err != nil {
				t.Fatal(err)
			}
		}
		faults := func(got files.Tally, err error) string {
			t.Helper()
			var text []string
			for _, f := range got.Faults {
				text = append(text, f.String())
			}
			if err != nil || got.Objects != objects {
				t.Errorf("%+v, %v", got, err)
			}
			return strings.Join(text, ", ")
		}
		now := log{}
		for i := range 6 {
			id := fmt.Sprintf("up-%03d", i)
			now[thread.UploadStream(id)] = []store.Event{*row(t, id, upload.EvStarted, nil), *row(t, id, upload.EvStored, file("x", ""))}
		}
		const want = "up-001 is missing, up-002.thumb is missing, up-003 is different, up-004 is different"
		if got := faults(l.Verify(t.Context(), in, now, quiet)); got != want {
			t.Errorf("compared: %s", got)
		}
		to, err := files.NewDisk(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := put(t, to, "up-005", "of somebody else"); err != nil {
			t.Fatal(err)
		}
		if got := faults(l.Move(t.Context(), in, to, quiet)); got != want+", up-005 is occupied" {
			t.Errorf("copied: %s", got)
		}
		if body, err := get(t, to, "up-000"); body != "body 0" || err != nil {
			t.Errorf("one without a fault: %q, %v", body, err)
		}
		gone := thread.UploadStream("up-001") // it ended after the log was read
		now[gone] = append(now[gone], *row(t, "up-001", upload.EvErased, upload.Ended{}))
		if got := faults(l.Verify(t.Context(), in, now, quiet)); got != strings.TrimPrefix(want, "up-001 is missing, ") {
			t.Errorf("while a server runs: %s", got)
		}
	})
}

// TestASilentPlaceIsNoLoss: objects of a server that does not answer are not reported as
// missing.
func TestASilentPlaceIsNoLoss(t *testing.T) {
	in := places["disk"](t)
	l, _ := filled(t, 3, in)
	if got, err := l.Verify(t.Context(), down{}, log{}, quiet); gotong.CodeOf(err) != gotong.CodeBusy || len(got.Faults) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := l.Move(t.Context(), down{}, in, quiet); err != nil || got.Moved > 0 {
		t.Errorf("all is there: %+v, %v", got, err)
	}
	if got, err := l.Move(t.Context(), in, down{}, quiet); gotong.CodeOf(err) != gotong.CodeBusy || len(got.Faults) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := l.Verify(ended, in, log{}, quiet); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

type down struct{ files.Bytes }

func (down) Open(context.Context, string) (files.Object, error) {
	return nil, gotong.NewError(gotong.CodeBusy, "no answer")
}

func TestLedgersRejectWhatTheyCannotRead(t *testing.T) {
	e := row(t, "a", upload.EvStored, 7)
	if err := new(files.Ledger).See(e); err == nil {
		t.Error("a number was taken for a file")
	}
	e.Stream = "thread/a"
	if err := new(files.Ledger).See(e); err != nil {
		t.Errorf("an event of another kind: %v", err)
	}
	if got := new(files.Ledger).Tally(); got.Objects != 0 || !slices.Equal(got.Faults, []files.Fault{}) {
		t.Errorf("%+v", got)
	}
}
