package gates

import (
	"context"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	adapter "gotong.dev/gotong/internal/store/surreal"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

func now() gotong.Instant { return gotong.InstantOf(time.Now()) }

// ours is the adapter of the program.
func ours() Adapter {
	return Adapter{
		Supported: adapter.Supported, Properties: adapter.Properties,
		Open: func(ctx context.Context, cfg surreal.Config, o storetest.Options, client surreal.Options) (store.Whole, error) {
			if o.Now == nil {
				o = storetest.Options{Collections: []string{"things"}, Now: now}
			}
			return adapter.Open(ctx, cfg, adapter.Options{
				Collections: o.Collections, Now: o.Now, UnsafeEngine: true, AllowUntested: true, Client: client,
			})
		},
	}
}

func options(t *testing.T, url string, only ...string) Options {
	t.Helper()
	target, err := Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Target: target, Adapter: ours(), Only: only, For: 300 * time.Millisecond, Now: now}
}

func TestEveryGatePassesOnAGoodServer(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		// Of the store's suite only what judges the database: the adapter's own
		// tests run all of it.
		o := options(t, surrealtest.URL(t, e),
			"version", "engine", "sync", "clock", "schema", "access", "live", "store/nodes", "store/cuts", "speed")
		o.limit = 5 * time.Minute // a busy machine is no fault of the database
		o.Progress = func(p Progress) {
			if p.Result != nil {
				t.Logf("%2d/%d %s: %s, %d ms", p.Number, p.Of, p.Name, p.Result.Verdict, p.Result.TookMS)
				for _, f := range p.Result.Findings {
					t.Logf("     %s: %s [%s]", f.Verdict, f.Seen, f.Way)
				}
			}
		}
		report, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if report.Verdict != Go || len(report.Left) > 0 {
			t.Errorf("got %s, left %q", report.Verdict, report.Left)
		}
	})
}
