package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// While keys rotate, every checkpoint has a signature of each, and the log is asked
// to say so before the first of them.
func TestRotation(t *testing.T) {
	w, dir := living(t, 7, 40), filepath.Join(t.TempDir(), "c")
	var recorded []gotong.Command
	fail := errors.New("not now")
	o := w.options(dir)
	o.New = true
	o.Record = func(_ context.Context, cmd gotong.Command) error {
		recorded = append(recorded, cmd)
		return fail
	}
	k := open(t, o)
	if err := k.Step(t.Context()); err != nil || len(recorded) > 0 {
		t.Fatalf("of one key, the log says nothing: %v, %v", recorded, err)
	}
	was := k.Keys()[0]
	if _, err := RetireKeys(dir); !errors.Is(err, ErrKey) {
		t.Errorf("the only key is retired: %v", err)
	}
	next, err := NewKey(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, KeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the keys: %v, %v", info, err)
	}
	for name, err := range map[string]error{"a third key": second(NewKey(dir, "")), "before a signature": second(RetireKeys(dir))} {
		if !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k = open(t, w.options(dir))
	if k.o.Record = o.Record; !errors.Is(k.Step(t.Context()), fail) {
		t.Error("the new key signs before the log says so")
	}
	if _, err := proof.Open(k.Pinned()[0].Note, proof.Trust{Keys: []proof.Key{next}}); err == nil {
		t.Error("the new key signed before the log said so")
	}
	fail = nil
	if err := k.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	for p := range k.Pinned() {
		for _, key := range []proof.Key{was, next} {
			if _, err := proof.Open(k.Pinned()[p].Note, proof.Trust{Keys: []proof.Key{key}}); err != nil {
				t.Errorf("partition %d with key %s: %v", p, key, err)
			}
		}
	}
	c, ok := recorded[len(recorded)-1].Data.(AddKey)
	if !ok || c.Key != next.String() || fmt.Sprint(c.Replaces) != fmt.Sprint([]string{was.String()}) || c.Sizes[1] != k.Pinned()[1].Checkpoint.Size {
		t.Errorf("recorded is %+v", recorded)
	}
	if retired, err := RetireKeys(dir); err != nil || len(retired) != 1 || retired[0].String() != was.String() {
		t.Fatal(retired, err)
	}
	body, err := json.Marshal(Keys{Added: map[string][]string{next.String(): {was.String()}}})
	if err != nil {
		t.Fatal(err)
	}
	k = open(t, w.options(dir))
	k.o.Record, recorded = o.Record, nil
	k.o.Store = saying{w.live, body}
	if err := k.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, ok := recorded[0].Data.(RetireKey); !ok || r.Key != was.String() || r.Sizes[1] != k.Pinned()[1].Checkpoint.Size {
		t.Errorf("recorded is %+v", recorded)
	}
}

func second[T any](_ T, err error) error { return err }

// saying is a store with a document of keys.
type saying struct {
	liveStore
	body []byte
}

type liveStore interface {
	Log
	store.Registers
	Epoch() gotong.Epoch
}

func (s saying) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := s.liveStore.Load(ctx, need)
	if len(need.Documents) > 0 && need.Documents[0] == keysKey {
		snap.Documents = map[gotong.Key][]byte{keysKey: s.body}
	}
	return snap, err
}

func TestNewKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	lock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); err != nil {
		t.Errorf("after the end of the first: %v", err)
	}
	for _, instance := range []string{"", "Not A Name"} {
		if _, err := NewKey(dir, instance); !errors.Is(err, ErrKey) {
			t.Errorf("instance %q: %v", instance, err)
		}
	}
	key, err := NewKey(dir, "a.example.org")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewKey(dir, "b.example.org"); !errors.Is(err, ErrKey) {
		t.Errorf("a key of another instance: %v", err)
	}
	if signers, err := ReadSigners(dir); err != nil || len(signers) != 1 || signers[0].String() != key.String() {
		t.Errorf("the key is not the one that was made: %v", err)
	}
	write := []byte("PRIVATE+KEY+damaged\n")
	if err := os.WriteFile(filepath.Join(dir, KeyFile), write, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewKey(dir, ""); err == nil {
		t.Error("a damaged key is replaced")
	}
	if now, err := os.ReadFile(filepath.Join(dir, KeyFile)); err != nil || !bytes.Equal(now, write) {
		t.Errorf("the damaged key became %q, %v", now, err)
	}
}

