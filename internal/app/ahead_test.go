package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// The server warns of streams that are ahead of the clock: once for all of them
// when it starts, once when somebody writes to one, and once when nobody has for a
// minute, however the time of day is set.
func TestStreamsAheadOfTheClock(t *testing.T) {
	clock := clocktest.Stopped(1_764_000_000_000_000)
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	states := newTroubles(log, clock)
	a := ahead{log: log, clock: clock, state: &states.ahead}
	logged := func() string { defer out.Reset(); return out.String() }
	s := memory.New("", memory.Options{})
	t.Cleanup(func() { _ = s.Close() })
	e := engine.New(engine.Options{Store: s, Codec: store.NewCodec(Kinds()), Clock: clock, Ahead: a.warn})
	defer func() { _ = e.Close(context.Background()) }()
	n := 0
	write := func(id int) {
		t.Helper()
		n++
		made := gotong.NewStream(thread.Name, fmt.Sprint("t", id))
		if _, err := e.Execute(t.Context(), gotong.Command{
			Stream: made, Type: thread.CmdCreate, Data: thread.Create{ScopeID: "rt05", Privacy: thread.Public}, RequestID: fmt.Sprint("r", n),
			Actor: gotong.Actor{UserID: "ani", Role: gotong.RoleUser},
		}); err != nil && gotong.CodeOf(err) != gotong.CodeConflict {
			t.Fatal(err)
		}
	}
	write(1)
	a.look(t.Context(), s)
	if text := logged(); text != "" {
		t.Errorf("nothing is ahead, and yet: %s", text)
	}
	clock.Step(48 * time.Hour)
	write(2)
	clock.Step(-24 * time.Hour)
	write(3)
	clock.Step(-24 * time.Hour)
	a.look(t.Context(), s)
	if text := logged(); !strings.Contains(text, "streams=2") || !strings.Contains(text, "farthest=thread/t2 ahead_ms=172800000") {
		t.Errorf("two streams are ahead: %s", text)
	}
	ended := 0 // the first time, nothing was ahead before
	for _, step := range clocktest.Steps() {
		clock.Pass(aheadRest)
		states.ahead.Over(t.Context())
		if text := logged(); strings.Count(text, "no stream is ahead") != ended {
			t.Errorf("after a minute: %s", text)
		}
		ended = 1
		for range 3 {
			write(2) // rejected, and logged all the same
		}
		for _, d := range step {
			clock.Step(d)
			write(2)
			clock.Step(-d)
			states.ahead.Over(t.Context())
		}
		if text := logged(); strings.Count(text, "ahead of this machine's clock") != 1 {
			t.Errorf("in a minute: %s", text)
		}
	}
}
