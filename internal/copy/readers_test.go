package copy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// visits remembers for each stream the position of its last commit and of the
// one before, and makes a job for each commit.
func visits() []reader.Reader {
	key := func(c reader.Commit) gotong.Key {
		return gotong.Key{Collection: "visits", Owner: fmt.Sprint(c.Partition), Name: string(c.Events[0].Stream)}
	}
	return []reader.Reader{{
		Name: "visits", Collections: []string{"visits"},
		Needs: func(c reader.Commit) []gotong.Key { return []gotong.Key{key(c)} },
		Read: func(docs map[gotong.Key][]byte, run []reader.Commit) (s reader.Step, err error) {
			for _, c := range run {
				var last [2]uint64
				if body := docs[key(c)]; body != nil {
					err = json.Unmarshal(body, &last)
				}
				if c.Position == 2 {
					return s, errors.New("this position is skipped")
				}
				docs[key(c)], _ = json.Marshal([2]uint64{c.Position, last[0]})
				s.Changes = append(s.Changes, store.Change{Key: key(c), Body: docs[key(c)]})
				s.Jobs = append(s.Jobs, store.Job{Queue: "visits", ID: fmt.Sprint(c.Partition, c.Position)})
			}
			return s, err
		},
	}}
}

func readerOptions() logcopy.Options {
	o := options()
	o.Readers = visits()
	return o
}

// visited returns a sealed log and the documents of a reader. The reader stops
// before the end: left is how many thirds of each partition it has not read.
func visited(t *testing.T, left uint64) (store.Whole, map[gotong.Key]string) {
	t.Helper()
	s := sized(t, 300)
	ends, err := s.Positions(t.Context())
	check(t, err)
	if n := slices.Max(ends[:]); n/3*2 < 200 { // several pages of 100
		t.Fatalf("no partition has more than %d commits", n)
	}
	for p, end := range ends {
		stop := reader.Stop{Reader: "visits", Partition: gotong.Partition(p), Position: 2, Skipped: 1}
		body, err := json.Marshal(stop)
		check(t, err)
		key := gotong.Key{Collection: "reader", Owner: "stop", Name: fmt.Sprintf("visits %02d %020d", p, 2)}
		check(t, s.SetRegister(t.Context(), key, 0, body, 0))
		check(t, s.Advance(t.Context(), store.Step{Reader: "visits", Partition: gotong.Partition(p), To: end - left*(end/3)}))
	}
	err = reader.Remake(t.Context(), s, visits(), reader.Place{}, func(to reader.Place, changes []store.Change) error {
		at := ends[to.Partition] - left*(ends[to.Partition]/3)
		return s.Advance(t.Context(), store.Step{Reader: "visits", Partition: to.Partition, From: at, To: at, Changes: changes})
	})
	check(t, err)
	check(t, logcopy.Seal(t.Context(), s, "copied"))
	return s, ofReader(t, s)
}

func ofReader(t *testing.T, s store.Whole) map[gotong.Key]string {
	t.Helper()
	found := map[gotong.Key]string{}
	for after := ""; ; {
		rows, err := s.Rows(t.Context(), store.AllDocuments, after, 0)
		check(t, err)
		for _, d := range rows.Documents {
			if d.Key.Collection == "visits" {
				found[d.Key] = string(d.Body)
			}
		}
		if after = rows.Next; after == "" {
			return found
		}
	}
}

// A copy makes the documents of readers again, up to their cursors, and no jobs;
// also if any call to the target was the last of an earlier run.
func TestCopyMakesReadersDocumentsAgain(t *testing.T) {
	from, want := visited(t, 1)
	if len(want) < 20 {
		t.Fatalf("only %d documents", len(want))
	}
	source, err := logcopy.FromStore(t.Context(), from)
	check(t, err)
	for n, writes := 0, -1; ; n += 2 + later(n) {
		to := newMemory()
		target := &cut{to, n, n%2 == 0, 0}
		_, err := logcopy.Run(t.Context(), source, target, readerOptions())
		ended := err == nil
		if !ended && target.writes == writes { // the target is as it was after the kill before
			continue
		}
		if writes = target.writes; !ended {
			_, err = logcopy.Run(t.Context(), source, to, readerOptions())
			check(t, err)
		}
		if got := ofReader(t, to); !maps.Equal(got, want) {
			t.Fatalf("call %d: %v\nwant %v", n, got, want)
		}
		jobs, err := reader.Jobs(t.Context(), to, false, 0)
		check(t, err)
		for _, j := range jobs {
			if j.Queue == "visits" {
				t.Fatalf("call %d: a job was made: %+v", n, j)
			}
		}
		if ended {
			return
		}
	}
}

// The comparison reports each document of a reader that is missing, changed or
// one too many. The reader has read everything: until it has passed an erasure, some
// differences are none.
func TestComparisonCoversReadersDocuments(t *testing.T) {
	from, want := visited(t, 0)
	source, err := logcopy.FromStore(t.Context(), from)
	check(t, err)
	some := func() (key gotong.Key) {
		for key = range want {
			break
		}
		return key
	}
	for name, change := range map[string]store.Change{
		"differs":    {Key: some(), Body: []byte(`[1,2,3]`)},
		"is missing": {Key: some()},
		"exists":     {Key: gotong.Key{Collection: "visits", Owner: "x", Name: "x"}, Body: []byte(`[1,1]`)},
	} {
		to := newMemory()
		_, err := logcopy.Run(t.Context(), source, to, readerOptions())
		check(t, err)
		_, err = logcopy.Verify(t.Context(), source, to, readerOptions())
		check(t, err)
		check(t, to.Advance(t.Context(), store.Step{Reader: "other", Changes: []store.Change{change}}))
		if _, err = logcopy.Verify(t.Context(), source, to, readerOptions()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
