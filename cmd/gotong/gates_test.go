package main

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/gates"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

var gatesReports = flag.String("gates-reports", "", "write the reports of all engines to this folder (make gates-reports)")

func TestGatesWrongUse(t *testing.T) {
	const nobody = "surreal://root:hidden@127.0.0.1:1/a/b"
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says []string
	}{
		"no store":      {nil, nil, 2, []string{"no database is given", "GOTONG_STORE"}},
		"another store": {[]string{"--store=sqlite:x.db"}, nil, 2, []string{"surreal://", "Try: gotong gates"}},
		"no such gate":  {[]string{"--store=" + nobody, "--only=frob"}, nil, 2, []string{`"frob"`, "store/nodes"}},
		"no time":       {[]string{"--store=" + nobody, "--for=0s"}, nil, 2, []string{"--for"}},
		"too long":      {[]string{"--store=" + nobody, "--for=1h"}, nil, 2, []string{"--for"}},
		"nobody there":  {[]string{"--store=" + nobody}, nil, 3, []string{"127.0.0.1:1", "whether the server runs"}},
		"by variable":   {nil, map[string]string{"GOTONG_STORE": nobody}, 3, []string{"127.0.0.1:1"}},
		"may make none": {[]string{"--store=" + nobody + "?level=database"}, nil, 3, []string{"level=namespace"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := command(t, c.env, append([]string{"gates"}, c.args...)...)
			if r.code != c.code || r.out != "" {
				t.Errorf("code %d, want %d; output %q", r.code, c.code, r.out)
			}
			for _, want := range c.says {
				if !strings.Contains(r.err, want) {
					t.Errorf("does not say %q:\n%s", want, r.err)
				}
			}
			if strings.Contains(r.err, "hidden") {
				t.Errorf("shows the password:\n%s", r.err)
			}
		})
	}
	r := command(t, nil, "gates", "--help")
	for _, want := range []string{"Examples:", "gotong gates --store", "store/cuts", "$GOTONG_STORE"} {
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("help lacks %q: %+v", want, r)
		}
	}
}

func TestGates(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		env := map[string]string{"GOTONG_STORE": surrealtest.URL(t, e)}
		r := command(t, env, "gates", "--only=version,clock,schema", "--for=100ms")
		if r.code != 0 || !strings.Contains(r.out, "GO: surrealdb-") || !strings.Contains(r.err, "[3/3] schema: go") {
			t.Errorf("%+v", r)
		}
		wrong := map[string]string{"GOTONG_STORE": strings.Replace(env["GOTONG_STORE"], "root:root@", "root:hidden@", 1)}
		if r := command(t, wrong, "gates"); r.code != 3 || !strings.Contains(r.err, "the user, the password") || strings.Contains(r.err, "hidden") {
			t.Errorf("%+v", r)
		}
		seed(t, env["GOTONG_STORE"], "DEFINE TABLE event SCHEMALESS PERMISSIONS FOR select FULL")
		r = command(t, env, "gates", "--only=access,schema", "--json")
		var report gates.Report
		if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != 1 || report.Verdict != gates.NoGo || len(report.Gates) != 2 {
			t.Errorf("%v, %+v", err, r)
		}
		if strings.Contains(r.out+r.err, "root:root") || !strings.Contains(r.err, "no-go") {
			t.Errorf("%+v", r)
		}
	})
}

