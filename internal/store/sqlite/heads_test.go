package sqlite

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
	"gotong.dev/gotong/internal/store/storetest"
	"zombiezen.com/go/sqlite"
)

// TestSnapshotOfHeads: what a read says of heads and positions is of the moment
// at which it began, whatever was committed just before and since, and whether
// the cache holds the stream or not.
func TestSnapshotOfHeads(t *testing.T) {
	for _, cached := range []int{generation, 1} {
		s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
		s.writer.tip.heads.most = cached
		m := storetest.NewMaker(s.Epoch())
		stream := func(i int) gotong.Stream { return gotong.Stream(fmt.Sprint("thread/", i)) }
		commit := func(i int) {
			t.Helper()
			commitOne(t, s, m, storetest.Draft{Stream: stream(i), Home: "group/g", Events: 1 + i%2})
		}
		home := gotong.PartitionOf("group/g")
		expect := func(when string, r *reading, position uint64, seqs ...uint64) {
			t.Helper()
			if got := r.positions[home]; got != position {
				t.Errorf("%s, %d cached: position %d, want %d", when, cached, got, position)
			}
			for i, want := range seqs {
				if h, err := r.head(stream(i)); err != nil || h.Seq != want || want > 0 && h.Home != "group/g" {
					t.Errorf("%s, %d cached: head of %s is %+v (%v), want %d", when, cached, stream(i), h, err, want)
				}
			}
		}
		for i := range 3 {
			commit(i)
		}
		check(t, s.read(t.Context(), func(r *reading) error {
			commit(0)
			commit(3)
			expect("committed since it began", r, 3, 1, 2, 1, 0)
			return nil
		}))
		tip := &s.writer.tip
		ends, cache := tip.ends, tip.heads
		cache.young, cache.old = maps.Clone(cache.young), maps.Clone(cache.old)
		commit(1)
		commit(3)
		commit(4)
		now, full := tip.ends, tip.heads
		begins := func(when string) {
			t.Helper()
			check(t, s.read(t.Context(), func(r *reading) error { expect(when, r, 8, 2, 4, 1, 4, 1); return nil }))
		}
		tip.ends, tip.heads = ends, cache
		begins("committed, but not yet announced to readers")
		tip.ends, tip.heads = ends, full
		begins("committed while it waited to begin")
		tip.ends = now
		begins("at rest")
	}
}

// TestDamagedHead: nothing is chained to an event that was damaged in the file.
// Other commits of the same transaction are not affected, and the events before
// it are served.
func TestDamagedHead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 2})
	check(t, s.Close())
	check(t, outside(t, path, "DROP TRIGGER events_never_changed; UPDATE events SET chain = zeroblob(32) WHERE seq = 2"))
	s = opened(t, path)
	snap, err := s.Load(t.Context(), store.Need{Events: []store.EventRange{{Stream: "thread/a", To: 9}}, Heads: []gotong.Stream{"thread/a"}})
	if err != nil || len(snap.Events[0]) != 1 {
		t.Fatalf("the event before it: %+v %v", snap.Events, err)
	}
	release := make(chan struct{})
	s.queue.Submit(t.Context(), &store.Work[op]{What: func(*writer) error { <-release; return nil }, Done: func(error) {}})
	bad, good := make(chan error, 1), make(chan error, 1)
	answer := func(to chan error) func([]store.Outcome, error) {
		return func(out []store.Outcome, err error) {
			if err == nil && out[0].Status != store.Committed {
				err = fmt.Errorf("outcome %+v", out[0])
			}
			to <- err
		}
	}
	forged := m.Next(storetest.Draft{Stream: "thread/a", Events: 1})
	forged.Prev = snap.Heads["thread/a"]
	forged.Events[0].Prev = forged.Prev.Chain
	s.Submit(t.Context(), []store.Commit{m.Next(storetest.Draft{Stream: "thread/b", Events: 1})}, nil, answer(good))
	s.Submit(t.Context(), []store.Commit{m.Next(storetest.Draft{Stream: "thread/c", Events: 1}), forged}, nil, answer(bad))
	close(release)
	if err := <-good; err != nil {
		t.Errorf("another commit of the transaction: %v", err)
	}
	if err := <-bad; !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "thread/a, event 2") {
		t.Errorf("on the damaged event: %v", err)
	}
	snap, err = s.Load(t.Context(), store.Need{Heads: []gotong.Stream{"thread/a", "thread/b", "thread/c"}})
	if err != nil || snap.Heads["thread/a"].Seq != 2 || snap.Heads["thread/b"].Seq != 1 || snap.Heads["thread/c"].Exists() {
		t.Errorf("heads %+v %v", snap.Heads, err)
	}
}

