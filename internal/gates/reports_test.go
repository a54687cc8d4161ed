package gates

import (
	"encoding/json"
	"flag"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

var memoryFor = flag.Duration("memory", 0, "repeat the probe on mem for at most so long, on each engine (make gates-memory)")

// TestMemory repeats the probe on an engine that is known to lose writes, until it
// loses one or the time is over. It reports the result and fails in neither case.
func TestMemory(t *testing.T) {
	if *memoryFor == 0 {
		t.Skip("only with -memory: see make gates-memory")
	}
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		url := surrealtest.LaunchMemory(t, e).FreshURL()
		began := time.Now()
		for time.Since(began) < *memoryFor {
			o := options(t, url, "engine", "store/nodes")
			o.For = 2 * time.Second
			report, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			lost := false
			for _, g := range report.Gates {
				for _, f := range g.Findings {
					t.Logf("%5.1f s: %s: %s: %s", time.Since(began).Seconds(), g.Gate, f.Verdict, f.Seen)
					lost = lost || f.Verdict == NoGo && !strings.Contains(f.Seen, "reads the past")
				}
			}
			if lost {
				return
			}
		}
		t.Logf("nothing lost seen in %s", *memoryFor)
	})
}

var sample = Report{
	Target: "surreal://db.example:8000/gotong/main", Server: "surrealdb-3.0.2", At: 1_795_000_000_000_000, For: "5s", Verdict: NoGo,
	Gates: []Result{
		{Gate: "version", Verdict: Go, Findings: []Finding{{Go, "the server is 3.0.2", ""}}},
		{Gate: "schema", Verdict: NoGo, Findings: []Finding{
			{Go, "the ledger is good", ""},
			{NoGo, "the table job is missing, which is told in a sentence that is longer than the column of the table is wide", "restore a | backup"},
		}},
		{Gate: "clock", Verdict: Warning, Findings: []Finding{{Warning, "600ms behind", "chrony"}}},
	},
	Left: []string{"gotong_gates_x could not be removed"}, Others: []string{"gotong_gates_y is of another run"},
}

const sampleText = `gate         verdict      what was seen, and the way out
version      go           the server is 3.0.2
schema       no-go        the ledger is good
                          NO-GO: the table job is missing, which is told in a sentence that is longer than the
                          column of the table is wide
                          > restore a | backup
clock        warning      600ms behind
                          > chrony
Left behind: gotong_gates_x could not be removed
Also there: gotong_gates_y is of another run
NO-GO: surrealdb-3.0.2 on surreal://db.example:8000/gotong/main, probes of 5s: 1 go, 1 warning, 0 not checked, 1 no-go (schema)
`

func TestReportAsATableForATerminal(t *testing.T) {
	if got := sample.Text(nil); got != sampleText {
		t.Errorf("got\n%s", got)
	}
	if got := sample.Text(func(v Verdict, text string) string { return "<" + string(v) + text + ">" }); !strings.Contains(got, "<no-gono-go        >") {
		t.Errorf("not painted:\n%s", got)
	}
}

func TestReportAsMarkdown(t *testing.T) {
	got := sample.Markdown("A report")
	for _, want := range []string{
		"# A report\n", "**NO-GO**", "| `version` | go | the server is 3.0.2 |  |\n", `|  | no-go | the table job`, `restore a \| backup`, "Left behind: gotong_gates_x", "Also there: gotong_gates_y",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// A gate's verdict is its worst finding, and the report's is go or no-go.
func TestVerdictIsTheWorstFinding(t *testing.T) {
	var f findings
	f.goodf("a")
	f.skipf("w", "b")
	if got := f.result(gate{}, 0).Verdict; got != NotChecked {
		t.Errorf("got %s", got)
	}
	f.warnf("w", "c")
	warning := f.result(gate{}, 0)
	f.badf("w", "d")
	f.warnf("w", "e")
	var r Report
	if r.add(warning); r.Verdict != Go {
		t.Errorf("a warning makes the report %s", r.Verdict)
	}
	if r.add(f.result(gate{}, 0)); r.Verdict != NoGo {
		t.Errorf("got %s", r.Verdict)
	}
	var nothing findings
	if got := nothing.result(gate{}, 0).Verdict; got != NotChecked {
		t.Errorf("a gate that found nothing is %s", got)
	}
}

// A rejected login, or a user without the rights, ends the run before it begins, and
// no text holds the password.
func TestRefusedRunEndsBeforeItBegins(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		url := surrealtest.URL(t, e)
		for name, change := range map[string]func(string) string{
			"password": func(u string) string { return strings.Replace(u, "root:root@", "root:hidden@", 1) },
			"nobody":   func(u string) string { return strings.Replace(u, "root:root@", "", 1) },
			"level":    func(u string) string { return u + "?level=database" },
		} {
			o := options(t, change(url), "version")
			report, err := Run(t.Context(), o)
			if err == nil || len(report.Gates) > 0 {
				t.Errorf("%s: %v, %+v", name, err, report)
			} else if strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "root:") {
				t.Errorf("%s: the error shows too much: %v", name, err)
			}
		}
		report, err := Run(t.Context(), options(t, url, "version", "clock"))
		text, _ := json.Marshal(report)
		if all := string(text) + report.Text(nil); err != nil || strings.Contains(all, "root:root") {
			t.Errorf("%v, %s", err, all)
		}
	})
}

// For a user of a namespace, the scratch is databases in that namespace.
func TestUserOfANamespaceGetsDatabases(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		db, err := surreal.Open(t.Context(), cfg, surreal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range []string{"DEFINE NAMESPACE IF NOT EXISTS " + cfg.Namespace, "DEFINE USER keeper ON NAMESPACE PASSWORD 'kept' ROLES OWNER"} {
			if err := db.Exec(t.Context(), statement, nil); err != nil {
				t.Fatal(err)
			}
		}
		o := options(t, "surreal://keeper:kept@"+cfg.Address+"/"+cfg.Namespace+"/"+cfg.Database+"?level=namespace", "access", "store/cuts")
		report, err := Run(t.Context(), o)
		if err != nil || report.Verdict != Go || len(report.Left) > 0 {
			t.Fatalf("%v\n%s", err, report.Text(nil))
		}
		var info struct {
			Databases map[string]string `cbor:"databases"`
		}
		if err := db.Select(t.Context(), "INFO FOR NS", nil, &info); err != nil {
			t.Fatal(err)
		}
		for name := range info.Databases {
			if strings.HasPrefix(name, scratchPrefix) {
				t.Errorf("%s is left", name)
			}
		}
	})
}

// An editor may not create users; what cannot be tried without them is not checked.
func TestEditorLeavesRolesUnchecked(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		db, err := surreal.Open(t.Context(), cfg, surreal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Exec(t.Context(), "DEFINE USER OVERWRITE editor ON ROOT PASSWORD 'kept' ROLES EDITOR", nil); err != nil {
			t.Fatal(err)
		}
		o := options(t, "surreal://editor:kept@"+cfg.Address+"/"+cfg.Namespace+"/"+cfg.Database, "access")
		says(t, only(t, o), NotChecked, "your user may not create any")
	})
}
