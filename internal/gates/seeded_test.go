package gates

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	adapter "gotong.dev/gotong/internal/store/surreal"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// only runs one gate and returns its result.
func only(t *testing.T, o Options) Result {
	t.Helper()
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Gates) != 1 || len(report.Left) > 0 {
		t.Fatalf("%d gates, left %q", len(report.Gates), report.Left)
	}
	if want := report.Gates[0].Verdict == NoGo; want != (report.Verdict == NoGo) {
		t.Errorf("the report says %s, its gate %s", report.Verdict, report.Gates[0].Verdict)
	}
	return report.Gates[0]
}

// says checks the verdict of a gate, and what its worst finding tells.
func says(t *testing.T, got Result, want Verdict, parts ...string) {
	t.Helper()
	var told []string
	for _, f := range got.Findings {
		if f.Verdict == want {
			told = append(told, f.Seen)
		}
		if f.Verdict != Go && f.Way == "" {
			t.Errorf("no way out of %q", f.Seen)
		}
	}
	if got.Verdict != want {
		t.Errorf("%s is %s, want %s: %q", got.Gate, got.Verdict, want, got.Findings)
	}
	for _, part := range parts {
		if !strings.Contains(strings.Join(told, "\n"), part) {
			t.Errorf("%s does not say %q: %q", got.Gate, part, told)
		}
	}
}

// A database as a server has left it, with one change.
func TestChangesOfTheDatabaseAreFound(t *testing.T) {
	tests := map[string]struct {
		seed  string // the change; $ is type::record or type::thing
		gate  string
		want  Verdict
		parts []string
	}{
		"nothing":            {"", "schema", Go, []string{"the ledger has the 1 step", "are as this program makes them"}},
		"nothing readable":   {"", "access", Go, []string{"not PERMISSIONS NONE are none"}},
		"missing table":      {"REMOVE TABLE job", "schema", NoGo, []string{"the table job is missing"}},
		"missing documents":  {"REMOVE TABLE doc_things", "schema", Warning, []string{"doc_things is missing"}},
		"readable table":     {"DEFINE TABLE OVERWRITE register SCHEMAFULL PERMISSIONS FOR select FULL", "access", NoGo, []string{"not PERMISSIONS NONE are register"}},
		"partly readable":    {"DEFINE TABLE OVERWRITE doc_things SCHEMALESS PERMISSIONS FOR select WHERE true", "access", NoGo, []string{"are doc_things"}},
		"stale schema":       {"DELETE migration:1", "schema", NoGo, []string{"no ledger", "tables of this program"}},
		"newer schema":       {"CREATE migration:2 SET name = '0002_x.surql', checksum = 'x', applied = time::now()", "schema", NoGo, []string{"newer"}},
		"tampered checksum":  {"UPDATE migration:1 SET checksum = 'x'", "schema", NoGo, []string{"checksum differs"}},
		"no append-only":     {"REMOVE EVENT append_only ON event", "schema", NoGo, []string{"event append_only of event"}},
		"another field":      {"DEFINE FIELD extra ON cursor TYPE int", "schema", NoGo, []string{"field extra of cursor (added)"}},
		"another's table":    {"DEFINE TABLE shop SCHEMALESS PERMISSIONS NONE", "schema", Warning, []string{"shop"}},
		"viewer there":       {"DEFINE USER guest ON DATABASE PASSWORD 'hush' ROLES VIEWER", "access", Go, []string{"read every table: guest (VIEWER) of its own"}},
		"record users there": {"DEFINE ACCESS people ON DATABASE TYPE RECORD SIGNUP (CREATE x)", "access", Warning, []string{"people"}},
	}
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		r, want := prepared(t, surrealtest.URL(t, e))
		report, err := Run(t.Context(), options(t, surrealtest.URL(t, e), "version"))
		if all := strings.Join(report.Others, "\n"); err != nil || !strings.Contains(all, "REMOVE NAMESPACE "+r.scratch.name) {
			t.Errorf("the scratch of another run is not named: %v, %q", err, all)
		}
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				url := surrealtest.URL(t, e)
				served(t, url, test.seed)
				if whole[name] {
					says(t, only(t, options(t, url, test.gate)), test.want, test.parts...)
					return
				}
				var f findings
				r.o.Target = options(t, url).Target
				have, err := r.yours(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if test.gate == "schema" {
					compareSchemas(&f, want, have)
				} else if err := r.yourTables(t.Context(), &f); err != nil {
					t.Fatal(err)
				}
				says(t, f.result(gate{name: test.gate}, 0), test.want, test.parts...)
			})
		}
	})
}

// whole are the seeds that a whole run must find; for the others its part that
// looks at the operator's database does.
var whole = map[string]bool{"missing table": true, "readable table": true, "stale schema": true}

