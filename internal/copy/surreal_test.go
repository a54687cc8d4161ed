package copy_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/community/group"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// onSurreal is an empty store on a real engine.
func onSurreal(t *testing.T, e surrealtest.Engine) *noted {
	t.Helper()
	s, err := surreal.Open(t.Context(), surrealtest.Start(t, e), surreal.Options{
		Collections: store.Collections(app.Kinds()), Now: func() gotong.Instant { return begin },
	})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return note(s)
}

// onPostgres is an empty store on a real server.
func onPostgres(t *testing.T, server *postgrestest.Server) *noted {
	t.Helper()
	s, err := postgres.Open(t.Context(), server.Schema(), postgres.Options{
		Collections: store.Collections(app.Kinds()), Now: func() gotong.Instant { return begin },
	})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return note(s)
}

// TestRehearsal: from one machine up to a database, over to the others, and back:
// SQLite, PostgreSQL, SurrealDB 3.x, 2.6.x, PostgreSQL, SQLite. The log and its
// documents are the same on each, and at the end the log accepts writes.
func TestRehearsal(t *testing.T) {
	server := postgrestest.Start(t)
	for name, fill := range map[string]func(*testing.T) *noted{
		"village": small,
		"raw": func(t *testing.T) *noted {
			t.Helper()
			s := note(newMemory())
			raw(t, s)
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := fill(t)
			from := want
			for _, next := range []func() *noted{
				func() *noted { return note(newSQLite(t)) },
				func() *noted { return onPostgres(t, server) },
				func() *noted { return onSurreal(t, surrealtest.V3) },
				func() *noted { return onSurreal(t, surrealtest.V2) },
				func() *noted { return onPostgres(t, server) },
				func() *noted { return note(newSQLite(t)) },
			} {
				to := next()
				copied(t, from, to)
				same(t, want, to)
				from = to
			}
			v := newVillage(t, from.Whole, func(int) int { return 0 })
			defer v.close()
			v.serial = 1 << 20
			v.account()
			v.try("user/eko", "eko", "user.register", registration("eko"))
			if v.decided["user user.register"] == 0 {
				t.Error("the log does not go on")
			}
		})
	}
}

// TestKilledOnSurreal: an interrupted copy is resumed, on each engine.
func TestKilledOnSurreal(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		killedOn(t, onSurreal(t, e))
	})
}

// TestKilledOnPostgres is the same with a PostgreSQL.
func TestKilledOnPostgres(t *testing.T) { killedOn(t, onPostgres(t, postgrestest.Start(t))) }

// killedOn copies into a store and out of it, each time with cuts to it.
func killedOn(t *testing.T, s *noted) {
	t.Helper()
	want, back := small(t), note(newMemory())
	untilDone(t, func(left int, after bool) error { return run(t.Context(), want, &cut{s, left, after, 0}) })
	same(t, want, s)
	source, err := logcopy.FromStore(t.Context(), s)
	check(t, err)
	if _, err = logcopy.Run(t.Context(), source, back, options()); err == nil {
		t.Error("copied from a store that is not sealed")
	}
	untilDone(t, func(left int, after bool) error { return run(t.Context(), &cut{s, left, after, 0}, back) })
	same(t, want, back)
}

// untilDone cuts a copy a few calls later each time, until one ends.
func untilDone(t *testing.T, copies func(left int, after bool) error) {
	t.Helper()
	for n, after := 3, false; ; n, after = n+5+n/4, !after {
		switch err := copies(n, after); {
		case err == nil && n > 3:
			return
		case !errors.Is(err, errCut):
			t.Fatalf("cut at call %d: %v", n, err)
		}
	}
}

// TestErasedTextIsNotInACopy: the files of a SurrealDB keep an erased text until
// they are compacted. The step that operators are given, a copy to a new database,
// leaves it behind: no file of the new one holds a byte of it.
func TestErasedTextIsNotInACopy(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		const canary = "kenari-yang-dihapus"
		kept := "merpati-yang-tinggal"
		open := func() (*noted, string) {
			dir := t.TempDir()
			server := surrealtest.Launch(t, e, dir)
			s, err := surreal.Open(t.Context(), server.Fresh(), surreal.Options{Collections: store.Collections(app.Kinds())})
			check(t, err)
			t.Cleanup(func() { check(t, s.Close()); server.Stop() })
			return note(s), dir
		}
		from, old := open()
		codec := store.NewCodec(app.Kinds())
		run := engine.New(engine.Options{Store: from, Codec: codec})
		act := func(actor gotong.Actor, id, name string, data any) {
			t.Helper()
			_, err := run.Execute(t.Context(), gotong.Command{
				Stream: "group/ent-1", Type: name, Data: data, RequestID: id, Actor: actor, Raw: []byte(canary),
			})
			check(t, err)
		}
		ani, boss := gotong.Actor{UserID: "ani", Role: gotong.RoleUser}, gotong.Actor{UserID: "boss", Role: gotong.RoleAdmin}
		act(ani, "r1", group.CmdCreate, group.Create{Name: canary, EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
		ids, err := store.ErasePlan(t.Context(), from, codec, "group/ent-1", []uint64{1})
		check(t, err)
		act(ani, "r3", group.CmdUpdate, group.Update{Description: &kept})
		act(boss, "r2", gotong.CmdErase, gotong.Erase{Events: ids, Reason: "by order"})
		check(t, run.Close(t.Context()))
		if inFolder(t, old, canary) == 0 {
			t.Log("the engine has compacted its files already")
		}
		to, fresh := open()
		copied(t, from, to)
		if n := inFolder(t, fresh, canary); n > 0 || inFolder(t, fresh, kept) == 0 {
			t.Errorf("the text is in the new files %d times, the other one %d times", n, inFolder(t, fresh, kept))
		}
		same(t, from, to)
	})
}

// inFolder counts a text in all files of a directory.
func inFolder(t *testing.T, dir, text string) (n int) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		n += bytes.Count(b, []byte(text))
		return err
	}))
	return n
}
