package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/logtest"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/proof"
)

// living returns a world with a store of its own, which holds some commits.
func living(t *testing.T, seed uint64, commits int) *world {
	t.Helper()
	w := newWorld(t, seed)
	w.live = memory.New(w.epoch, memory.Options{})
	t.Cleanup(func() { _ = w.live.Close() })
	w.fill(commits)
	w.grow()
	return w
}

func (w *world) options(dir string) Options {
	return Options{Store: w.live, Dir: dir, Instance: "test.example.org", Log: slog.New(slog.DiscardHandler)}
}

func open(t *testing.T, o Options) *Keeper {
	t.Helper()
	k, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A key that others may read signs nothing.
func TestKeyOfOthersIsRejected(t *testing.T) {
	w, dir := living(t, 1, 3), filepath.Join(t.TempDir(), "checkpoints")
	o := w.options(dir)
	o.New = true
	open(t, o)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(filepath.Join(dir, KeyFile), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%o: %v", mode, err)
		}
	}
}

// Checkpoints are signed as the log grows, and a start on the log finds it whole.
func TestKeeper(t *testing.T) {
	w, dir := living(t, 1, 0), filepath.Join(t.TempDir(), "checkpoints")
	k := open(t, w.options(dir))
	if info, err := os.Stat(filepath.Join(dir, KeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key: %v, %v", info, err)
	}
	for range 5 {
		w.fill(20)
		w.grow()
		if err := k.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	k.o.Dir = filepath.Join(dir, "gone")
	w.fill(20)
	w.grow()
	if err := k.Step(t.Context()); err == nil || k.Failure() == nil {
		t.Errorf("without a directory: %v, and it shows %v", err, k.Failure())
	}
	k.o.Dir = dir
	if err := k.Step(t.Context()); err != nil || k.Failure() != nil {
		t.Errorf("with the directory again: %v, and it shows %v", err, k.Failure())
	}
	k = open(t, w.options(dir)) // of the same key
	r, err := Verify(t.Context(), w.source(w.commits), VerifyOptions{Pinned: k.Pinned()})
	if err != nil || r.Code != Verified {
		t.Fatalf("against what was kept: %+v, %v", r, err)
	}
	for p, n := range w.commits {
		if got := k.Pinned()[p].Checkpoint.Size; got != uint64(len(n)) {
			t.Errorf("partition %d has a checkpoint at %d of %d", p, got, len(n))
		}
	}
	file, err := os.ReadFile(filepath.Join(dir, CheckpointsFile))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := ReadNotes(file, proof.Trust{Keys: k.Keys()}); err != nil || p[0].Checkpoint != k.Pinned()[0].Checkpoint {
		t.Errorf("the file is read as %v, %v", p, err)
	}
	if err := k.Step(t.Context()); err != nil { // nothing has grown
		t.Fatal(err)
	}
}

// A log that is not empty needs the checkpoints of the start before; whatever of
// them is missing or unreadable, the start is refused.
func TestMissingCheckpoints(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"directory":   os.RemoveAll,
		"key":         func(dir string) error { return os.Remove(filepath.Join(dir, KeyFile)) },
		"checkpoints": func(dir string) error { return os.Remove(filepath.Join(dir, CheckpointsFile)) },
		"one of them": func(dir string) error {
			file, err := os.ReadFile(filepath.Join(dir, CheckpointsFile))
			notes := proof.SplitNotes(string(file))
			return errors.Join(err, os.WriteFile(filepath.Join(dir, CheckpointsFile), []byte(strings.Join(notes[1:], "")), 0o600))
		},
		"a bit of one": func(dir string) error {
			file, err := os.ReadFile(filepath.Join(dir, CheckpointsFile))
			file[len(file)/2] ^= 1
			return errors.Join(err, os.WriteFile(filepath.Join(dir, CheckpointsFile), file, 0o600))
		},
		"permission": func(dir string) error { // nobody, not even root, can read a directory as a file
			path := filepath.Join(dir, CheckpointsFile)
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
		"pipe as checkpoints": func(dir string) error { return pipe(filepath.Join(dir, CheckpointsFile)) },
		"pipe as key":         func(dir string) error { return pipe(filepath.Join(dir, KeyFile)) },
	} {
		t.Run(name, func(t *testing.T) {
			w, dir := living(t, 2, 30), filepath.Join(t.TempDir(), "c")
			if _, err := Open(t.Context(), w.options(dir)); !errors.Is(err, ErrMissing) {
				t.Fatalf("the first start on a log that is not empty: %v", err)
			}
			o := w.options(dir)
			o.New = true
			open(t, o)
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), w.options(dir)); err == nil {
				t.Error("the start is not refused")
			}
		})
	}
}

// pipe replaces a file with a named pipe. Opening one for reading, or for writing,
// waits for the other side.
func pipe(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syscall.Mkfifo(path, 0o600)
}

// What lies at the name of the temporary file is replaced, and never opened.
func TestReplaceFileOpensNoPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := pipe(path + ".part"); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(path, []byte("text")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
}

