package copy_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/store"
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

// TestRehearsal: from one machine up to the database, over to its other line,
// and back: SQLite, 3.x, 2.6.x, SQLite. The log and its documents are the same
// on each, and at the end the log accepts writes.
func TestRehearsal(t *testing.T) {
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
				func() *noted { return onSurreal(t, surrealtest.V3) },
				func() *noted { return onSurreal(t, surrealtest.V2) },
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
			if v.decided["user.register"] == 0 {
				t.Error("the log does not go on")
			}
		})
	}
}

// TestKilledOnSurreal: an interrupted copy is resumed, on each engine.
func TestKilledOnSurreal(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		want := small(t)
		to := onSurreal(t, e)
		for n := 3; ; n += 5 {
			err := run(t.Context(), want, &cut{to, n, n%2 == 0})
			if err == nil {
				break
			}
		}
		same(t, want, to)
		back := note(newMemory())
		source, err := logcopy.FromStore(t.Context(), to)
		check(t, err)
		if _, err = logcopy.Run(t.Context(), source, back, options()); err == nil {
			t.Error("copied from a store that is not sealed")
		}
	})
}