// Only the server changes the stream of keys, and each change is there once.
func TestKeysRules(t *testing.T) {
	kind := KeysKind()
	if err := kind.Check(); err != nil {
		t.Fatal(err)
	}
	none := gotong.NewState(KeysStream, gotong.Head{})
	some := gotong.NewState(KeysStream, gotong.Head{Seq: 2})
	some.SetDoc(keysKey, Keys{Added: map[string][]string{"a": nil}, Retired: map[string]bool{"b": true}})
	admin := gotong.Actor{UserID: "boss", Role: gotong.RoleAdmin}
	for name, of := range map[string]struct {
		state gotong.State
		actor gotong.Actor
		data  any
		facts int // -1: rejected
	}{
		"an admin":      {none, admin, AddKey{Key: "a"}, -1},
		"the operator":  {some, gotong.Actor{UserID: "operator", Role: gotong.RoleAdmin}, RetireKey{Key: "a"}, -1},
		"a key":         {none, reader.System(), AddKey{Key: "a"}, 1},
		"a known key":   {some, reader.System(), AddKey{Key: "a"}, 0},
		"retired":       {some, reader.System(), RetireKey{Key: "a"}, 1},
		"retired again": {some, reader.System(), RetireKey{Key: "b"}, 0},
		"nonsense":      {some, reader.System(), 7, -1},
	} {
		d, err := kind.Decide(of.state, gotong.Command{Stream: KeysStream, Actor: of.actor, Data: of.data})
		if (err != nil) != (of.facts < 0) || err == nil && len(d.Facts) != of.facts {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	for stream, data := range map[gotong.Stream]any{"audit/other": AddKey{}, KeysStream: RetireKey{}} {
		if home, err := kind.Home(gotong.Command{Stream: stream, Data: data}); err == nil {
			t.Errorf("%T creates %s in %s", data, stream, home)
		}
	}
	if g := kind.Access(some, gotong.Viewer{UserID: "u"}); !g.Readable {
		t.Error("a user cannot read the keys")
	}
	if g := kind.Access(some, gotong.Viewer{}); g.Readable {
		t.Error("nobody can read the keys")
	}
	for _, c := range kind.Project(some, gotong.Event{Type: evKeyRetired, Data: KeyChange{Key: "a"}}) {
		if now, _ := c.Doc.(Keys); !now.Retired["a"] || !now.Retired["b"] || len(now.Added) != 1 {
			t.Errorf("the document becomes %+v", now)
		}
	}
}

// says writes an event about a key, as the log has it.
func (w *world) says(sort string, key proof.Key) {
	w.t.Helper()
	c := KeyChange{Key: key.String(), Sizes: make([]uint64, gotong.Partitions)}
	for p := range w.commits {
		c.Sizes[p] = uint64(len(w.commits[p]))
	}
	data, err := json.Marshal(map[string]any{"actor": map[string]any{"user_id": "system"}, "payload": c})
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(KeysStream, KeysStream, 1)
	p := gotong.PartitionOf(KeysStream)
	at := len(w.commits[p]) - 1
	e := &w.commits[p][at].Events[0]
	e.Type, e.Data = sort, data
	e.Chain = e.Header(w.epoch).Chain()
	head := w.heads[KeysStream]
	head.Chain = e.Chain
	w.heads[KeysStream] = head
}

// A checkpoint counts only if one of its keys signed at that size, as the log says.
func TestPeriods(t *testing.T) {
	w := newWorld(t, 1)
	was, next := w.signer, newWorld(t, 2).signer
	p := gotong.PartitionOf("group/0")
	step := func() {
		for range 5 {
			w.write("thread/a", "group/0", 1)
		}
	}
	step()
	w.says(evKeyAdded, next.Key)
	step()
	w.says(evKeyRetired, was.Key)
	step()
	for name, of := range map[string]struct {
		size int
		by   []proof.Signer
		good bool
	}{
		"the old key before":       {3, []proof.Signer{was}, true},
		"the new key before":       {4, []proof.Signer{next}, false},
		"the new key from then on": {5, []proof.Signer{next}, true},
		"both":                     {7, []proof.Signer{next, was}, true},
		"the old key up to then":   {10, []proof.Signer{was}, true},
		"the old key after that":   {11, []proof.Signer{was}, false},
		"both after that":          {15, []proof.Signer{next, was}, true},
		"the new key after that":   {15, []proof.Signer{next}, true},
		"a key without an event":   {15, []proof.Signer{newWorld(t, 3).signer}, true},
	} {
		var tree proof.Tree
		for _, c := range w.commits[p][:of.size] {
			tree.Add(leafOf(p, c.Position, c.Events).Hash())
		}
		c := proof.Checkpoint{Origin: proof.Origin{Instance: "test.example.org", Epoch: w.epoch, Partition: p}, Size: uint64(of.size), Root: tree.Root()}
		note, err := c.Sign(of.by...)
		if err != nil {
			t.Fatal(err)
		}
		pinned, err := ReadNotes(note, proof.Trust{Keys: KeysOf(of.by)})
		if err != nil {
			t.Fatal(err)
		}
		s := w.source(w.commits)
		s.Tiles = nil
		r, err := Verify(t.Context(), s, VerifyOptions{Pinned: pinned, Parallel: 4})
		want := Verified
		if !of.good {
			want = Unverifiable
		}
		if err != nil || r.Code != want {
			t.Errorf("%s: %+v, %v", name, r.Findings, err)
		}
	}
}

// Damaged checkpoints are replaced only on request, and kept.
func TestDamagedCheckpoints(t *testing.T) {
	w, dir := living(t, 2, 30), filepath.Join(t.TempDir(), "c")
	o := w.options(dir)
	o.New = true
	open(t, o)
	path := filepath.Join(dir, CheckpointsFile)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n, damaged := range []string{strings.Replace(string(file), "p3\n", "p4\n", 1), string(file[:len(file)/2]), "\x00", "x"} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), w.options(dir)); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%q: %v", damaged, err)
		}
		open(t, o)
		open(t, w.options(dir)) // for good
		kept, err := os.ReadFile(fmt.Sprintf("%s.damaged.%d", path, n+1))
		if err != nil || string(kept) != damaged {
			t.Errorf("kept is %q, %v", kept, err)
		}
	}
}
