package argon_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gotong.dev/gotong/internal/auth/argon"
)

// TestMain is the child too: its environment is empty, its argument is not.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == argon.Command {
		if argon.Serve(os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// salt is that of the tests.
var salt = []byte("a salt of a test")

var cheap = argon.Cost{MemoryKiB: 64, Time: 1, Threads: 1}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func pool(t *testing.T, program string) *argon.Pool {
	t.Helper()
	p := argon.NewPool(t.Context(), program, func(err error) { t.Error(err) })
	t.Cleanup(p.Close)
	return p
}

// The vector is of the argon2 reference implementation: echo -n password |
// argon2 somesalt -id -t 2 -m 16 -p 1 -l 32.
func TestKeyIsThatOfTheReference(t *testing.T) {
	for name, program := range map[string]string{"child": self(t), "this process": ""} {
		key := pool(t, program).Key(argon.Cost{MemoryKiB: 65536, Time: 2, Threads: 1}, "password", []byte("somesalt"), 32)
		if got := hex.EncodeToString(key); got != "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7" {
			t.Error(name, got)
		}
	}
}

func TestKeysOfManyCallersAreTheirOwn(t *testing.T) {
	p := pool(t, self(t))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 20 {
				pass := strconv.Itoa(i*100 + j)
				if got, want := p.Key(cheap, pass, salt, 32), cheap.Key(pass, salt, 32); !bytes.Equal(got, want) {
					t.Errorf("%s: %x, not %x", pass, got, want)
				}
			}
		})
	}
	all.Wait()
}

// A program that cannot start, ends at once, answers rubbish or answers too
// little keeps nobody from signing in.
func TestKeyWithoutAChildIsDerivedHere(t *testing.T) {
	want := cheap.Key("selokan", salt, 32)
	rubbish := filepath.Join(t.TempDir(), "rubbish")
	if err := os.WriteFile(rubbish, []byte("#!/bin/sh\necho rubbish\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"/does/not/exist", "/bin/false", "/bin/cat", rubbish} {
		reported := 0
		p := argon.NewPool(t.Context(), program, func(error) { reported++ })
		for range 3 {
			if got := p.Key(cheap, "selokan", salt, 32); !bytes.Equal(got, want) {
				t.Errorf("%s: %x", program, got)
			}
		}
		p.Close()
		if reported != 3 {
			t.Errorf("%s: %d reports", program, reported)
		}
	}
}

func TestKeyAfterTheEnd(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	p := argon.NewPool(ctx, self(t), func(err error) { t.Error(err) })
	want := p.Key(cheap, "selokan", salt, 32)
	stop() // kills the idle child
	if got := p.Key(cheap, "selokan", salt, 32); !bytes.Equal(got, want) {
		t.Errorf("%x", got)
	}
	p.Close()
	if got := p.Key(cheap, "selokan", salt, 32); !bytes.Equal(got, want) {
		t.Errorf("%x", got)
	}
}

// A child that does not end with its input, because it is stopped, does not
// delay the end of the pool, and a program that answers rubbish and goes on
// keeps nobody from signing in.
func TestAChildThatDoesNotEndIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc, which Linux alone has")
	}
	lingers := filepath.Join(t.TempDir(), "lingers")
	// No number of gob begins with this byte.
	if err := os.WriteFile(lingers, []byte("#!/bin/sh\nprintf '\\200'\nexec sleep 120\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		reported := 0
		bad := argon.NewPool(t.Context(), lingers, func(error) { reported++ })
		bad.Key(cheap, "selokan", salt, 32)
		bad.Close()
		if reported != 1 {
			t.Errorf("%d reports", reported)
		}
		good := argon.NewPool(t.Context(), self(t), func(err error) { t.Error(err) })
		good.Key(cheap, "selokan", salt, 32)
		pid, err := strconv.Atoi(childOf(t, os.Getpid()))
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGSTOP)
		}
		if err != nil {
			t.Error(err)
		}
		good.Close()
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute): // the bound of a hang
		t.Fatal("a child is still waited for")
	}
}

// reaped waits until no child of the pool is left, not even as a zombie.
func reaped(t *testing.T, p *argon.Pool) {
	t.Helper()
	done := make(chan struct{})
	go func() { p.Reaped(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute): // the bound of a hang
		t.Fatal("a child is still there")
	}
	if idle := p.Idle(); len(idle) > 0 {
		t.Errorf("children %d count as free", idle)
	}
}