// prepared is a run with a scratch, and the schema that it expects.
func prepared(t *testing.T, url string) (*run, schema) {
	t.Helper()
	r := &run{o: options(t, url)}
	r.place = onSurreal{r}
	var err error
	if r.scratch, r.db, err = makeScratch(t.Context(), r.o.Target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.db.Close()
		if left := r.scratch.remove(context.Background()); len(left) > 0 {
			t.Errorf("left %q", left)
		}
	})
	r.store, r.scratch.there = r.scratch.config("store"), true
	want, err := r.expected(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r, want
}

// served makes the database that a server would leave, and changes it.
func served(t *testing.T, url, seed string) {
	t.Helper()
	target, err := Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ours().Open(t.Context(), target.Config, storetest.Options{}, surreal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if seed == "" {
		return
	}
	db, err := surreal.Open(t.Context(), target.Config, surreal.Options{Sockets: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Exec(t.Context(), seed, nil); err != nil {
		t.Fatal(err)
	}
}

// A ledger with fewer steps than the program's is stale.
func TestLedgerWithFewerStepsIsStale(t *testing.T) {
	one, two := step{Number: 1, Name: "0001_log.surql", Checksum: "a"}, step{Number: 2, Name: "0002_more.surql", Checksum: "b"}
	want := schema{ledger: []step{one, two}, tables: map[string]table{"event": {}}}
	var f findings
	compareSchemas(&f, want, schema{ledger: []step{one}, tables: map[string]table{"event": {}}})
	says(t, f.result(gate{name: "schema"}, 0), NoGo, "stale", "0002_more.surql is missing")
}

func TestUnfitServerIsNoGo(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		t.Run("mem", func(t *testing.T) {
			o := options(t, surrealtest.LaunchMemory(t, e).FreshURL(), "engine")
			says(t, only(t, o), NoGo, "reads the past")
		})
		t.Run("unsupported version", func(t *testing.T) {
			o := options(t, surrealtest.URL(t, e), "version")
			o.version = "surrealdb-3.3.0"
			says(t, only(t, o), NoGo, "surrealdb-3.3.0", adapter.Supported)
			o.AllowUntested = true
			says(t, only(t, o), Warning, "surrealdb-3.3.0")
		})
	})
}

// The gate finds what a role can read, with SELECT and with LIVE.
func TestTablesOpenToARoleAreFound(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		o := options(t, surrealtest.URL(t, e), "access")
		inner := o.Adapter.Open
		o.Adapter.Open = func(ctx context.Context, cfg surreal.Config, so storetest.Options, co surreal.Options) (store.Whole, error) {
			s, err := inner(ctx, cfg, so, co)
			if err != nil {
				return nil, err
			}
			db, err := surreal.Open(ctx, cfg, co)
			if err != nil {
				return nil, err
			}
			defer db.Close()
			return s, db.Exec(ctx, "DEFINE TABLE OVERWRITE register SCHEMAFULL PERMISSIONS FOR select FULL, FOR create FULL", nil)
		}
		says(t, only(t, o), NoGo, "record user", "SELECT reads register", "LIVE SELECT reports register")
	})
}

// The gates do not create an operator's database that does not exist.
func TestMissingDatabaseIsNotMade(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		server := surrealtest.Launch(t, e, "")
		url := strings.TrimSuffix(server.FreshURL(), "/test") + "_never/nothing"
		says(t, only(t, options(t, url, "schema")), Go, "the first start will make them")
		if got := namespaces(t, server); strings.Contains(got, "_never") || strings.Contains(got, scratchPrefix) {
			t.Errorf("there are %s", got)
		}
	})
}

func namespaces(t *testing.T, server *surrealtest.Server) string {
	t.Helper()
	db, err := surreal.Open(t.Context(), server.Config("other", "other"), surreal.Options{Sockets: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var info struct {
		Namespaces map[string]string `cbor:"namespaces"`
	}
	if err := db.Select(t.Context(), "INFO FOR ROOT", nil, &info); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range info.Namespaces {
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// An interrupted run returns an error that says so, and leaves nothing behind.
func TestInterruptedRunLeavesNothing(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		server := surrealtest.Launch(t, e, "")
		ctx, cancel := context.WithCancel(t.Context())
		o := options(t, server.FreshURL())
		o.Progress = func(p Progress) {
			if p.Name == "store/commit" && p.Result == nil {
				cancel()
			}
		}
		report, err := Run(ctx, o)
		if !errors.Is(err, context.Canceled) || report.Verdict != NotChecked || len(report.Left) > 0 {
			t.Errorf("%v, %s, left %q", err, report.Verdict, report.Left)
		}
		if got := namespaces(t, server); strings.Contains(got, scratchPrefix) {
			t.Errorf("there are %s", got)
		}
	})
}
