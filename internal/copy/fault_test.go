package copy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

var errCut = errors.New("cut")

// cut is a store whose nth call from now on fails, before or after its effect,
// and all after it, as if the process had ended there.
type cut struct {
	store.Whole
	left   int // calls until the end; negative: none
	after  bool
	writes int // that took effect
}

func (c *cut) call(effect func() error) error {
	c.left--
	switch {
	case c.left < -1 || c.left == -1 && !c.after:
		return errCut
	case c.left == -1:
		return errors.Join(effect(), errCut)
	default:
		return effect()
	}
}

func (c *cut) State(ctx context.Context) (state store.State, err error) {
	err = c.call(func() error { state, err = c.Whole.State(ctx); return err })
	return state, err
}

func (c *cut) Seal(ctx context.Context, note string) error {
	return c.call(func() error { return c.Whole.Seal(ctx, note) })
}

func (c *cut) Rows(ctx context.Context, section store.Section, after string, limit int) (rows store.Rows, err error) {
	err = c.call(func() error { rows, err = c.Whole.Rows(ctx, section, after, limit); return err })
	return rows, err
}

func (c *cut) Restore(ctx context.Context, step store.Restoring) error {
	return c.call(func() error { c.writes++; return c.Whole.Restore(ctx, step) })
}

func (c *cut) Load(ctx context.Context, need store.Need) (snap store.Snapshot, err error) {
	err = c.call(func() error { snap, err = c.Whole.Load(ctx, need); return err })
	return snap, err
}

func (c *cut) Positions(ctx context.Context) (all [gotong.Partitions]uint64, err error) {
	err = c.call(func() error { all, err = c.Whole.Positions(ctx); return err })
	return all, err
}

func (c *cut) ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) (rows []store.Event, err error) {
	err = c.call(func() error { rows, err = c.Whole.ReadPartition(ctx, p, from, to, limit); return err })
	return rows, err
}

// run is one run of the whole tool between two stores.
func run(ctx context.Context, from, to store.Whole) error {
	if err := logcopy.Seal(ctx, from, "copied"); err != nil {
		return err
	}
	source, err := logcopy.FromStore(ctx, from)
	if err == nil {
		_, err = logcopy.Run(ctx, source, to, options())
	}
	return err
}

// small returns a log with some of everything that goes in few calls. The log is made
// once; each test has its own seal.
func small(t *testing.T) *noted {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	if made == nil {
		made = sized(t, 60)
	}
	return &noted{&own{made.Whole, ""}, made.keys}
}

var (
	making sync.Mutex
	made   *noted
)

// sized makes a log of so many commands that is the same every time.
func sized(t *testing.T, commands int) *noted {
	t.Helper()
	n := uint64(7)
	v := newVillage(t, newMemory(), func(most int) int { // the same every time
		n = n*6364136223846793005 + 1442695040888963407
		return int(n>>33) % most
	})
	defer v.close()
	v.live(commands)
	v.side()
	lasting := gotong.Key{Collection: "session", Owner: v.person(), Name: "lasting"}
	check(t, v.s.SetRegister(t.Context(), lasting, 0, []byte("secret"), 0))
	return v.s
}

// own is a store with a seal of its own.
type own struct {
	store.Whole
	sealed string
}

func (o *own) State(ctx context.Context) (store.State, error) {
	state, err := o.Whole.State(ctx)
	state.Sealed = o.sealed
	return state, err
}

func (o *own) Seal(_ context.Context, note string) error { o.sealed = note; return nil }

// TestCopyResumesAfterAnyInterruption: whichever call to either side is the
// last one, and whether or not it took effect, the same copy again has the same
// result. Each run is killed a little later than the one before, until one
// ends.
func TestCopyResumesAfterAnyInterruption(t *testing.T) {
	for _, after := range []bool{false, true} {
		for _, side := range []string{"source", "target"} {
			killedAnywhere(t, side, after)
		}
	}
}

func killedAnywhere(t *testing.T, side string, after bool) {
	t.Helper()
	want := small(t).holdings(t, 100)
	for n, writes := 0, 0; ; n += later(n) {
		from, to := small(t), note(newMemory())
		source, target := &cut{from, math.MaxInt, after, 0}, &cut{to, math.MaxInt, after, 0}
		map[string]*cut{"source": source, "target": target}[side].left = n
		if err := run(t.Context(), source, target); err == nil {
			if n < 15 {
				t.Errorf("only %d calls of the %s", n, side)
			}
			return
		} else if !errors.Is(err, errCut) {
			t.Fatalf("%s, call %d: %v", side, n, err)
		}
		state, err := to.State(t.Context())
		check(t, err)
		if held, err := to.Positions(t.Context()); err != nil || held != [gotong.Partitions]uint64{} && state.Progress == "" && side == "source" {
			t.Fatalf("%s, call %d: a half copy looks like a whole one (%v)", side, n, err)
		}
		if target.writes != writes || n == 0 { // else the target is as it was after the kill before
			check(t, run(t.Context(), from, to))
			want.same(t, to)
		}
		writes = target.writes
		check(t, to.Close())
	}
}