// TestDamageFailsItsOwnWriteAlone: a row that was changed under the open store, and
// makes a write fail halfway, fails no other write of the same transaction.
func TestDamageFailsItsOwnWriteAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		sql  string
		seqs []uint64 // erased by the write
	}{
		"a row where the next event belongs": {sql: "UPDATE events SET seq = 3 WHERE stream = 1 AND seq = 1"},
		"data that names no request":         {sql: "UPDATE events SET data = 'x' WHERE stream = 1 AND seq = 1", seqs: []uint64{1}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gotong.db")
			s := opened(t, path)
			m := storetest.NewMaker(s.Epoch())
			commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Events: 2})
			check(t, outside(t, path, "DROP TRIGGER events_never_changed; "+tt.sql))
			release := make(chan struct{})
			s.queue.Submit(t.Context(), &store.Work[op]{What: func(*writer) error { <-release; return nil }, Done: func(error) {}})
			key := gotong.Key{Collection: "c", Owner: "o", Name: "n"}
			answers := make(chan error, 3)
			submit := func(want error, d storetest.Draft) {
				s.Submit(t.Context(), []store.Commit{m.Next(d)}, nil, func(out []store.Outcome, err error) {
					if !errors.Is(err, want) || want == nil && (err != nil || out[0].Status != store.Committed) {
						t.Errorf("%s: %+v %v", d.Stream, out, err)
					}
					answers <- err
				})
			}
			submit(nil, storetest.Draft{Stream: "thread/b", Home: "group/g", Events: 1})
			submit(store.ErrCorrupt, storetest.Draft{
				Stream: "thread/a", Events: 1, Erase: tt.seqs, Registers: []gotong.RegisterChange{{Key: key, Body: []byte("{}")}},
			})
			submit(nil, storetest.Draft{Stream: "thread/c", Home: "group/g", Events: 1})
			close(release)
			for range 3 {
				if err := <-answers; err != nil && !strings.Contains(err.Error(), "thread/a") {
					t.Errorf("the error names no stream: %v", err)
				}
			}
			snap, err := s.Load(t.Context(), store.Need{Registers: []gotong.Key{key}})
			rows, again := s.ReadPartition(t.Context(), gotong.PartitionOf("group/g"), 0, 9, 0)
			if err != nil || again != nil || len(snap.Registers) != 0 || len(rows) != 2 || rows[1].Position != 2 {
				t.Errorf("afterwards: %+v, %d rows; %v, %v", snap.Registers, len(rows), err, again)
			}
			check(t, s.Failed())
		})
	}
}

// TestLostWhileStopped: of rows that went while no server ran, reading the
// partition finds all but those at its very end.
func TestLostWhileStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gotong.db")
	s := opened(t, path)
	m := storetest.NewMaker(s.Epoch())
	home := gotong.PartitionOf("group/g")
	for _, stream := range []gotong.Stream{"thread/a", "thread/b", "thread/a", "thread/b"} {
		commitOne(t, s, m, storetest.Draft{Stream: stream, Home: "group/g", Events: 1})
	}
	for _, tt := range []struct {
		lost   string
		events int
		fault  bool
	}{{"seq = 2 AND stream = 1", 2, true}, {"seq = 2 AND stream = 2", 2, false}} {
		check(t, s.Close())
		check(t, outside(t, path, "DROP TRIGGER IF EXISTS events_never_deleted; DELETE FROM events WHERE "+tt.lost))
		s = opened(t, path)
		rows, err := s.ReadPartition(t.Context(), home, 0, 9, 0)
		if err != nil || len(rows) != tt.events {
			t.Errorf("without %s: %d events, %v", tt.lost, len(rows), err)
		}
		_, err = s.ReadPartition(t.Context(), home, 2, 9, 0)
		if errors.Is(err, store.ErrCorrupt) != tt.fault {
			t.Errorf("without %s, after position 2: %v", tt.lost, err)
		}
	}
}

// TestPlans: each statement on the log finds its rows by an index and in the
// order of one, so that it reads no more than it returns.
func TestPlans(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "gotong.db"))
	for sql, want := range map[string]string{
		selectUp:                         "SEARCH e USING INDEX events_seq (stream=? AND seq>? AND seq<?)",
		selectDown:                       "SEARCH e USING INDEX events_seq (stream=? AND seq>? AND seq<?)",
		selectNewest:                     "SEARCH e USING INDEX events_seq (stream=? AND seq>?)",
		selectLater:                      "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)",
		selectEnd:                        "SEARCH events USING COVERING INDEX events_position (partition=? AND position>?)",
		sqlstore.SelectCommits + "e.key": "SEARCH e USING INDEX events_position (partition=? AND position>? AND position<?)",
		sqlstore.SelectRecords:           "SEARCH e USING INDEX events_unchanged (key>?)",
		selectRecord:                     "SEARCH e USING INDEX events_request (request_id=? AND stream=? AND actor=?)",
		selectData:                       "SEARCH events USING INDEX events_seq (stream=? AND seq=?)",
		eraseEvent:                       "SEARCH events USING COVERING INDEX events_seq (stream=? AND seq=?)",
		blind:                            "SEARCH events USING COVERING INDEX events_request (request_id=? AND stream=? AND actor=?)",
	} {
		var plan []string
		check(t, s.read(t.Context(), func(r *reading) error {
			return r.query("EXPLAIN QUERY PLAN "+sql, func(row *sqlite.Stmt) error {
				plan = append(plan, row.ColumnText(3))
				return nil
			})
		}))
		if plan[0] != want || strings.Contains(strings.Join(plan, ";"), "TEMP B-TREE") {
			t.Errorf("%s: %q, want %q", sql, plan, want)
		}
	}
}
