package gates

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	adapter "gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/storetest"
)

func postgresOptions(t *testing.T, address string, only ...string) Options {
	t.Helper()
	p, err := ParsePostgres(address, adapter.MaxConns)
	if err != nil {
		t.Fatal(err)
	}
	p.Properties = adapter.Properties
	p.Open = func(ctx context.Context, address string, o storetest.Options, dial pgconn.DialFunc) (store.Whole, error) {
		if o.Now == nil {
			o = storetest.Options{Collections: []string{"things"}, Now: now}
		}
		return adapter.Open(ctx, address, adapter.Options{Collections: o.Collections, Now: o.Now, Servers: primary.Options{Unsafe: true, Dial: dial}})
	}
	return Options{Postgres: p, Only: only, For: 300 * time.Millisecond, Now: now, limit: 5 * time.Minute, lag: time.Hour}
}

// database makes a database that an ordinary role owns, and returns its address, as
// that role and as the server's owner.
func database(t *testing.T, server *postgrestest.Server) (address, super string) {
	t.Helper()
	super = server.Fresh()
	name := super[strings.LastIndex(super, "/")+1 : strings.Index(super, "?")]
	role := "role_" + name
	do(t, super, "CREATE ROLE "+role+" LOGIN")
	do(t, super, "ALTER DATABASE "+name+" OWNER TO "+role)
	return strings.Replace(super, postgrestest.User+"@", role+"@", 1), super
}

func roleOf(address string) string {
	return address[strings.Index(address, "role_"):strings.Index(address, "@")]
}

func do(t *testing.T, address, sql string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context()) //nolint:errcheck // a connection of this statement alone
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// nothingLeft fails if a database holds a scratch.
func nothingLeft(t *testing.T, address string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context()) //nolint:errcheck // a connection of this query alone
	var n int
	if err := c.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, $1)", scratchPrefix).Scan(&n); err != nil || n > 0 {
		t.Errorf("%d schemas are left, %v", n, err)
	}
}

func TestEveryGatePassesOnAGoodPostgres(t *testing.T) {
	server := postgrestest.Start(t, "-c", "fsync=off") // which is faster, and settings have a test of their own
	address, _ := database(t, server)
	// Of the store's suite only a part: the adapter's own tests run all of it.
	report, err := Run(t.Context(), postgresOptions(t, address,
		"version", "pooler", "replication", "clock", "schema", "access", "store/documents", "speed"))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range report.Gates {
		if g.Verdict != Go && (g.Gate != "speed" || g.Verdict == NoGo) { // a busy machine is no fault of the database
			t.Errorf("%s is %s: %+v", g.Gate, g.Verdict, g.Findings)
		}
	}
	if len(report.Left) > 0 {
		t.Errorf("left %q", report.Left)
	}
	nothingLeft(t, address)
	if !strings.HasPrefix(report.Server, "PostgreSQL 1") || strings.Contains(report.Target, "role_") {
		t.Errorf("%s on %s", report.Server, report.Target)
	}
}

// TestUnfitPostgres: each setting that must not be is found.
func TestUnfitPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	address, super := database(t, server)
	few, _ := database(t, server)
	some, _ := database(t, server)
	do(t, super, "ALTER ROLE "+roleOf(few)+" CONNECTION LIMIT 5")
	do(t, super, "ALTER ROLE "+roleOf(some)+" CONNECTION LIMIT 20")
	do(t, super, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
	for name, test := range map[string]struct {
		address string
		want    Verdict
		says    string
	}{
		"good":              {address, Go, "97 connections"},
		"lazy commits":      {address + "&synchronous_commit=off", NoGo, `synchronous_commit is "off"`},
		"encoding":          {server.URL("latin"), NoGo, `"LATIN1"`},
		"isolation":         {address + "&default_transaction_isolation=serializable", NoGo, `"serializable"`},
		"triggers off":      {super + "&session_replication_role=replica", NoGo, `"replica"`},
		"impatient":         {address + "&statement_timeout=1000", Warning, `"1000"`},
		"few connections":   {few, NoGo, "5 connections for this role"},
		"room for one node": {some, Warning, "no room for two nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			says(t, only(t, postgresOptions(t, test.address, "settings")), test.want, test.says)
		})
	}
	for version, want := range map[string]Verdict{"14.9": NoGo, "15.18 (Debian)": Go, "18beta1": Warning, "": Go} {
		o := postgresOptions(t, address, "version")
		o.version = version
		says(t, only(t, o), want, version)
	}
	o := postgresOptions(t, address, "clock")
	o.Now = func() gotong.Instant { return now().Add(-5 * time.Second) }
	says(t, only(t, o), NoGo, "ahead of ours")
	nothingLeft(t, address)
}

