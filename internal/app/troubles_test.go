package app

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/logtest"
	"gotong.dev/gotong/internal/store"
)

// failing is a store whose writes and questions have this error.
type failing struct {
	store.Store
	err error
}

func (f *failing) Submit(_ context.Context, _ []store.Commit, _ func([]store.Outcome), done func([]store.Outcome, error)) {
	done(nil, f.err)
}

func (f *failing) SetRegister(context.Context, gotong.Key, uint64, []byte, gotong.Instant) error {
	return f.err
}

func (f *failing) Positions(context.Context) (p [gotong.Partitions]uint64, err error) {
	return p, f.err
}

// TestTroubles: each state logs one line when it begins and one when it has ended, however often
// it is met, and begins again afterwards.
func TestTroubles(t *testing.T) {
	for name, c := range map[string]struct {
		begins, ends string
		level        slog.Level
		set          func(ctx context.Context, t *troubles, w *watchful, on bool)
	}{
		"disk full": {"the disk is full", "the disk has room again", slog.LevelError, wrote(store.ErrFull)},
		"database lost": {"the database cannot be read", "the database can be read again", slog.LevelError,
			func(ctx context.Context, _ *troubles, w *watchful, on bool) {
				w.Store.(*failing).err = nil
				if on {
					w.Store.(*failing).err = errors.New("refused")
				}
				_, _ = w.Positions(ctx)
			}},
		"clock": {"the clock is wrong", "the clock is right again", slog.LevelError,
			func(ctx context.Context, t *troubles, _ *watchful, on bool) {
				t.look(ctx, 0, 0, map[bool]error{true: store.ErrClock}[on])
			}},
		"silent": {"this node is silent", "this node delivers again", slog.LevelError,
			func(ctx context.Context, t *troubles, _ *watchful, on bool) {
				t.look(ctx, map[bool]int{true: 3}[on], 0, nil)
			}},
		"tokens": {"many tokens are rejected", "few tokens are rejected again", slog.LevelWarn,
			func(ctx context.Context, t *troubles, _ *watchful, on bool) {
				t.look(ctx, 0, map[bool]uint64{true: manyTokens, false: manyTokens - 1}[on], nil)
			}},
		"ahead": {"the newest event of a stream is ahead", "no stream is ahead", slog.LevelWarn,
			func(ctx context.Context, t *troubles, _ *watchful, on bool) {
				if on {
					t.ahead.Met(ctx)
				}
				t.look(ctx, 0, 0, nil)
			}},
		"bus": {"the bus is away", "the bus works again", slog.LevelWarn,
			func(ctx context.Context, t *troubles, _ *watchful, on bool) { t.bus.Set(ctx, on) }},
	} {
		t.Run(name, func(t *testing.T) {
			var out logtest.Lines
			clock := clocktest.Stopped(0)
			states := newTroubles(slog.New(slog.NewJSONHandler(&out, nil)), clock)
			w := &watchful{Store: &failing{}, wrote: states.wrote, asked: states.asked}
			for round := 1; round <= 2; round++ {
				for range 3 {
					c.set(t.Context(), states, w, true)
					clock.Pass(time.Second)
				}
				begun := out.Count(`"level":"` + c.level.String() + `","msg":"` + c.begins)
				clock.Pass(time.Hour)
				for range 3 {
					c.set(t.Context(), states, w, false)
					clock.Pass(time.Second)
				}
				ended := out.Count(`"level":"WARN","msg":"` + c.ends)
				if lines := strings.Count(out.String(), "\n"); begun != round || ended != round || lines != 2*round || out.Count(`"took_ms":3603000`) != round {
					t.Fatalf("round %d: begun %d, ended %d, of %d lines:\n%s", round, begun, ended, lines, out.String())
				}
			}
		})
	}
}

func wrote(err error) func(context.Context, *troubles, *watchful, bool) {
	return func(ctx context.Context, _ *troubles, w *watchful, on bool) {
		w.Store.(*failing).err = nil
		if on {
			w.Store.(*failing).err = err
		}
		w.Submit(ctx, nil, nil, func([]store.Outcome, error) {})
		_ = w.SetRegister(ctx, gotong.Key{}, 0, nil, 0)
	}
}

// TestTroubleThatComesAndGoes: a disk that is almost full takes some writes between those that
// it rejects; this is one state.
func TestTroubleThatComesAndGoes(t *testing.T) {
	var out logtest.Lines
	clock := clocktest.Stopped(0)
	states := newTroubles(slog.New(slog.NewJSONHandler(&out, nil)), clock)
	for range 100 {
		states.wrote(t.Context(), store.ErrFull)
		clock.Pass(fullRest - 1)
		states.wrote(t.Context(), nil)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	clock.Pass(1)
	if states.wrote(t.Context(), nil); out.Count("has room again") != 1 {
		t.Error(out.String())
	}
}

// TestStorageFailedIsLoggedOnce: it never ends, and later writes say nothing new.
func TestStorageFailedIsLoggedOnce(t *testing.T) {
	var out logtest.Lines
	states := newTroubles(slog.New(slog.NewJSONHandler(&out, nil)), clocktest.Stopped(0))
	w := &watchful{Store: &failing{err: store.ErrFailed}, wrote: states.wrote}
	for range 3 {
		w.Submit(t.Context(), nil, nil, func([]store.Outcome, error) {})
	}
	w.stop(store.ErrFailed)
	w.Submit(t.Context(), nil, nil, func([]store.Outcome, error) {})
	if n := out.Count("storage failed; the server ends"); n != 1 || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%d:\n%s", n, out.String())
	}
}

// TestSessionsWithin: sessions leave files to the store and to requests, however few there are.
func TestSessionsWithin(t *testing.T) {
	for _, c := range []struct {
		files        uint64
		wanted, take int
	}{
		{0, 20_000, 20_000}, {1<<64 - 1, 20_000, 20_000}, {21_000, 20_000, 20_000}, {20_000, 20_000, 19_000}, {1024, 20_000, 512}, {1024, 10, 10},
	} {
		if n := SessionsWithin(c.files, c.wanted); n != c.take {
			t.Errorf("%d of %d with %d files", n, c.wanted, c.files)
		}
	}
	if OpenFiles() == 0 {
		return // this system has no limit to warn of
	}
	for sessions, lines := range map[int]int{1: 0, math.MaxInt: 1} {
		log := &logtest.Lines{}
		WarnOfFiles(t.Context(), slog.New(slog.NewJSONHandler(log, nil)), sessions)
		if n := log.Count("the limit of open files is too low"); n != lines {
			t.Errorf("%d lines for %d sessions, want %d", n, sessions, lines)
		}
	}
}