// rolledBack is what an operator, or an intruder, puts in the place of a log. Each
// returns the world that the next start finds.
var rolledBack = map[string]func(t *testing.T) (before, after *world){
	"behind": func(t *testing.T) (before, after *world) {
		t.Helper()
		return living(t, 3, 40), living(t, 3, 39)
	},
	"empty": func(t *testing.T) (before, after *world) {
		t.Helper()
		return living(t, 3, 40), living(t, 3, 0)
	},
	"another history": func(t *testing.T) (before, after *world) {
		t.Helper()
		before, after = living(t, 3, 40), forged(t)
		after.grow()
		return before, after
	},
	"another history whose tree is not stored yet": func(t *testing.T) (before, after *world) {
		t.Helper()
		return living(t, 3, 40), forged(t)
	},
}

// forged is a log that is longer than that of 40 commits, and another one from
// the last on.
func forged(t *testing.T) *world {
	t.Helper()
	w := living(t, 3, 39)
	for range 20 {
		for _, home := range []string{"0", "1", "2"} {
			w.write(gotong.Stream("thread/forged-"+home), gotong.Stream("group/"+home), 1)
		}
	}
	return w
}

func TestRollbackIsRefused(t *testing.T) {
	for name, of := range rolledBack {
		t.Run(name, func(t *testing.T) {
			before, after := of(t)
			dir := filepath.Join(t.TempDir(), "c")
			o := before.options(dir)
			o.New = true
			k := open(t, o)
			k.o.Store = after.live // at a running node: the database was exchanged
			if err := k.Step(t.Context()); !errors.Is(err, ErrRollback) && name != "another history whose tree is not stored yet" {
				t.Errorf("a running node: %v", err)
			}
			if _, err := Open(t.Context(), after.options(dir)); !errors.Is(err, ErrRollback) {
				t.Fatalf("a start: %v", err)
			}
			o = after.options(dir)
			o.Accept = true
			open(t, o)
			open(t, after.options(dir)) // accepted once, for good
			aside, err := os.ReadFile(filepath.Join(dir, CheckpointsFile+".aaaaaaaa.1"))
			if err != nil {
				t.Fatal(err)
			}
			if p, err := ReadNotes(aside, proof.Trust{Keys: k.Keys()}); err != nil || p[1].Checkpoint != k.Pinned()[1].Checkpoint {
				t.Errorf("the other checkpoints were kept as %v, %v", p, err)
			}
		})
	}
}

// After a reconnect, the database has another history. None of its partitions has
// more commits than its checkpoint.
func TestForkOfTheSameSizeIsFoundAfterAReconnect(t *testing.T) {
	before, after := living(t, 3, 40), living(t, 3, 39)
	for p := range before.commits {
		for len(after.commits[p]) < len(before.commits[p]) {
			home := before.heads[before.commits[p][0].Events[0].Stream].Home
			after.write(gotong.Stream(fmt.Sprint("thread/forged-", len(after.heads))), home, 1)
		}
	}
	after.grow()
	connections := uint64(2)
	o := before.options(filepath.Join(t.TempDir(), "c"))
	o.New, o.Connections = true, func() uint64 { return connections }
	k := open(t, o)
	if err := k.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.o.Store = after.live
	connections++
	for range 2 { // the next step finds it too
		if err := k.Step(t.Context()); !errors.Is(err, ErrRollback) {
			t.Errorf("another history of the same size: %v", err)
		}
	}
}