// later returns after how many more calls the next run is killed: one, or more in
// a short test when many came before.
func later(n int) int {
	if testing.Short() {
		return 1 + n/3
	}
	return 1
}

// TestImportResumesAfterAnyInterruption: the same with a file as the source.
func TestImportResumesAfterAnyInterruption(t *testing.T) {
	log := small(t)
	path, want := exported(t, log), log.holdings(t, 100)
	file, err := logcopy.OpenFile(t.Context(), path, options())
	check(t, err)
	for n, writes := 0, 0; ; n += later(n) {
		to := note(newMemory())
		target := &cut{to, n, n%2 == 0, 0}
		_, err := logcopy.Run(t.Context(), file, target, options())
		ended := err == nil
		if !ended && (target.writes != writes || n == 0) {
			again, err := logcopy.OpenFile(t.Context(), path, options())
			check(t, err)
			_, err = logcopy.Run(t.Context(), again, to, options())
			check(t, err)
			want.same(t, to)
		}
		writes = target.writes
		check(t, to.Close())
		if ended {
			return // the result was compared after the last kill
		}
	}
}

// TestResumedCopyWritesNothingTwice: rows that an interrupted run wrote are not
// written again.
func TestResumedCopyWritesNothingTwice(t *testing.T) {
	from, to := small(t), newMemory()
	all := copied(t, from, newMemory()).Moved
	check(t, logcopy.Seal(t.Context(), from, "copied"))
	source, err := logcopy.FromStore(t.Context(), from)
	check(t, err)
	first, err := logcopy.Run(t.Context(), source, &cut{to, 20, false, 0}, options())
	if !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	sum, err := logcopy.Run(t.Context(), source, to, options())
	check(t, err)
	if !sum.Resumed || first.Moved == 0 || sum.Moved == 0 || first.Moved+sum.Moved != all {
		t.Errorf("%d and then %d of %d rows: %+v", first.Moved, sum.Moved, all, sum)
	}
}

// twist is a store that shows some rows other than they are.
type twist struct {
	store.Whole
	rows   func(*store.Rows)
	events func([]store.Event) []store.Event
	load   func(*store.Snapshot)
}

func (w *twist) Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error) {
	rows, err := w.Whole.Rows(ctx, section, after, limit)
	if err == nil && w.rows != nil {
		w.rows(&rows)
	}
	return rows, err
}

func (w *twist) ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]store.Event, error) {
	rows, err := w.Whole.ReadPartition(ctx, p, from, to, limit)
	if err == nil && w.events != nil {
		rows = w.events(rows)
	}
	return rows, err
}

func (w *twist) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := w.Whole.Load(ctx, need)
	if err == nil && w.load != nil {
		w.load(&snap)
	}
	return snap, err
}

