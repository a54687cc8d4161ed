package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/telemetry"
	"gotong.dev/gotong/internal/trouble"
)

// troubles are the states of the server as a whole; parts that notice one of their own log it.
type troubles struct {
	full, failed, away, clock, silent, refused, bus, ahead, mail trouble.State
}

const (
	fullRest   = 5 * time.Second // without a write that found no room
	awayRest   = 5 * time.Second // without a question that had no answer
	aheadRest  = time.Minute     // without a write to a stream that is ahead of the clock
	lookEvery  = 5 * time.Second // for states that nothing reports
	manyTokens = 100             // rejected within tokensIn
	tokensIn   = time.Minute
)

func newTroubles(log *slog.Logger, c clock.Clock) *troubles {
	state := func(level slog.Level, rest time.Duration, begins, ends string) trouble.State {
		return trouble.State{Log: log, Clock: c, Level: level, Rest: rest, Begins: begins, Ends: ends}
	}
	return &troubles{
		full:   state(slog.LevelError, fullRest, "the disk is full; writes are rejected, reads continue", "the disk has room again"),
		failed: state(slog.LevelError, 0, "storage failed; the server ends, and its next start recovers", ""),
		away:   state(slog.LevelError, awayRest, "the database cannot be read", "the database can be read again"),
		clock:  state(slog.LevelError, 0, "the clock is wrong; this node accepts no writes", "the clock is right again"),
		silent: state(slog.LevelError, 0, "this node is silent: it cannot read the newest commits and delivers nothing",
			"this node delivers again"),
		refused: state(slog.LevelWarn, tokensIn, "many tokens are rejected", "few tokens are rejected again"),
		bus: state(slog.LevelWarn, 0, "the bus is away; this node finds commits of other nodes by polling the store",
			"the bus works again"),
		ahead: state(slog.LevelWarn, aheadRest, "the newest event of a stream is ahead of this machine's clock; check the clock",
			"no stream is ahead of this machine's clock any more"),
		mail: state(slog.LevelWarn, 0, "mail cannot be sent", "mail is sent again"),
	}
}

// wrote notes the error of a write.
func (t *troubles) wrote(ctx context.Context, err error) {
	switch {
	case err == nil:
		t.full.Over(ctx)
	case errors.Is(err, store.ErrFull):
		t.full.Met(ctx, "cause", err)
	case errors.Is(err, store.ErrFailed):
		t.failed.Met(ctx, "cause", err)
	}
}

// asked notes the error of a question that every store can answer while it is reached. Delivery
// asks once a second.
func (t *troubles) asked(ctx context.Context, err error) {
	if !errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, store.ErrClosed) {
		t.away.Set(context.WithoutCancel(ctx), err != nil, "cause", err)
	}
}

// look looks for the states that nothing reports. rejected is how many tokens were rejected
// since the start.
func (t *troubles) look(ctx context.Context, silent int, rejected uint64, clockFault error) {
	t.silent.Set(ctx, silent > 0, "partitions", silent)
	t.clock.Set(ctx, clockFault != nil, "cause", clockFault)
	t.ahead.Over(ctx)
	t.refused.Set(ctx, rejected >= manyTokens, "rejected", rejected)
}

// faulty logs an error of delivery, which tries again: the states above are what operators need,
// unless it is a panic.
func (a *App) faulty(err error) {
	level := slog.LevelDebug
	if errors.Is(err, store.ErrFault) {
		level = slog.LevelError
	}
	a.log.Log(a.base, level, "delivery could not read the store", "cause", err)
}

// lookOut is the part that looks for troubles until ctx ends.
func (a *App) lookOut(ctx context.Context) error {
	var before []uint64 // the rejected tokens at the latest looks
	for clock.Pause(ctx, lookEvery) {
		n := a.rejected.Load()
		before = append(before, n)
		before = before[max(0, len(before)-1-int(tokensIn/lookEvery)):]
		var fault error
		if s, ok := a.bare.(interface{ ClockFault() error }); ok {
			fault = s.ClockFault()
		}
		a.troubles.look(ctx, a.hub.Stats().Silent, n-before[0], fault)
	}
	return nil
}

// WarnOfFiles warns if the server takes fewer sessions than it was given.
func WarnOfFiles(ctx context.Context, log *slog.Logger, sessions int) {
	limit := OpenFiles()
	if fit := SessionsWithin(limit, sessions); fit < sessions {
		log.WarnContext(ctx, "the limit of open files is too low for max-sessions, which is lowered; raise it (LimitNOFILE=, ulimit -n)",
			"limit", limit, "max_sessions", sessions, "lowered_to", fit)
	}
}

// filesBeside is how many files a server opens beside its sessions.
const filesBeside = 1000

// SessionsWithin returns how many sessions a server takes: at most wanted, and fewer if the
// limit of open files is low; files is that limit, 0 if it is unknown. A session beyond it
// would take a file from the store.
func SessionsWithin(files uint64, wanted int) int {
	if files == 0 {
		return wanted
	}
	return int(min(uint64(max(wanted, 0)), max(files-min(files, filesBeside), files/2))) //nolint:gosec // at most wanted
}

// verifications counts the tokens that are rejected, for the log too.
type verifications struct {
	*telemetry.Auth
	app *App
}

func (v verifications) Verified(result string) {
	if v.Auth.Verified(result); result == "refused" {
		v.app.rejected.Add(1)
	}
}