// TestGatesOfPostgres: gates and doctor judge a PostgreSQL too, and serve prints what an
// acknowledged write survives there, without a password.
func TestGatesOfPostgres(t *testing.T) {
	server := postgrestest.Start(t, "-c", "fsync=off")
	address := strings.Replace(server.Fresh(), "@", ":hidden@", 1)
	r := command(t, nil, "gates", "--store="+address, "--only=version,schema,access", "--for=100ms", "--json")
	report := object[gates.Report](t, r)
	if r.code != 0 || report.Verdict != gates.Go || len(report.Gates) != 3 || strings.Contains(r.out+r.err, "hidden") {
		t.Errorf("%+v", r)
	}
	r = command(t, nil, "gates", "--store="+address, "--only=settings")
	if r.code != 1 || !strings.Contains(r.out, `fsync is "off"`) {
		t.Errorf("%+v", r)
	}
	r = command(t, nil, "gates", "--store="+server.URL("none"), "--only=settings")
	if r.code != 3 || !strings.Contains(r.err, "does not exist") {
		t.Errorf("%+v", r)
	}
	key := auth.NewSigningKey()
	b := interruptible(t, serveArgs(t.TempDir(), "--store="+address+"&password=hidden&host=127.0.0.1,127.0.0.1", "--unsafe-engine", "--signing-key="+key)...)
	text := b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") })
	if !strings.Contains(text, "\nNote    An acknowledged write survives a crash and a power loss of the database server") || strings.Contains(text, "hidden") {
		t.Errorf("serve prints %s", text)
	}
	if code := b.stop(); code != 0 || strings.Contains(b.errs.String(), "hidden") {
		t.Errorf("serve ended with %d: %s", code, b.errs.String())
	}
	doctor := []string{"doctor", "--store=" + server.URL("none"), "--addr=127.0.0.1:1", "--data=" + t.TempDir(), "--signing-key=" + key}
	if r := command(t, nil, doctor...); r.code != exitNotKnown || !strings.Contains(r.err, "whether the server runs") {
		t.Errorf("%+v", r)
	}
}

func seed(t *testing.T, url, statement string) {
	t.Helper()
	cfg, err := surreal.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	db, err := surreal.Open(t.Context(), cfg, surreal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Exec(t.Context(), statement, nil); err != nil {
		t.Fatal(err)
	}
}

// TestGatesReports writes what is committed in docs/gates.
func TestGatesReports(t *testing.T) {
	if *gatesReports == "" {
		t.Skip("only with -gates-reports: see make gates-reports")
	}
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		line := map[surrealtest.Engine]string{surrealtest.V3: "3.0.x", surrealtest.V2: "2.6.x"}[e]
		writeReport(t, line, surrealtest.Launch(t, e, "").URL("gotong", "main"), "surreal://127.0.0.1/gotong/main")
	})
	t.Run("postgresql-15", func(t *testing.T) {
		server := postgrestest.Start(t)
		c, err := pgx.Connect(t.Context(), server.URL("postgres"))
		for _, statement := range []string{"CREATE ROLE main LOGIN", "CREATE DATABASE gotong OWNER main"} {
			if err == nil {
				_, err = c.Exec(t.Context(), statement)
			}
		}
		if err = errors.Join(err, c.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		address := strings.Replace(server.URL("gotong"), postgrestest.User+"@", "main@", 1)
		writeReport(t, "postgresql-15", address, "postgres://127.0.0.1/gotong")
	})
}

// writeReport writes the report about a database; shown is its address, with no port,
// which is a new one each time.
func writeReport(t *testing.T, line, address, shown string) {
	t.Helper()
	r := command(t, map[string]string{"GOTONG_STORE": address}, "gates", "--json")
	var report gates.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != 0 {
		t.Fatalf("%v, %+v", err, r)
	}
	t.Log(r.err)
	report.Target = shown
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{line + ".json": string(text) + "\n", line + ".md": report.Markdown(reportTitle(line))} {
		if err := os.WriteFile(filepath.Join(*gatesReports, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func reportTitle(line string) string {
	if version, ok := strings.CutPrefix(line, "postgresql-"); ok {
		return "Gates of PostgreSQL " + version + ": a report"
	}
	return "Gates of SurrealDB " + line + ": a report"
}

// The committed reports are of every gate that there is, and good.
func TestGatesReportsAreWhole(t *testing.T) {
	for _, line := range []string{"3.0.x", "2.6.x", "postgresql-15"} {
		body, err := os.ReadFile(filepath.Join("..", "..", "docs", "gates", line+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var report gates.Report
		if err := json.Unmarshal(body, &report); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, g := range report.Gates {
			names = append(names, g.Gate)
		}
		if report.Verdict != gates.Go || !slices.Equal(names, gates.Names(strings.HasPrefix(line, "postgres"))) {
			t.Errorf("%s: %s, %q; run make gates-reports", line, report.Verdict, names)
		}
		page, err := os.ReadFile(filepath.Join("..", "..", "docs", "gates", line+".md"))
		if want := report.Markdown(reportTitle(line)); err != nil || string(page) != want {
			t.Errorf("%s.md is not the page of its JSON, %v; run make gates-reports", line, err)
		}
	}
}
