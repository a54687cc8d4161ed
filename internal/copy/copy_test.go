package copy_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/community/user"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// TestMain keeps the property tests short unless a flag says otherwise, because
// each run syncs.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("15") // a number
	}
	code := m.Run()
	surrealtest.Stop()
	postgrestest.Stop()
	os.Exit(code)
}

// TestLogIsTheSameThereAndBack: any log is the same after a copy to another
// store and back, and the documents that the rules make again equal the old
// ones.
func TestLogIsTheSameThereAndBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := newVillage(r, newMemory(), func(n int) int { return rapid.IntRange(0, n-1).Draw(r, "pick") })
		defer v.close()
		for range rapid.IntRange(0, 4).Draw(r, "rounds") {
			v.live(rapid.IntRange(0, 40).Draw(r, "things"))
			v.side()
		}
		file := note(openSQLite(r, filepath.Join(t.TempDir(), "gotong.db")))
		defer file.Close() //nolint:errcheck // of a test
		copied(r, v.s, file)
		same(r, v.s, file)
		back := note(newMemory())
		copied(r, file, back)
		same(r, v.s, back)
	})
}

// TestEveryKindIsCopied: after a long random run in which every command of
// every kind had an effect, the documents are the same in a copy.
func TestEveryKindIsCopied(t *testing.T) {
	if testing.Short() {
		t.Skip("as long a run as it takes; TestLogIsTheSameThereAndBack has shorter ones")
	}
	random := rand.New(rand.NewPCG(1, 2))
	v := newVillage(t, newMemory(), random.IntN)
	defer v.close()
	v.live(10000)
	for range 20 {
		v.side()
	}
	for _, kind := range app.Kinds() {
		for _, cmd := range kind.Commands {
			if name := kind.Name + " " + cmd.Name; v.decided[name] < 3 {
				t.Errorf("%s had its effect %d times", name, v.decided[name])
			}
		}
	}
	to := note(newMemory())
	sum := copied(t, v.s, to)
	same(t, v.s, to)
	if sum.Rows[logcopy.Events] < 1000 || sum.Moved == 0 {
		t.Errorf("summary %+v", sum)
	}
	cursors, err := storetest.Read(t.Context(), to, 0)
	check(t, err)
	if sum.Rows[logcopy.Streams] != uint64(len(cursors.Rows.Streams)) {
		t.Errorf("%d streams in the summary", sum.Rows[logcopy.Streams])
	}
}

// raw is a log with what no command makes yet: erased content, commits of many
// events, several epochs.
func raw(t *testing.T, s store.Whole) {
	t.Helper()
	m := storetest.NewMaker(s.Epoch())
	commit := func(d storetest.Draft) {
		t.Helper()
		out, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(d)})
		if err != nil || out[0].Status != store.Committed {
			t.Fatal(err, out)
		}
	}
	commit(storetest.Draft{Stream: "thread/a", Home: "group/g", Events: 700})
	commit(storetest.Draft{Stream: "thread/a", Events: 1, Erase: []uint64{3, 5}, Claims: []gotong.Claim{{Space: "s", Name: "n"}}})
	check(t, s.Renew(t.Context(), "second00"))
	m.Epoch = "second00"
	commit(storetest.Draft{Stream: "thread/b", Home: "group/g", Events: 2, Bare: true})
	commit(storetest.Draft{Stream: "thread/a", Events: 1300, Audience: gotong.ForUser("ani")})
	commit(storetest.Draft{Stream: "thread/noop"})
}

func TestErasedManyAndEpochs(t *testing.T) {
	from, to, back := note(newMemory()), note(newSQLite(t)), note(newMemory())
	raw(t, from)
	copied(t, from, to)
	same(t, from, to)
	copied(t, to, back)
	same(t, from, back)
	if got := back.Epoch(); got != "second00" {
		t.Errorf("epoch %s", got)
	}
}

// TestReadingContinuesFromEachMark: read from any mark, a source has the same
// rest. Pages hold whole commits, however long these are.
func TestReadingContinuesFromEachMark(t *testing.T) {
	from := newMemory()
	raw(t, from)
	check(t, logcopy.Seal(t.Context(), from, "copied"))
	source, err := logcopy.FromStore(t.Context(), from)
	check(t, err)
	list := func(at logcopy.Mark) (ids []gotong.EventID, marks []logcopy.Mark, left []int) {
		for page, err := range source.Pages(t.Context(), at) {
			check(t, err)
			for e := range page.Events() {
				ids = append(ids, e.ID)
			}
			for i := range page.Commits {
				if c := &page.Commits[i]; c.Record.Last-c.Record.First+1 != uint64(len(c.Events)) {
					t.Errorf("%d events of commit %d are on one page", len(c.Events), c.Record.Position)
				}
			}
			marks, left = append(marks, page.Mark), append(left, len(ids))
		}
		return ids, marks, left
	}
	all, marks, read := list(logcopy.Mark{})
	for i, mark := range marks {
		if rest, _, _ := list(mark); !slices.Equal(rest, all[read[i]:]) {
			t.Errorf("from %+v there are %d events, want %d", mark, len(rest), len(all)-read[i])
		}
	}
	if len(all) != 2003 {
		t.Errorf("%d events", len(all))
	}
}