// TestVerifyFindsEachDifference: each way in which the target can differ from
// the source is found and named.
func TestVerifyFindsEachDifference(t *testing.T) {
	from := sized(t, 300)
	ctx := t.Context()
	check(t, logcopy.Seal(ctx, from, "copied"))
	source, err := logcopy.FromStore(ctx, from)
	check(t, err)
	to := newMemory()
	copied(t, from, to)
	for name, tt := range map[string]struct {
		twist twist
		want  string
	}{
		"nothing":       {twist{}, ""},
		"a lost stream": {twist{rows: func(r *store.Rows) { r.Streams = tail(r.Streams) }}, `of sort "stream"`},
		"a lost no-op": {twist{rows: func(r *store.Rows) {
			r.Records = slices.DeleteFunc(r.Records, func(r store.Record) bool { return r.Position == 0 })
		}}, `of sort "noop"`},
		"a lost claim":    {twist{rows: func(r *store.Rows) { r.Claims = tail(r.Claims) }}, `of sort "claim"`},
		"a lost cursor":   {twist{rows: func(r *store.Rows) { r.Cursors = tail(r.Cursors) }}, `of sort "cursor"`},
		"a lost job":      {twist{rows: func(r *store.Rows) { r.Jobs = tail(r.Jobs) }}, `of sort "job"`},
		"a lost register": {twist{rows: func(r *store.Rows) { r.Registers = tail(r.Registers) }}, `of sort "register"`},
		"another version": {twist{rows: func(r *store.Rows) {
			for i := range r.Registers {
				r.Registers[i].Version++
			}
		}}, `rows of sort "register", at least one differs`},
		"another salt of a no-op": {twist{rows: func(r *store.Rows) {
			for i := range r.Records {
				r.Records[i].Salt = nil
			}
		}}, `rows of sort "noop", at least one differs`},
		"a lost event": {twist{events: func(rows []store.Event) []store.Event { return rows[:len(rows)-1] }}, "no event after position"},
		"another audience": {twist{events: func(rows []store.Event) []store.Event {
			rows[0].Audience = "role/owner"
			return rows
		}}, "event 1"},
		"another salt": {twist{load: func(s *store.Snapshot) {
			for request, r := range s.Records {
				r.Salt = nil
				s.Records[request] = r
			}
		}}, "the record of request"},
		"no record of a commit": {twist{load: func(s *store.Snapshot) { clear(s.Records) }}, "does not name its events"},
		"a broken chain": {twist{load: func(s *store.Snapshot) {
			for _, rows := range s.Events {
				if len(rows) > 2 {
					rows[1].Prev[0]++
				}
			}
		}}, "event 2: does not"},
		"an event of another chain": {twist{load: func(s *store.Snapshot) {
			for _, rows := range s.Events {
				if len(rows) > 2 { // its own link is right
					rows[1].Prev[0]++
					rows[1].Chain = rows[1].Header(to.Epoch()).Chain()
					rows[2].Prev = rows[1].Chain
					rows[2].Chain = rows[2].Header(to.Epoch()).Chain()
				}
			}
		}}, "event 2: does not"},
		"a lost tail": {twist{load: func(s *store.Snapshot) {
			for i, rows := range s.Events {
				if n := len(rows); n > 0 && len(s.Heads) > 0 { // where streams are read to their heads
					s.Events[i] = rows[:n-1]
				}
			}
		}}, "is missing; the head is at"},
	} {
		tt.twist.Whole = to
		_, err := logcopy.Verify(ctx, source, &tt.twist, options())
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func tail[T any](rows []T) []T {
	if len(rows) == 0 {
		return rows
	}
	return rows[1:]
}

// exported is the path of a file with all of a store.
func exported(t *testing.T, from store.Whole) string {
	t.Helper()
	source, err := logcopy.FromStore(t.Context(), from)
	check(t, err)
	path := filepath.Join(t.TempDir(), "log.ndjson")
	w, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	check(t, err)
	_, err = logcopy.Export(t.Context(), source, w, options())
	check(t, errors.Join(err, w.Close()))
	return path
}

// sealing counts the calls of Seal; the first leaves its mark and gets no
// further.
type sealing struct {
	store.Whole
	calls int
}

func (s *sealing) Seal(ctx context.Context, note string) error {
	if s.calls++; s.calls == 1 {
		return errors.Join(s.Whole.Seal(ctx, note), errCut)
	}
	return s.Whole.Seal(ctx, note)
}

// TestSealIsRepeatedAfterAnInterruption: the mark alone is no seal: the next
// run completes it.
func TestSealIsRepeatedAfterAnInterruption(t *testing.T) {
	from := &sealing{Whole: newMemory()}
	if err := logcopy.Seal(t.Context(), from, "copied"); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	check(t, logcopy.Seal(t.Context(), from, "copied"))
	if from.calls != 2 {
		t.Errorf("sealed %d times", from.calls)
	}
}

// TestLostRowStopsCopyExportAndScan: each stops at a missing row and names its
// place.
func TestLostRowStopsCopyExportAndScan(t *testing.T) {
	damaged := storetest.NewFaulty(small(t))
	all, err := storetest.Read(t.Context(), damaged, 0)
	check(t, err)
	i := slices.IndexFunc(all.Commits[:], func(list []store.Logged) bool { return len(list) > 2 })
	lost := all.Commits[i][2].Events[0]
	damaged.Lose(lost.Stream, lost.Seq)
	check(t, logcopy.Seal(t.Context(), damaged, "elsewhere"))
	from, err := logcopy.FromStore(t.Context(), damaged)
	check(t, err)
	_, scan := logcopy.Scan(t.Context(), from, options())
	_, export := logcopy.Export(t.Context(), from, io.Discard, options())
	_, run := logcopy.Run(t.Context(), from, newMemory(), options())
	for what, err := range map[string]error{"scan": scan, "export": export, "copy": run} {
		if want := fmt.Sprint("partition ", i); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
}
