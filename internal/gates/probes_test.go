package gates

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// fake is a run whose store is one in memory, made worse by wrap.
func fake(t *testing.T, wrap func(store.Store) store.Store) *run {
	t.Helper()
	inner := store.Store(memory.New("", memory.Options{Now: now}))
	if wrap != nil {
		inner = wrap(inner)
	}
	t.Cleanup(func() { _ = inner.Close() })
	o := Options{For: 50 * time.Millisecond, Now: now}
	o.Adapter.Open = func(context.Context, surreal.Config, surreal.Options) (store.Store, error) { return shared{inner}, nil }
	return &run{o: o}
}

// shared is a store that several nodes of a probe have open.
type shared struct{ store.Store }

func (shared) Close() error { return nil }

// losing acknowledges its tenth commit and does not write it.
type losing struct {
	store.Store
	mu sync.Mutex
	n  int
}

func (s *losing) Commit(ctx context.Context, batch []store.Commit) ([]store.Outcome, error) {
	s.mu.Lock()
	s.n++
	lost := s.n == 10
	s.mu.Unlock()
	if !lost {
		return s.Store.Commit(ctx, batch)
	}
	out := make([]store.Outcome, len(batch))
	for i := range batch {
		out[i] = store.Outcome{Status: store.Committed, Record: batch[i].Record(1)}
	}
	return out, nil
}

func storeLost(t *testing.T, r *run) Result {
	t.Helper()
	s, err := r.openStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var f findings
	a, err := r.hammer(t.Context(), &storeCounter{r: r, nodes: []prober{s}, stream: unused()}, 4)
	if err != nil {
		t.Fatal(err)
	}
	a.tell(&f, "fake")
	return f.result(gate{name: "lost-update"}, 0)
}

func TestLostUpdateFindsOneLostWrite(t *testing.T) {
	says(t, storeLost(t, fake(t, nil)), Go, "none lost seen in")
	says(t, storeLost(t, fake(t, func(s store.Store) store.Store { return &losing{Store: s} })), NoGo, "missing")
}

// forgetful is a counter that loses one of its marks, or its value, as an
// engine without a check of writes does.
type forgetful struct {
	mu    sync.Mutex
	n     uint64
	by    map[uint64]string
	fault string
}

func (c *forgetful) add(_ context.Context, by string) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	at := c.n
	if at != 20 || c.fault == "" {
		c.by[at] = by
		return at, nil
	}
	switch c.fault {
	case "overwritten":
		c.by[at-1] = by // both were told this number
		return at - 1, nil
	case "went back":
		c.n = 10
	case "unknown":
		return 0, &surreal.ConnError{Sent: true, Err: errors.New("cut")}
	}
	return at, nil
}

func (c *forgetful) marks(context.Context) (map[uint64]string, uint64, error) { return c.by, c.n, nil }