func TestImpossibleCopiesAreRejected(t *testing.T) {
	ctx := t.Context()
	from := newMemory()
	raw(t, from)
	source := func(s store.Whole) logcopy.Source {
		src, err := logcopy.FromStore(ctx, s)
		check(t, err)
		return src
	}
	if _, err := logcopy.Run(ctx, source(from), newMemory(), options()); !errors.Is(err, logcopy.ErrNotSealed) {
		t.Errorf("a source that is not sealed: %v", err)
	}
	check(t, logcopy.Seal(ctx, from, "to b"))
	check(t, logcopy.Seal(ctx, from, "to b"))
	if err := logcopy.Seal(ctx, from, "to c"); err == nil {
		t.Error("sealed for another target")
	}
	full := newMemory()
	raw(t, full)
	if _, err := logcopy.Run(ctx, source(from), full, options()); !errors.Is(err, logcopy.ErrNotEmpty) {
		t.Errorf("a target that is not empty: %v", err)
	}
	half := newMemory()
	check(t, half.Restore(ctx, store.Restoring{To: `{"source":"another"}`, Eras: store.FirstEra("other000")}))
	if _, err := logcopy.Run(ctx, source(from), half, options()); !errors.Is(err, logcopy.ErrOtherCopy) {
		t.Errorf("a target of another copy: %v", err)
	}
	if err := logcopy.Seal(ctx, half, "to b"); !errors.Is(err, logcopy.ErrUnfinished) {
		t.Errorf("an unfinished source: %v", err)
	}
	if _, err := logcopy.Look(ctx, source(from), full); !errors.Is(err, logcopy.ErrNotEmpty) {
		t.Errorf("looked at a target that is not empty: %v", err)
	}
	if _, err := logcopy.Look(ctx, source(from), newMemory()); err != nil {
		t.Errorf("looked at an empty target: %v", err)
	}
}

// TestFinishedCopyIsRecognised: the same copy again finds everything present
// and, once the target has other events, reports the difference.
func TestFinishedCopyIsRecognised(t *testing.T) {
	from, to := newMemory(), newMemory()
	raw(t, from)
	copied(t, from, to)
	if sum := copied(t, from, to); !sum.Present || sum.Moved != 0 || sum.Rows[logcopy.Events] != 2003 {
		t.Errorf("again: %+v", sum)
	}
	m := storetest.NewMaker(to.Epoch())
	_, err := store.CommitAll(t.Context(), to, []store.Commit{m.Next(storetest.Draft{Stream: "thread/new", Events: 1})})
	check(t, err)
	source, err := logcopy.FromStore(t.Context(), from)
	check(t, err)
	if _, err := logcopy.Run(t.Context(), source, to, options()); !errors.Is(err, logcopy.ErrDiffers) {
		t.Errorf("with another event in the target: %v", err)
	}
}

// busy is a store to which others write while it is read.
type busy struct {
	store.Whole
	write func()
}

func (b *busy) Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error) {
	b.write()
	return b.Whole.Rows(ctx, section, after, limit)
}

// TestGrowingLogIsExportedAsOfItsBeginning: commits made during an export are
// not in it.
func TestGrowingLogIsExportedAsOfItsBeginning(t *testing.T) {
	from, same1 := newMemory(), newMemory()
	m := storetest.NewMaker(from.Epoch())
	n := 0
	write := func() {
		for _, d := range []storetest.Draft{
			{Stream: "thread/a", Events: 2}, {Stream: "thread/a", Events: 1}, {Stream: "thread/b", Events: 1},
			{Stream: gotong.Stream("thread/" + string(rune('c'+n))), Events: 1, Claims: []gotong.Claim{{Space: "s", Name: string(rune('c' + n))}}},
		} {
			_, err := store.CommitAll(t.Context(), from, []store.Commit{m.Next(d)})
			check(t, err)
		}
		n++
	}
	write()
	write()
	then, err := storetest.Read(t.Context(), from, 0)
	check(t, err)
	used := &busy{from, func() {}}
	source, err := logcopy.FromStore(t.Context(), used)
	check(t, err)
	used.write = write
	path := filepath.Join(t.TempDir(), "log")
	w, err := os.Create(path)
	check(t, err)
	_, err = logcopy.Export(t.Context(), source, w, options())
	check(t, errors.Join(err, w.Close()))
	file, err := logcopy.OpenFile(t.Context(), path, options())
	check(t, err)
	_, err = logcopy.Run(t.Context(), file, same1, options())
	check(t, err)
	now, err := storetest.Read(t.Context(), same1, 0)
	check(t, err)
	if !slices.Equal(now.Rows.Streams, then.Rows.Streams) || now.Positions != then.Positions ||
		len(now.Records()) != len(then.Records()) || len(now.Rows.Claims) != len(then.Rows.Claims) {
		t.Errorf("exported %+v\nwas %+v", now.Rows, then.Rows)
	}
}

// TestWritesToASealedSourceAreRejected: a writer gets the error that the log
// has moved, and nothing is written; after an unseal, writes succeed.
func TestWritesToASealedSourceAreRejected(t *testing.T) {
	for name, s := range map[string]store.Whole{"memory": newMemory(), "sqlite": newSQLite(t)} {
		v := newVillage(t, s, func(int) int { return 0 })
		register := func(name string) error {
			_, err := v.e.Execute(t.Context(), gotong.Command{
				Stream: gotong.NewStream("user", name), Type: user.CmdRegister, RequestID: "r-" + name, Data: registration(name),
				Actor: gotong.Actor{UserID: name, Role: gotong.RoleUser}, Raw: []byte(name),
			})
			return err
		}
		check(t, register("ani"))
		check(t, s.Seal(t.Context(), "elsewhere"))
		for range 2 {
			if err := register("budi"); gotong.CodeOf(err) != gotong.CodeStoreSealed {
				t.Errorf("%s, sealed: %v", name, err)
			}
		}
		check(t, s.Seal(t.Context(), ""))
		check(t, register("budi"))
		v.close()
	}
}