// TestChangesOfThePostgresAreFound: of a log as a server has left it, with one change.
func TestChangesOfThePostgresAreFound(t *testing.T) {
	server := postgrestest.Start(t, "-c", "fsync=off", "-c", "full_page_writes=off")
	address, super := database(t, server)
	says(t, only(t, postgresOptions(t, address, "settings")), NoGo, `fsync is "off"`, `full_page_writes is "off"`)
	role := roleOf(address)
	s, err := postgresOptions(t, address).Postgres.Open(t.Context(), address, storetest.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	do(t, super, "CREATE ROLE reader")
	r := &run{o: postgresOptions(t, address)}
	if err := r.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	checks := map[string]func(context.Context, *run, *findings) error{"schema": checkPostgresSchema, "access": checkPostgresAccess}
	for name, test := range map[string]struct {
		change, undo, gate string
		want               Verdict
		says               string
	}{
		"nothing":          {"SELECT 1", "SELECT 1", "schema", Go, "all their parts are as this program makes them"},
		"trigger disabled": {"ALTER TABLE events DISABLE TRIGGER events_never_deleted", "ALTER TABLE events ENABLE TRIGGER events_never_deleted", "schema", NoGo, "trigger events_never_deleted of events"},
		"trigger dropped": {
			"ALTER TRIGGER events_never_deleted ON events RENAME TO x", "ALTER TRIGGER x ON events RENAME TO events_never_deleted", "schema",
			NoGo, "trigger events_never_deleted of events, trigger x of events (added)",
		},
		"column added":     {"ALTER TABLE claims ADD COLUMN extra int", "ALTER TABLE claims DROP COLUMN extra", "schema", NoGo, "column extra of claims (added)"},
		"table missing":    {"ALTER TABLE jobs RENAME TO shop", "ALTER TABLE shop RENAME TO jobs", "schema", NoGo, "the table jobs is missing"},
		"checksum":         {"UPDATE migrations SET checksum = 'x' || checksum", "UPDATE migrations SET checksum = substr(checksum, 2)", "schema", NoGo, "checksum differs"},
		"stale":            {"UPDATE migrations SET number = -number", "UPDATE migrations SET number = -number", "schema", NoGo, "step -1"},
		"rights":           {"SELECT 1", "SELECT 1", "access", Go, "privilege to delete events: false"},
		"may delete":       {"GRANT DELETE ON events TO " + role, "REVOKE DELETE ON events FROM " + role, "access", NoGo, "privilege to delete events: true"},
		"open to all":      {"GRANT SELECT ON registers TO PUBLIC", "REVOKE SELECT ON registers FROM PUBLIC", "access", NoGo, "registers"},
		"another's rights": {"GRANT INSERT ON events TO reader", "REVOKE INSERT ON events FROM reader", "access", Warning, "reader"},
	} {
		t.Run(name, func(t *testing.T) {
			do(t, address, test.change)
			defer do(t, address, test.undo)
			var f findings
			if err := checks[test.gate](t.Context(), r, &f); err != nil {
				t.Fatal(err)
			}
			says(t, f.result(gate{name: test.gate}, 0), test.want, test.says)
		})
	}
	// The probe's proxy cuts connections.
	for _, part := range storetest.Parts() {
		part.Tests = slices.DeleteFunc(part.Tests, func(c storetest.Test) bool { return c.Name != "cuts/commit" })
		if len(part.Tests) > 0 {
			var f findings
			r.carryOutPart(t.Context(), &f, part)
			says(t, f.result(gate{name: "store/cuts"}, 0), Go, "1 of 1 case hold")
		}
	}
	if left := r.place.leave(t.Context()); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	for change, want := range map[string]Verdict{
		"SELECT 1": Go, "DROP TRIGGER events_never_deleted ON events": NoGo, "DROP TRIGGER events_never_truncated ON events": NoGo,
		"ALTER TABLE events DISABLE TRIGGER events_never_changed": NoGo,
	} {
		o := postgresOptions(t, address, "access")
		inner := o.Postgres.Open
		o.Postgres.Open = func(ctx context.Context, at string, so storetest.Options, dial pgconn.DialFunc) (store.Whole, error) {
			s, err := inner(ctx, at, so, dial)
			if err == nil {
				do(t, at, change)
			}
			return s, err
		}
		says(t, only(t, o), want)
	}
	says(t, only(t, postgresOptions(t, super, "access")), Warning, "superuser")
	nothingLeft(t, address)
}

// TestPostgresRunThatCannotBe: a run without the rights ends before it begins, one that
// is interrupted leaves nothing, and no text holds the password.
func TestPostgresRunThatCannotBe(t *testing.T) {
	server := postgrestest.Start(t, "-c", "fsync=off")
	address, super := database(t, server)
	secret := strings.Replace(address, "@", ":hidden@", 1)
	poor := strings.Replace(super, postgrestest.User+"@", "poor@", 1)
	do(t, super, "CREATE ROLE poor LOGIN")
	if report, err := Run(t.Context(), postgresOptions(t, poor, "version")); !errors.Is(err, ErrScratch) || len(report.Gates) > 0 {
		t.Errorf("%v, %+v", err, report)
	}
	if _, err := Run(t.Context(), postgresOptions(t, strings.Replace(secret, "role_", "nobody_", 1), "version")); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v", err)
	}
	do(t, address, "CREATE SCHEMA "+scratchPrefix+"killed")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := postgresOptions(t, secret)
	o.Progress = func(p Progress) {
		if p.Name == "store/commit" && p.Result == nil {
			cancel()
		}
	}
	report, err := Run(ctx, o)
	if !errors.Is(err, context.Canceled) || report.Verdict != NotChecked || len(report.Left) > 0 {
		t.Errorf("%v, %s, left %q", err, report.Verdict, report.Left)
	}
	text, _ := json.Marshal(report)
	if all := string(text) + report.Text(nil); strings.Contains(all, "hidden") || !strings.Contains(all, "DROP SCHEMA "+scratchPrefix+"killed CASCADE") {
		t.Error(all)
	}
	do(t, address, "DROP SCHEMA "+scratchPrefix+"killed")
	nothingLeft(t, address)
}

