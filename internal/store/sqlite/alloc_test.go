//go:build !race

package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// commitAllocs is how many objects the commit of one event may make, from its
// submission to its outcome.
const commitAllocs = 9

// What a commit allocates does not depend on the machine, and is kept from
// creeping up.
func TestAllocationsOfACommit(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	m := storetest.NewMaker(s.Epoch())
	const runs = 300
	commits := make([][1]store.Commit, 0, runs+2)
	for range cap(commits) {
		commits = append(commits, [1]store.Commit{m.Next(storetest.Draft{Stream: gotong.Stream("thing/1"), Events: 1})})
	}
	answered := make(chan error, 1)
	done := func(out []store.Outcome, err error) {
		if err == nil && out[0].Status != store.Committed {
			t.Errorf("%+v", out[0])
		}
		answered <- err
	}
	next := 0
	commit := func() {
		s.Submit(context.Background(), commits[next][:], func([]store.Outcome) {}, done)
		next++
		check(t, <-answered)
	}
	commit() // the first one of its stream
	got := testing.AllocsPerRun(runs, commit)
	if got > commitAllocs {
		t.Errorf("a commit makes %v objects, at most %d are allowed", got, commitAllocs)
	}
	t.Logf("%v objects per commit", got)
}