func TestHammer(t *testing.T) {
	for fault, fine := range map[string]bool{"": true, "lost": false, "overwritten": false, "went back": false, "unknown": false} {
		t.Run(fault, func(t *testing.T) {
			c := &forgetful{by: map[uint64]string{}, fault: fault}
			a, err := fake(t, nil).hammer(t.Context(), c, 4)
			if err != nil {
				t.Fatal(err)
			}
			if a.fine() != fine || a.acknowledged < 20 {
				t.Errorf("%+v", a)
			}
			if (a.lost > 0) != (fault == "lost" || fault == "went back") || (a.overwritten > 0) != (fault == "overwritten" || fault == "went back") {
				t.Errorf("%s: %+v", fault, a)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := fake(t, nil).hammer(t.Context(), failing{broken}, 4); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestNothingAcknowledgedIsNotGo(t *testing.T) {
	a, err := fake(t, nil).hammer(t.Context(), failing{errBusy}, 2)
	if err != nil {
		t.Fatal(err)
	}
	var f findings
	a.tell(&f, "fake")
	says(t, f.result(gate{name: "lost-update"}, 0), NotChecked, "not one addition")
}

type failing struct{ err error }

func (f failing) add(context.Context, string) (uint64, error) { return 0, f.err }
func (f failing) marks(context.Context) (map[uint64]string, uint64, error) {
	return nil, 0, nil
}

// blind does not look at the heads of other streams.
type blind struct{ store.Store }

func (s blind) Commit(ctx context.Context, batch []store.Commit) ([]store.Outcome, error) {
	batch = slices.Clone(batch)
	for i := range batch {
		batch[i].Others = nil
	}
	return s.Store.Commit(ctx, batch)
}

func TestWriteSkewIsFound(t *testing.T) {
	for name, wrap := range map[string]func(store.Store) store.Store{"good": nil, "blind": func(s store.Store) store.Store { return blind{s} }} {
		r := fake(t, wrap)
		nodes, closeAll, err := r.openStores(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		seen, err := r.runRaces(t.Context(), &storeRace{r: r, nodes: nodes, seen: map[int][2]gotong.Stream{}})
		if err != nil || seen.trials == 0 || (seen.both > 0) != (name == "blind") {
			t.Errorf("%s: %+v, %v", name, seen, err)
		}
		closeAll()
	}
}

// late shows a commit only after the one that follows it.
type late struct {
	store.Store
	mu   sync.Mutex
	held bool
}

func (s *late) ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]store.Event, error) {
	page, err := s.Store.ReadPartition(ctx, p, from, to, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held && len(page) > 1 {
		s.held = true
		page = slices.Delete(page, 0, 1)
	}
	return page, err
}

// starving gives up its tenth commit, as one that always loses to another node.
type starving struct {
	store.Store
	mu sync.Mutex
	n  int
}

func (s *starving) Commit(ctx context.Context, batch []store.Commit) ([]store.Outcome, error) {
	s.mu.Lock()
	s.n++
	lost := s.n == 10
	s.mu.Unlock()
	if lost {
		return nil, &surreal.Error{Text: "This transaction can be retried"}
	}
	return s.Store.Commit(ctx, batch)
}

func TestOrderFindsALateCommit(t *testing.T) {
	for _, test := range []struct {
		wrap  func(store.Store) store.Store
		want  Verdict
		parts []string
	}{
		{nil, Go, []string{"0 missed, 0 doubled"}},
		{func(s store.Store) store.Store { return &starving{Store: s} }, Warning, []string{"1 commit gave up"}},
		{func(s store.Store) store.Store { return &late{Store: s} }, NoGo, []string{"comes after", "1 missed"}},
	} {
		var f findings
		if err := checkOrder(t.Context(), fake(t, test.wrap), &f); err != nil {
			t.Fatal(err)
		}
		says(t, f.result(gate{name: "order"}, 0), test.want, test.parts...)
	}
}

func TestMissing(t *testing.T) {
	id := func(n uint64) gotong.EventID { return gotong.NewEventID(1, n) }
	seen := tail{events: map[gotong.EventID]int{id(1): 1, id(2): 2, id(9): 1}}
	lost, doubled, more := seen.missing([]gotong.EventID{id(1), id(2), id(3)})
	if lost != 1 || doubled != 1 || more != 1 {
		t.Errorf("%d lost, %d doubled, %d more", lost, doubled, more)
	}
}

func TestClock(t *testing.T) {
	for ahead, want := range map[time.Duration]Verdict{
		0: Go, 400 * time.Millisecond: Go, -600 * time.Millisecond: Warning, 1900 * time.Millisecond: Warning, -3 * time.Second: NoGo, time.Hour: NoGo,
	} {
		var f findings
		judgeClock(&f, ahead, time.Millisecond)
		says(t, f.result(gate{name: "clock"}, 0), want)
	}
	onOne(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		o := options(t, surrealtest.URL(t, e), "clock")
		o.Now = func() gotong.Instant { return now().Add(-5 * time.Second) }
		says(t, only(t, o), NoGo, "ahead of ours")
	})
}

func TestPlans(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		db := surrealtest.Open(t, e)
		if err := db.Exec(t.Context(), "DEFINE TABLE event; CREATE event:['s', 1] SET v = 1; CREATE event:['s', 2] SET v = 2", nil); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]Verdict{
			"SELECT v FROM event:['s', 1]..=['s', 2]":                              Go,
			"SELECT id, v FROM event:['s', 1]..=['s', 9] ORDER BY id DESC LIMIT 2": Go,
			"SELECT v FROM event WHERE v > 0":                                      NoGo,
			"SELECT id, v FROM event ORDER BY v LIMIT 2":                           NoGo,
		} {
			var f findings
			r := fake(t, nil)
			if err := r.measure(t.Context(), &f, db, hot{what: "x", text: query, rows: 2, slow: time.Minute}); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			says(t, f.result(gate{name: "speed"}, 0), want)
			f = nil
			if err := r.measure(t.Context(), &f, db, hot{what: "x", text: query, rows: 2}); err != nil {
				t.Fatal(err)
			}
			if want == Go {
				says(t, f.result(gate{name: "speed"}, 0), Warning, "would be slow")
			}
		}
		var f findings
		if err := fake(t, nil).measure(t.Context(), &f, db, hot{text: "SELECT v FROM event", rows: 3}); err == nil {
			t.Error("rows that are missing are not missed")
		}
	})
}

func TestReadNote(t *testing.T) {
	raw := func(v any) surreal.Raw {
		b, err := surreal.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	row := map[string]any{"position": 7}
	for name, test := range map[string]struct {
		note surreal.Notification
		fine bool
	}{
		"good":          {surreal.Notification{Action: "UPDATE", Record: raw(surreal.Record("partition", 3)), Result: raw(row)}, true},
		"another table": {surreal.Notification{Action: "UPDATE", Record: raw(surreal.Record("batch", 3)), Result: raw(row)}, false},
		"text as key":   {surreal.Notification{Action: "UPDATE", Record: raw(surreal.Record("partition", "3")), Result: raw(row)}, false},
		"no id":         {surreal.Notification{Action: "UPDATE", Record: raw("partition:3"), Result: raw(row)}, false},
		"no position":   {surreal.Notification{Action: "UPDATE", Record: raw(surreal.Record("partition", 3)), Result: raw(map[string]any{})}, false},
		"odd position":  {surreal.Notification{Action: "UPDATE", Record: raw(surreal.Record("partition", 3)), Result: raw(map[string]any{"position": "7"})}, false},
		"deleted":       {surreal.Notification{Action: "DELETE", Record: raw(surreal.Record("partition", 3)), Result: raw(row)}, false},
	} {
		p, at, err := readNote(test.note)
		if (err == nil) != test.fine || test.fine && (p != 3 || at != 7) {
			t.Errorf("%s: %d, %d, %v", name, p, at, err)
		}
	}
}

// A server that stops to answer ends no later than the gates' deadlines.
func TestStoppedServer(t *testing.T) {
	onOne(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		server := surrealtest.Launch(t, e, "")
		o := options(t, server.FreshURL(), "lost-update", "speed")
		o.limit = time.Second
		o.Progress = func(p Progress) {
			switch {
			case p.Name == "lost-update" && p.Result == nil:
				server.Signal(t, syscall.SIGSTOP)
			case p.Name == "speed" && p.Result != nil:
				server.Signal(t, syscall.SIGCONT)
			}
		}
		report, err := Run(t.Context(), o)
		if err != nil || len(report.Left) > 0 {
			t.Fatalf("%v, left %q", err, report.Left)
		}
		for _, g := range report.Gates {
			says(t, g, NoGo)
			if took := time.Duration(g.TookMS) * time.Millisecond; took > 3*o.limit {
				t.Errorf("%s took %s", g.Gate, took)
			}
		}
	})
}