// After a power loss, the stored tree may be behind the checkpoint that was signed
// of it. The log is not.
func TestTreeBehindTheCheckpoint(t *testing.T) {
	w, dir := living(t, 4, 50), filepath.Join(t.TempDir(), "c")
	o := w.options(dir)
	o.New = true
	open(t, o)
	whole := *w
	again := &whole
	again.live = memory.New(w.epoch, memory.Options{})
	t.Cleanup(func() { _ = again.live.Close() })
	replayInto(again, w)
	k, err := Open(t.Context(), again.options(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Step(t.Context()); err != nil { // the reader has not caught up
		t.Fatal(err)
	}
	again.grow()
	if err := k.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A stored tree that is damaged accuses nobody: the log itself still continues the
// checkpoint. It is made again, and no backup is restored for it.
func TestDamagedTreeIsNoRollback(t *testing.T) {
	w, dir := living(t, 4, 100), filepath.Join(t.TempDir(), "c")
	o := w.options(dir)
	o.New = true
	k, p := open(t, o), gotong.PartitionOf("group/0")
	key := tileKey(p, 0, 0)
	snap, err := w.live.Load(t.Context(), store.Need{Documents: []gotong.Key{key}})
	if err != nil || snap.Documents[key] == nil {
		t.Fatalf("%s, %v", snap.Documents[key], err)
	}
	l := hashList{}
	if err := decode(snap.Documents, key, &l); err != nil {
		t.Fatal(err)
	}
	l.Hashes[5] ^= 1
	altered, _ := json.Marshal(l)
	for _, body := range [][]byte{altered, []byte(`{"hashes":7}`)} {
		if err := w.live.Advance(t.Context(), store.Step{Reader: "x", Changes: []store.Change{{Key: key, Body: body}}}); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), w.options(dir))
		if errors.Is(err, ErrRollback) || body[11] == '"' && !errors.Is(err, ErrTrees) {
			t.Errorf("a start with %s: %v", body, err)
		}
		at := k.Pinned()[p]
		if _, err := (tree{t.Context(), w.live, p}).path(at.Checkpoint, 0); !errors.Is(err, ErrTrees) {
			t.Errorf("a proof with %s: %v", body, err)
		}
	}
}

// replayInto writes the commits of a log to another store, without its tree.
func replayInto(to, from *world) {
	heads := map[gotong.Stream]gotong.Head{}
	for p := range from.commits {
		for _, c := range from.commits[p] {
			stream := c.Events[0].Stream
			home := from.heads[stream].Home
			var erases []uint64
			events := make([]store.Event, len(c.Events))
			for i, e := range c.Events {
				if seqs, _ := e.Erases(); len(seqs) > 0 {
					erases = seqs
				}
				if e.Erased {
					e = from.before[e.ID].event
				}
				events[i] = e
			}
			c.Events = events
			to.store(c, heads[stream], home, erases)
			last := events[len(events)-1]
			heads[stream] = gotong.Head{Seq: last.Seq, Chain: last.Chain, At: last.At, Count: last.Count, Home: home}
		}
	}
}

// All nodes of a store sign for one instance, each with its own key.
func TestNodesOfAStore(t *testing.T) {
	w := living(t, 5, 10)
	var keys []string
	for range 3 {
		o := w.options(filepath.Join(t.TempDir(), "c"))
		o.Instance, o.New = "", true
		k := open(t, o)
		keys = append(keys, k.Keys()[0].String())
		if k.Keys()[0].Instance() != strings.Split(keys[0], "+")[0] {
			t.Errorf("the instances differ: %v", keys)
		}
	}
	got, _, err := published(t.Context(), w.live)
	if err != nil || strings.Join(got.Keys, " ") != strings.Join(keys, " ") {
		t.Errorf("published are %v, %v", got, err)
	}
	other := living(t, 6, 9)
	dir := filepath.Join(t.TempDir(), "c")
	o := other.options(dir)
	o.Instance, o.New = "other.example.org", true
	open(t, o)
	if _, err := Open(t.Context(), w.options(dir)); err == nil {
		t.Error("a directory of another instance is accepted")
	}
}

// Nodes that begin on an empty log with different names agree on one before they
// sign anything that counts.
func TestNodesOfAnEmptyStore(t *testing.T) {
	w := living(t, 9, 0)
	var nodes []*Keeper
	for _, name := range []string{"a.example.org", "b.example.org", ""} {
		o := w.options(filepath.Join(t.TempDir(), "c"))
		o.Instance = name
		nodes = append(nodes, open(t, o))
	}
	w.fill(20)
	w.grow()
	for i, k := range nodes {
		for range 2 {
			if err := k.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if k.Keys()[0].Instance() != "a.example.org" {
			t.Errorf("node %d signs for %s", i, k.Keys()[0].Instance())
		}
		open(t, k.o) // its directory is whole
	}
}

// away is a store that cannot be read while it is off.
type away struct {
	store.Store
	off atomic.Bool
}

func (s *away) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	if s.off.Load() {
		return store.Snapshot{}, errors.New("away")
	}
	return s.Store.Load(ctx, need)
}

// TestCheckpointsThatCannotBeSigned: the state logs one line when it begins and one when it has
// ended, each time.
func TestCheckpointsThatCannotBeSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		w.live = memory.New(w.epoch, memory.Options{})
		defer func() { _ = w.live.Close() }()
		var lines logtest.Lines
		s, o := &away{Store: w.live}, w.options("")
		o.Store, o.Log = s, slog.New(slog.NewJSONHandler(&lines, nil))
		k := open(t, o)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		<-time.After(signEvery / 2) // so that no step is under way when the store goes and comes
		for round := range 3 {
			for _, off := range []bool{true, false} {
				s.off.Store(off)
				<-time.After(5 * signEvery)
				begun, over := lines.Count("checkpoints cannot be signed"), lines.Count("checkpoints are signed again")
				if begun != round+1 || !off && over != begun || off && over != round {
					t.Fatalf("round %d, away: %t; logged:\n%s", round, off, lines.String())
				}
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A caller waits for the checkpoint that covers an event, and at most five
// seconds.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		w.live = memory.New(w.epoch, memory.Options{})
		defer func() { _ = w.live.Close() }()
		k := open(t, w.options(""))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		p := gotong.PartitionOf("group/0")
		began := time.Now()
		_, _, err := k.Await(ctx, p, 1)
		if e, ok := errors.AsType[*gotong.Error](err); !ok || e.Code != gotong.CodeNotYet || time.Since(began) != notYet {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		w.write("thread/a", "group/0", 1)
		w.grow()
		c, note, err := k.Await(ctx, p, 1)
		if err != nil || c.Size != 1 || len(note) == 0 {
			t.Errorf("the checkpoint is %v, %v", c, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
