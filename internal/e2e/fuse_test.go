package e2e_test

import (
	"bufio"
	"context"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/store"
)

// What a server in a process of its own gets besides its data: further tracks for
// cases, how far its clock is ahead, and where it is killed.
const (
	tracksEnv = "GOTONG_E2E_TRACKS"
	aheadEnv  = "GOTONG_E2E_AHEAD"
	fuseEnv   = "GOTONG_E2E_FUSE"
)

// fuse is a store whose process is killed at one of its writes: before the write
// or after it, but always before the caller learns of it. A write is named by what
// it does and to what: "commit transition.voted", "settle transition.close".
type fuse struct {
	store.Whole
	name  string
	after bool
	left  atomic.Int64 // so many of these writes until the one that kills
}

// fused returns the store with the fuse that the environment names, such as
// "after 2 commit transition.voted".
func fused(s store.Whole) store.Whole {
	words := strings.SplitN(os.Getenv(fuseEnv), " ", 3)
	f := &fuse{Whole: s, name: words[2], after: words[0] == "after"}
	nth, _ := strconv.ParseInt(words[1], 10, 64)
	f.left.Store(nth)
	return f
}

// burn kills the process if this is the write and the moment.
func (f *fuse) burn(name string, after bool) {
	if name == f.name && after == f.after && f.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (f *fuse) all(names []string, after bool) {
	for _, name := range names {
		f.burn(name, after)
	}
}

func (f *fuse) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	var names []string
	for i := range batch {
		for k := range batch[i].Events {
			names = append(names, "commit "+batch[i].Events[k].Type)
		}
	}
	f.all(names, false)
	f.Whole.Submit(ctx, batch, func(out []store.Outcome) { // before any reader learns of it
		f.all(names, true)
		if announce != nil {
			announce(out)
		}
	}, done)
}

func (f *fuse) Advance(ctx context.Context, steps ...store.Step) error {
	var names []string
	for i := range steps {
		for _, job := range steps[i].Jobs {
			names = append(names, "make "+commandOf(job))
		}
	}
	f.all(names, false)
	err := f.Whole.Advance(ctx, steps...)
	f.all(names, true)
	return err
}

func (f *fuse) ClaimJobs(ctx context.Context, queue string, now, lease gotong.Instant, limit int) ([]store.Job, error) {
	jobs, err := f.Whole.ClaimJobs(ctx, queue, now, lease, limit)
	for _, job := range jobs {
		f.burn("claim "+commandOf(job), true)
	}
	return jobs, err
}

func (f *fuse) SettleJob(ctx context.Context, job store.Job, next *store.Job) error {
	name := "settle " + commandOf(job)
	f.burn(name, false)
	err := f.Whole.SettleJob(ctx, job, next)
	f.burn(name, true)
	return err
}

// commandOf returns the command that a timer's job issues.
func commandOf(job store.Job) string {
	var order struct {
		Type string `json:"type"`
	}
	_ = unmarshal(string(job.Body), &order)
	return order.Type
}

// leading returns a clock that is ahead as the environment says, and from then on
// as each line of standard input says, in nanoseconds.
func leading(in *bufio.Scanner) (c *clocktest.Clock, follow func()) {
	c, ahead := clocktest.Running(), int64(0)
	set := func(text string) {
		if to, err := strconv.ParseInt(text, 10, 64); err == nil && to > ahead {
			c.Pass(time.Duration(to - ahead))
			ahead = to
		}
	}
	set(os.Getenv(aheadEnv))
	return c, func() {
		for in.Scan() {
			set(in.Text())
		}
		os.Exit(3)
	}
}
