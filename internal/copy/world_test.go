package copy_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/storetest"
)

const begin = gotong.Instant(1_764_000_000_000_000)

// tb is what the world needs of a test or of a property.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

func check(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

func options() logcopy.Options {
	return logcopy.Options{Codec: store.NewCodec(app.Kinds()), Now: func() gotong.Instant { return begin }}
}

func newMemory() *memory.Store {
	return memory.New("", memory.Options{Now: func() gotong.Instant { return begin }})
}

func openSQLite(t tb, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{
		Collections: store.Collections(app.Kinds()), Now: func() gotong.Instant { return begin },
	})
	check(t, err)
	return s
}

func newSQLite(t *testing.T) *sqlite.Store {
	t.Helper()
	s := openSQLite(t, filepath.Join(t.TempDir(), "gotong.db"))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// noted is a store that remembers the keys of all documents that were ever
// written to it.
type noted struct {
	store.Whole
	keys map[gotong.Key]bool
}

func note(s store.Whole) *noted { return &noted{s, map[gotong.Key]bool{}} }

func (n *noted) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	for i := range batch {
		n.see(batch[i].Changes)
	}
	n.Whole.Submit(ctx, batch, announce, done)
}

func (n *noted) Restore(ctx context.Context, step store.Restoring) error {
	n.see(step.Documents)
	return n.Whole.Restore(ctx, step)
}

func (n *noted) see(changes []store.Change) {
	for _, ch := range changes {
		n.keys[ch.Key] = true
	}
}

// documents is all documents that there are under these keys.
func (n *noted) documents(t tb, keys map[gotong.Key]bool) map[string]string {
	t.Helper()
	all := map[string]string{}
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(keys)), 500) {
		snap, err := n.Load(context.Background(), store.Need{Documents: chunk})
		check(t, err)
		for key, body := range snap.Documents {
			all[fmt.Sprint(key)] = string(body)
		}
	}
	return all
}

// holdings are all that a store holds, seals and progress aside.
type holdings struct {
	storetest.Contents
	of        *noted
	documents map[string]string
}

func (n *noted) holdings(t tb, limit int) holdings {
	t.Helper()
	all, err := storetest.Read(context.Background(), n, limit)
	check(t, err)
	all.State.Sealed = ""
	for i := range all.Rows.Jobs { // what one store calls none the other calls empty
		all.Rows.Jobs[i].Body = append([]byte{}, all.Rows.Jobs[i].Body...)
	}
	return holdings{all, n, n.documents(t, n.keys)}
}

// same compares all that two stores hold.
func same(t tb, a, b *noted) {
	t.Helper()
	a.holdings(t, 100).same(t, b)
}

func (x holdings) same(t tb, b *noted) {
	t.Helper()
	y := b.holdings(t, 64)
	for _, pair := range [][2]any{
		{x.State, y.State}, {x.Positions, y.Positions}, {x.Rows.Streams, y.Rows.Streams}, {x.Commits, y.Commits},
		{x.Records(), y.Records()}, {x.Rows.Claims, y.Rows.Claims}, {x.Rows.Registers, y.Rows.Registers},
		{x.Rows.Cursors, y.Rows.Cursors}, {x.Rows.Jobs, y.Rows.Jobs},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Fatalf("%T:\nwas %.300v\nis  %.300v", pair[0], pair[0], pair[1])
		}
	}
	keys := maps.Clone(x.of.keys)
	maps.Copy(keys, b.keys)
	for key := range keys {
		if k := fmt.Sprint(key); x.documents[k] != y.documents[k] {
			t.Fatalf("document %s\n was %s\n is  %s", k, x.documents[k], y.documents[k])
		}
	}
}

// copied seals a store and copies it.
func copied(t tb, from, to store.Whole) logcopy.Summary {
	t.Helper()
	ctx := context.Background()
	check(t, logcopy.Seal(ctx, from, "copied"))
	source, err := logcopy.FromStore(ctx, from)
	check(t, err)
	sum, err := logcopy.Run(ctx, source, to, options())
	check(t, err)
	if !sum.Verified {
		t.Fatalf("not verified: %+v", sum)
	}
	return sum
}
