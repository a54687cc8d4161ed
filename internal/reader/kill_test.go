package reader

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/storetest"
)

// killedDatabase names the variable with the database of the child process.
const killedDatabase = "GOTONG_TEST_KILLED"

// node is a database with readers and a handler whose effect is a commit.
type node struct {
	*testing.T
	s *sqlite.Store
	r *Runner
}

func newNode(t *testing.T, path string, did func()) *node {
	t.Helper()
	readers := []Reader{tally("a", "as", nil), tally("b", "bs", nil)}
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Collections: Collections(readers), Now: clock.System().Now})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{T: t, s: s}
	handler := Handler{Queue: "a", Run: func(_ context.Context, job store.Job) (Result, error) {
		err := n.commit(storetest.Draft{Stream: effectOf(job.ID), RequestID: RequestID("effect", job.ID), Events: 1})
		did()
		return Done, err
	}}
	n.r, err = New(Options{Store: s, Clock: clock.System(), Log: slog.New(slog.DiscardHandler)}, readers, []Handler{handler})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func effectOf(job string) gotong.Stream { return gotong.Stream("effect/" + job) }

func (n *node) commit(d storetest.Draft) error {
	c := storetest.Build(n.s.Epoch(), d)
	out, err := store.CommitAll(context.Background(), n.s, []store.Commit{c})
	switch {
	case err != nil:
		return err
	case out[0].Status == store.Committed:
		c.Events[0].Position = out[0].Record.Position
		n.r.Committed(c.Events)
	case out[0].Status != store.Replayed:
		n.Errorf("%s: %+v", d.Stream, out)
	}
	return nil
}

// TestKilledChild is the process that is killed; by itself it does nothing.
func TestKilledChild(t *testing.T) {
	path := os.Getenv(killedDatabase)
	if path == "" {
		t.Skip("it serves TestReadersAndJobsSurviveKills")
	}
	n := newNode(t, path, func() { fmt.Println("did a job") })
	var group sync.WaitGroup
	group.Go(func() { _ = n.r.Run(t.Context()) })
	for i := range 4 {
		group.Go(func() {
			for {
				if err := n.commit(storetest.Draft{Stream: gotong.Stream("thread/" + rand.Text()), Home: homeIn(i), Events: 1}); err != nil {
					t.Error(err)
				}
				fmt.Println("made a commit")
			}
		})
	}
	group.Wait()
}

// A node is killed again and again while it commits, reads and runs jobs: no
// commit is missed or counted twice, and each job has its effect.
func TestReadersAndJobsSurviveKills(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	for round := range 6 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledChild$")
		child.Env = append(os.Environ(), killedDatabase+"="+path)
		out, err := child.StdoutPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		jobs, lines := 0, bufio.NewScanner(out)
		for jobs < 1+3*round && lines.Scan() {
			if lines.Text() == "did a job" {
				jobs++
			}
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // it was killed
		if jobs < 1+3*round {
			t.Fatalf("round %d: the child ended after %d jobs", round, jobs)
		}
	}
	n := newNode(t, path, func() {})
	defer func() { _ = n.s.Close() }()
	n.settle()
}

// settle runs the node until no commit and no job waits, and compares.
func (n *node) settle() {
	ctx, cancel := context.WithCancel(n.Context())
	defer cancel()
	// Nobody waits for the leases of the children: their clock is set on.
	later := jumped{clock.System(), term}
	n.r.opt.Clock = later
	var group sync.WaitGroup
	group.Go(func() { _ = n.r.Run(ctx) })
	for {
		list, err := List(ctx, n.s, n.r.readers)
		if err != nil {
			n.Fatal(err)
		}
		jobs, err := Jobs(ctx, n.s, false, 0)
		if err != nil {
			n.Fatal(err)
		}
		waits := 0
		for _, j := range jobs {
			if j.Queue == "a" {
				waits++
			}
		}
		for _, s := range list {
			if s.Cursor != s.End {
				waits++
			}
		}
		if waits == 0 {
			break
		}
		pause(ctx, 10*time.Millisecond, nil)
	}
	cancel()
	group.Wait()
	w := &world{T: n.T, s: storetest.NewFaulty(n.s)}
	ends, err := n.s.Positions(n.Context())
	w.check(err)
	need := store.Need{}
	for p, end := range ends {
		for at := uint64(2); at <= end; at += 2 {
			id := fmt.Sprintf("%02d/%d", p, at)
			need.Heads = append(need.Heads, effectOf(id))
			// for the comparison of jobs
			w.check(n.s.Advance(n.Context(), store.Step{Reader: "x", Jobs: []store.Job{{Queue: "a", ID: id}}}))
		}
	}
	snap, err := n.s.Load(n.Context(), need)
	w.check(err)
	for _, stream := range need.Heads {
		if snap.Heads[stream].Seq != 1 {
			n.Errorf("%s has %d events", stream, snap.Heads[stream].Seq)
		}
	}
	if len(need.Heads) < 20 {
		n.Errorf("only %d jobs", len(need.Heads))
	}
	w.tallied("a", "as", nil)
	w.tallied("b", "bs", nil)
}

// jumped is a clock whose time of day is ahead.
type jumped struct {
	clock.Clock
	by time.Duration
}

func (j jumped) Now() gotong.Instant { return j.Clock.Now().Add(j.by) }
