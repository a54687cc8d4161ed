package gates

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// fake returns a run on a store in memory, which wrap makes faulty.
func fake(t *testing.T, wrap func(store.Whole) store.Whole) *run {
	t.Helper()
	inner := store.Whole(memory.New("", memory.Options{Now: now}))
	if wrap != nil {
		inner = wrap(inner)
	}
	t.Cleanup(func() { _ = inner.Close() })
	o := Options{For: 50 * time.Millisecond, Now: now}
	o.Adapter.Properties = ours().Properties
	o.Adapter.Open = func(context.Context, surreal.Config, storetest.Options, surreal.Options) (store.Whole, error) {
		return shared{inner}, nil
	}
	r := &run{o: o, scratch: &scratch{}}
	r.place = onSurreal{r}
	return r
}

// shared is a store that several nodes of a probe have open.
type shared struct{ store.Whole }

func (shared) Close() error { return nil }

// losing acknowledges its tenth commit and does not write it.
func losing(s store.Whole) store.Whole {
	f := storetest.NewFaulty(s)
	f.Forget(10)
	return f
}

// TestSuiteFindsALostWrite: a part of the store's suite that fails is a no-go
// that names the case; one that passes says how many cases hold.
func TestSuiteFindsALostWrite(t *testing.T) {
	for name, test := range map[string]struct {
		wrap  func(store.Whole) store.Whole
		want  Verdict
		parts []string
	}{
		"good":   {nil, Go, []string{"1 of 1 case hold", "commits of 3 nodes"}},
		"losing": {losing, NoGo, []string{"nodes/one stream: "}},
		"panic":  {nil, NoGo, []string{"panic: a fault"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := fake(t, test.wrap)
			if name == "panic" {
				r.o.Adapter.Open = func(context.Context, surreal.Config, storetest.Options, surreal.Options) (store.Whole, error) {
					panic("a fault")
				}
			}
			for _, part := range storetest.Parts() {
				part.Tests = slices.DeleteFunc(part.Tests, func(c storetest.Test) bool { return c.Name != "nodes/one stream" })
				if len(part.Tests) > 0 {
					var f findings
					r.carryOutPart(t.Context(), &f, part)
					says(t, f.result(gate{name: "store/nodes"}, 0), test.want, test.parts...)
				}
			}
		})
	}
}

// TestLostAdditionIsNoGo: a lost mark and a number given twice are a no-go, and no addition
// at all is not checked.
func TestLostAdditionIsNoGo(t *testing.T) {
	for name, test := range map[string]struct {
		told *additions
		lost int
		want Verdict
	}{
		"good":    {&additions{by: map[uint64]string{1: "a", 2: "b"}, conflicts: 7}, 0, Go},
		"lost":    {&additions{by: map[uint64]string{1: "a", 2: "b"}}, 1, NoGo},
		"twice":   {&additions{by: map[uint64]string{1: "a"}, twice: 1}, 0, NoGo},
		"nothing": {&additions{conflicts: 7}, 0, NotChecked},
	} {
		var f findings
		test.told.judge(&f, test.lost)
		t.Run(name, func(t *testing.T) { says(t, f.result(gate{name: "engine"}, 0), test.want) })
	}
}

func TestClockVerdictFollowsTheDifference(t *testing.T) {
	for ahead, want := range map[time.Duration]Verdict{
		0: Go, 400 * time.Millisecond: Go, -600 * time.Millisecond: Warning, 1900 * time.Millisecond: Warning, -3 * time.Second: NoGo, time.Hour: NoGo,
	} {
		var f findings
		judgeClock(&f, ahead, time.Millisecond)
		says(t, f.result(gate{name: "clock"}, 0), want)
	}
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		o := options(t, surrealtest.URL(t, e), "clock")
		o.Now = func() gotong.Instant { return now().Add(-5 * time.Second) }
		says(t, only(t, o), NoGo, "ahead of ours")
	})
}

func TestPlansThatScanATableAreFound(t *testing.T) {
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

func TestNotificationsOfAnotherShapeAreErrors(t *testing.T) {
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

// If the server stops answering, each gate ends at its deadline.
func TestStoppedServerEndsTheGatesAtTheirDeadlines(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		server := surrealtest.Launch(t, e, "")
		o := options(t, server.FreshURL(), "store/nodes", "speed")
		o.limit = time.Second
		o.Progress = func(p Progress) {
			switch {
			case p.Name == "store/nodes" && p.Result == nil:
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
			if took := time.Duration(g.TookMS) * time.Millisecond; took > 10*o.limit { // as far as a busy machine comes
				t.Errorf("%s took %s", g.Gate, took)
			}
		}
	})
}