// TestStandbysOfAPostgres: what waits for a standby, a standby itself, and two
// primaries.
func TestStandbysOfAPostgres(t *testing.T) {
	first, standby := postgrestest.Pair(t, "-c", "fsync=off")
	gate := func(address string, more ...string) Options {
		return postgresOptions(t, address, append([]string{"replication"}, more...)...)
	}
	address := first.URL("postgres")
	both := "postgres://" + postgrestest.User + "@/postgres?host=127.0.0.1,127.0.0.1&port=" + first.Port + "," + standby.Port + "&sslmode=disable"
	says(t, only(t, gate(both)), Go, "is a standby", "1 standby, 1 of them synchronous", "it is on a standby too")
	says(t, only(t, gate(address+"&synchronous_commit=local")), Warning, "no commit waits")

	report, err := Run(t.Context(), gate(standby.URL("postgres"), "schema"))
	if err != nil {
		t.Fatal(err)
	}
	says(t, report.Gates[0], NoGo, "the server is a standby")
	says(t, report.Gates[1], NotChecked, "nothing can be tried")

	standby.Promote()
	says(t, only(t, gate(both)), NoGo, "is a primary on timeline 1", "is a primary on timeline 2", "none is there")
	standby.Kill()
	do(t, address+"&synchronous_commit=local", "ALTER SYSTEM RESET synchronous_standby_names")
}