// A child serves one hash after the other, and ends by itself when it had no
// work for the time for which it is kept.
func TestAChildWithoutWorkEnds(t *testing.T) {
	if argon.Keep != time.Minute {
		t.Errorf("a child is kept for %s", argon.Keep)
	}
	p := argon.NewPoolKeeping(t.Context(), self(t), func(err error) { t.Error(err) }, time.Hour)
	t.Cleanup(p.Close)
	p.Key(cheap, "selokan", salt, 32)
	first := p.Idle()
	p.Key(cheap, "selokan", salt, 32)
	if second := p.Idle(); len(first) != 1 || !slices.Equal(first, second) {
		t.Errorf("children %d, then %d", first, second)
	}
	short := argon.NewPoolKeeping(t.Context(), self(t), func(err error) { t.Error(err) }, time.Millisecond)
	t.Cleanup(short.Close)
	for range 2 {
		short.Key(cheap, "selokan", salt, 32)
		reaped(t, short)
	}
}

// A child that dies while it is free is reaped at once and missed by nobody.
func TestAFreeChildThatDiesIsReaped(t *testing.T) {
	p := pool(t, self(t))
	for range 3 {
		p.Key(cheap, "selokan", salt, 32)
		idle := p.Idle()
		if len(idle) != 1 {
			t.Fatalf("children %d", idle)
		}
		if err := syscall.Kill(idle[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		reaped(t, p)
		if err := syscall.Kill(idle[0], 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("the process of the child: %v", err)
		}
	}
}

// A child that is killed in the middle of a hash keeps nobody from signing in,
// and another one takes its place.
func TestAChildKilledAtWorkIsReplaced(t *testing.T) {
	once := filepath.Join(t.TempDir(), "once")
	script := fmt.Sprintf("#!/bin/sh\nif [ ! -e %[1]s.ran ]; then : >%[1]s.ran; read -r x; kill -9 $$; fi\nexec %[2]s %[3]s\n",
		once, self(t), argon.Command)
	if err := os.WriteFile(once, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	var failures []error
	p := argon.NewPool(t.Context(), once, func(err error) { failures = append(failures, err) })
	t.Cleanup(p.Close)
	for i, pass := range []string{"selo\nkan", "another"} { // the child reads a line, and is killed
		if got, want := p.Key(cheap, pass, salt, 32), cheap.Key(pass, salt, 32); !bytes.Equal(got, want) {
			t.Errorf("%x, not %x", got, want)
		}
		if len(failures) != 1 || len(p.Idle()) != i {
			t.Errorf("after hash %d: children %d, failures %v", i+1, p.Idle(), failures)
		}
	}
}

// All threads of a child have the low priority, and its environment holds
// nothing of the server's.
func TestChildHasLowPriorityAndNoSecrets(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc, which Linux alone has")
	}
	t.Setenv("GOTONG_SIGNING_KEY", "a secret of a test")
	p := pool(t, self(t))
	p.Key(cheap, "selokan", []byte("a salt of a test"), 32)
	pid := childOf(t, os.Getpid())
	env, err := os.ReadFile("/proc/" + pid + "/environ")
	if err != nil || string(env) != "GOMAXPROCS=1\x00" {
		t.Errorf("%q, %v", env, err)
	}
	threads, err := filepath.Glob("/proc/" + pid + "/task/*/stat")
	if err != nil || len(threads) == 0 {
		t.Fatal(threads, err)
	}
	for _, thread := range threads {
		if field := statOf(t, thread); field[18-2] != "10" { // nice is field 19; comm, field 2, is cut off
			t.Errorf("%s: nice %s", thread, field[18-2])
		}
	}
}

// childOf returns the only child of a process.
func childOf(t *testing.T, parent int) string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if b, err := os.ReadFile(path); err == nil { // else it has ended
			if f := fields(b); len(f) > 1 && f[1] == strconv.Itoa(parent) {
				return filepath.Base(filepath.Dir(path))
			}
		}
	}
	t.Fatal("no child")
	return ""
}

func statOf(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fields(b)
}

// fields returns those of a stat file after the name of the program, from the
// state, field 3, on; the name may hold spaces.
func fields(stat []byte) []string {
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.Fields(rest)
}
