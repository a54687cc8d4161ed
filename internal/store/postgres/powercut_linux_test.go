package postgres

import (
	"errors"
	"flag"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/storetest"
)

var (
	powerCuts = flag.Int("powercuts", 0, "how often TestPowerCut cuts the power (make soak)")
	fsyncOff  = flag.Bool("fsync-off", false, "TestPowerCut has a server that does not sync, and fails")
)

// powered is a file system of its own for a server, whose power can be cut: what was
// not synced is lost then, as from a kernel that stops. The disk below it loses
// nothing that the kernel has written to it.
type powered struct {
	t          *testing.T
	image, dir string
}

func newPowered(t *testing.T) *powered {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("not root, and CI must cut the power")
		}
		t.Skip("NOT TESTED: to cut the power, root has to mount a file system")
	}
	root, err := os.MkdirTemp("", "powercut") //nolint:usetesting // another user must be able to enter it
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(root)) })
	check(t, os.Chmod(root, 0o755))
	p := &powered{t: t, image: filepath.Join(root, "disk"), dir: filepath.Join(root, "mounted")}
	check(t, os.WriteFile(p.image, nil, 0o600))
	check(t, os.Truncate(p.image, 1<<30))
	p.run("mkfs.ext4", "-q", "-F", p.image)
	check(t, os.Mkdir(p.dir, 0o755))
	p.mount()
	t.Cleanup(p.unmount)
	return p
}

func (p *powered) run(name string, args ...string) {
	p.t.Helper()
	if out, err := osexec.CommandContext(p.t.Context(), name, args...).CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (p *powered) mount() {
	p.t.Helper()
	p.run("mount", "-o", "loop", p.image, p.dir)
	check(p.t, os.Chmod(p.dir, 0o777))
}

// unmount waits for the processes of a server that are still ending.
func (p *powered) unmount() {
	p.t.Helper()
	limit, again := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for {
		err := unix.Unmount(p.dir, 0)
		if !errors.Is(err, unix.EBUSY) {
			check(p.t, err)
			return
		}
		select {
		case <-again.C:
		case <-limit:
			p.t.Fatal(err)
		}
	}
}

// sync writes everything to the disk.
func (p *powered) sync() { p.run("sync", "-f", p.dir) }

const (
	shutdown   = 0x8004587d // EXT4_IOC_SHUTDOWN
	noLogFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH: at once, without what the journal holds
)

// cut stops the file system. Nothing reaches the disk from now on.
func (p *powered) cut() {
	p.t.Helper()
	dir, err := os.Open(p.dir)
	check(p.t, err)
	check(p.t, unix.IoctlSetPointerInt(int(dir.Fd()), shutdown, noLogFlush))
	_ = dir.Close()
}

// TestPowerCut cuts the power of a server again and again while commits are made:
// every commit that was acknowledged before is there, once, and every chain holds.
func TestPowerCut(t *testing.T) {
	if *powerCuts == 0 {
		t.Skip("only with -powercuts: see make soak")
	}
	disk := newPowered(t)
	postgrestest.Start(t).Kill() // its template is not on the disk
	t.Setenv("TMPDIR", disk.dir)
	args := []string{"-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB", "-c", "checkpoint_timeout=30s"}
	if *fsyncOff {
		args = append(args, "-c", "fsync=off")
	}
	server := postgrestest.Start(t, args...)
	address := server.Schema()
	disk.sync()
	acked := map[gotong.Stream]uint64{}
	for n := range *powerCuts {
		s, err := Open(t.Context(), address, Options{Servers: primary.Options{Unsafe: *fsyncOff}})
		check(t, err)
		if n == 0 {
			disk.sync() // the empty log; what is lost are commits
		}
		ended := commitUntilCut(t, s, disk, n, acked)
		server.Kill()
		disk.unmount()
		disk.mount()
		server.Restart()
		ended()
		check(t, s.Close())
		s, err = Open(t.Context(), address, Options{Servers: primary.Options{Unsafe: *fsyncOff}})
		check(t, err)
		for stream, least := range acked {
			intact(t, s, stream, least)
		}
		check(t, s.Close())
		if t.Failed() {
			t.Fatalf("after %d cuts", n+1)
		}
	}
	total := uint64(0)
	for _, n := range acked {
		total += n
	}
	t.Logf("%d cuts, %d commits were acknowledged: none is missing, and every chain holds", *powerCuts, total)
}

// commitUntilCut commits to streams of this cut and cuts the power in the midst of it.
// It notes how many commits of each stream were acknowledged before. Those under way
// are repeated until the server is back; ended waits for them.
func commitUntilCut(t *testing.T, s *Store, disk *powered, n int, acked map[gotong.Stream]uint64) (ended func()) {
	t.Helper()
	const enough = 50 // commits before a cut
	var mu sync.Mutex
	var running sync.WaitGroup
	tick, cut := make(chan struct{}, 8*enough), make(chan struct{})
	for i := range 8 {
		stream := gotong.Stream(fmt.Sprint("thread/", n, "-", i))
		running.Go(func() {
			m := storetest.NewMaker(s.Epoch())
			for {
				out, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(storetest.Draft{Stream: stream, Events: 1})})
				mu.Lock()
				select {
				case <-cut:
					mu.Unlock()
					return // later ones may be lost
				default:
				}
				if err != nil || out[0].Status != store.Committed {
					t.Errorf("commit: %+v %v", out, err)
					mu.Unlock()
					return
				}
				acked[stream]++
				mu.Unlock()
				select {
				case tick <- struct{}{}:
				default:
				}
			}
		})
	}
	for range enough + n%7 {
		<-tick
	}
	mu.Lock()
	disk.cut()
	close(cut)
	mu.Unlock()
	return running.Wait
}

// intact reads a stream to its end. Each commit to it has one event.
func intact(t *testing.T, s *Store, stream gotong.Stream, least uint64) {
	t.Helper()
	var prev gotong.Hash
	var seen uint64
	for {
		snap, err := s.Load(t.Context(), store.Need{
			Heads: []gotong.Stream{stream}, Events: []store.EventRange{{Stream: stream, From: seen, To: seen + 100}},
		})
		check(t, err)
		for _, e := range snap.Events[0] {
			if seen++; e.Seq != seen || e.Prev != prev || e.Header(s.Epoch()).Chain() != e.Chain {
				t.Fatalf("%s: event %d does not follow event %d", stream, e.Seq, seen-1)
			}
			prev = e.Chain
		}
		if len(snap.Events[0]) > 0 {
			continue
		}
		if head := snap.Heads[stream]; head.Seq != seen || seen < least {
			t.Errorf("%s ends at %d, its head is %d, and %d commits were acknowledged", stream, seen, head.Seq, least)
		}
		return
	}
}

// TestPowerCutFindsALostWrite: with fsync off, acknowledged commits are lost, and
// TestPowerCut fails.
func TestPowerCutFindsALostWrite(t *testing.T) {
	if *powerCuts == 0 {
		t.Skip("only with -powercuts: see make soak")
	}
	newPowered(t)
	out, err := osexec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPowerCut$", "-test.v", "-powercuts=3", "-fsync-off").CombinedOutput()
	var e *osexec.ExitError
	if !errors.As(err, &e) || !strings.Contains(string(out), "commits were acknowledged\n") && !strings.Contains(string(out), "postgres ended") {
		t.Errorf("without syncs: %v\n%s", err, out)
	}
	t.Logf("with fsync=off:\n%s", out)
}
