package gates

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store/storetest"
)

func postgresGates() (first, last []gate) {
	return []gate{
		{"version", "Is the server of a supported version?", checkPostgresVersion, false},
		{"pooler", "Does the server itself answer, and not a pooler?", checkPooler, false},
		{"settings", "Do syncs, encoding, isolation and connections fit?", checkSettings, false},
		{"replication", "Is it the one primary, and do its standbys keep up?", checkReplication, false},
		{"clock", "Does its clock agree with this one?", checkClock, false},
		{"schema", "Is the schema of your database the one of this program?", checkPostgresSchema, true},
		{"access", "Is the log append-only, for the program's role too?", checkPostgresAccess, true},
	}, []gate{{"speed", "Are commits and pages fast enough?", checkSpeedOfStore, true}}
}

// The versions of PostgreSQL: the least that the store accepts, and the one with which
// this program is tested.
const leastPostgres, testedPostgres = 15, 15

func (p *onPostgres) version() string {
	if p.o.version != "" {
		return p.o.version
	}
	return p.conn.PgConn().ParameterStatus("server_version")
}

func checkPostgresVersion(_ context.Context, r *run, f *findings) error {
	text := r.pg.version()
	major, _ := strconv.Atoi(strings.FieldsFunc(text+".", func(c rune) bool { return c < '0' || c > '9' })[0]) // digits
	seen := fmt.Sprintf("the server is %q; tested is %d", text, testedPostgres)
	switch {
	case major < leastPostgres:
		f.badf(fmt.Sprintf("PostgreSQL %d or later", leastPostgres), "%s", seen)
	case major == testedPostgres:
		f.goodf("%s", seen)
	default:
		f.warnf("use it only if every other gate passes; rehearse with a copy of your data, and keep a way back (gotong copy)", "%s", seen)
	}
	return nil
}

func checkPooler(_ context.Context, r *run, f *findings) error {
	if !r.pg.pooler {
		f.goodf("no pooler: the server itself answers")
		return nil
	}
	f.warnf("for the other gates, give the address of the server itself; for serve, a pooler in transaction mode needs "+
		"default_query_exec_mode=exec in the address, and --bus redis or none", "a pooler answers, not the server")
	return nil
}

// wanted is what a setting must be.
type wanted struct {
	name string
	fine func(v string) bool
	bad  Verdict
	way  string
}

func is(want string) func(string) bool { return func(v string) bool { return v == want } }

func (p *onPostgres) judge(ctx context.Context, f *findings, list []wanted) error {
	var seen []string
	for _, w := range list {
		var value string
		err := p.conn.QueryRow(ctx, "SELECT setting FROM pg_settings WHERE name = $1", w.name).Scan(&value)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", w.name, err)
		case w.fine(value):
			seen = append(seen, w.name+" "+value)
		default:
			f.add(w.bad, w.way, "%s is %s", []any{w.name, strconv.Quote(value)})
		}
	}
	if len(seen) > 0 {
		f.goodf("%s", strings.Join(seen, ", "))
	}
	return nil
}

const (
	always  = "after a power loss, acknowledged writes may be missing or the database damaged; set it to on, and restart"
	forRole = "ALTER ROLE … RESET of it; look at ALTER DATABASE and the address too"
)

// shortest is the shortest statement_timeout that leaves a node its patience.
const shortest = 20 * time.Second

func checkSettings(ctx context.Context, r *run, f *findings) error {
	err := r.pg.judge(ctx, f, []wanted{
		{"fsync", is("on"), NoGo, always},
		{"full_page_writes", is("on"), NoGo, always},
		{"synchronous_commit", func(v string) bool { return v != "off" }, NoGo, "acknowledged writes would be lost; " + forRole},
		{"server_encoding", is("UTF8"), NoGo, "a database with ENCODING 'UTF8'; its collation does not matter"},
		{"default_transaction_isolation", is("read committed"), NoGo, forRole},
		{"default_transaction_read_only", is("off"), NoGo, forRole},
		{"session_replication_role", is("origin"), NoGo, "the triggers that keep the log append-only do not run; " + forRole},
		{"statement_timeout", func(v string) bool {
			ms, err := strconv.Atoi(v)
			return err == nil && (ms == 0 || ms >= int(shortest.Milliseconds()))
		}, Warning, "at least " + shortest.String() + " for this role, because writes may wait for others"},
	})
	if err != nil {
		return err
	}
	var most, used int
	err = r.pg.conn.QueryRow(ctx, `SELECT least(nullif(datconnlimit, -1), nullif(rolconnlimit, -1),
		current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int),
		(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
		FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user`).Scan(&most, &used)
	need := int(r.o.Postgres.Config.MaxConns) + connectionsOfBus
	seen := fmt.Sprintf("%d connections for this role, %s now; a node opens up to %d", most, count(used, "client"), need)
	const way = "raise max_connections or the limit of the role, or lower pool_max_conns in the address"
	switch {
	case err != nil:
		return err
	case most < need:
		f.badf(way, "%s", seen)
	case most-used < 2*need:
		f.warnf(way, "%s: there is no room for two nodes", seen)
	default:
		f.goodf("%s", seen)
	}
	return nil
}

const connectionsOfBus = 2

func checkReplication(ctx context.Context, r *run, f *findings) error {
	primaries, seen := r.pg.hosts(ctx)
	f.judgef(primaries <= 1, "stop the old primary: two servers accept writes", "%s", strings.Join(seen, "; "))
	if r.pg.standby {
		f.badf("the address of the primary, or all hosts and target_session_attrs=read-write", "the server is a standby")
		return nil
	}
	var names, commit string
	var all, synced, hidden int
	var lag float64
	err := r.pg.conn.QueryRow(ctx, `SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
		count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')), count(*) FILTER (WHERE state IS NULL),
		coalesce(max(extract(epoch FROM replay_lag)), 0)::float FROM pg_stat_replication`).
		Scan(&names, &commit, &all, &synced, &hidden, &lag)
	const asynchronous = "name a standby in synchronous_standby_names, or accept that a promotion loses the last writes"
	switch {
	case err != nil:
		return err
	case hidden > 0:
		f.skipf("GRANT pg_monitor TO the role", "the state of %s is hidden from this role", count(all, "standby"))
	case names != "" && synced == 0 && commit != "local":
		f.badf("start the standby, or take its name from synchronous_standby_names", "commits wait for %s, and none is there", names)
	case names != "" && commit == "local":
		f.warnf(forRole, "synchronous_commit is local, so no commit waits for %s", names)
	case names == "" && all > 0:
		f.warnf(asynchronous, "%s, and no commit waits for one", count(all, "standby"))
	default:
		f.goodf("%s, %d of them synchronous", count(all, "standby"), synced)
	}
	if slow := time.Duration(lag * float64(time.Second)); slow > r.o.lag {
		f.warnf("look at the load and the network of the standbys", "a standby is %s behind", short(slow))
	}
	if r.pg.why != "" {
		return nil
	}
	return r.pg.survives(ctx, f)
}

// survives reports what the store says about acknowledged writes and its connections.
func (p *onPostgres) survives(ctx context.Context, f *findings) error {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	if notes, ok := s.(interface{ Notes() []string }); ok {
		for i, note := range notes.Notes() { // the first one is what a write survives, the others are faults
			if i == 0 {
				f.goodf("%s", note)
				continue
			}
			seen, way, _ := strings.Cut(note, "; ")
			f.warnf(way, "%s", seen)
		}
	}
	return s.Close()
}

// hosts asks every host of the address for its timeline.
func (p *onPostgres) hosts(ctx context.Context) (primaries int, seen []string) {
	c := p.o.Postgres.Config.ConnConfig
	for _, h := range primary.Hosts(&c.Config) {
		alone := c.Copy()
		alone.Config = *h
		alone.ConnectTimeout, alone.DefaultQueryExecMode = 5*time.Second, pgx.QueryExecModeExec
		state := "does not answer"
		if conn, err := pgx.ConnectConfig(ctx, alone); err == nil {
			err = conn.QueryRow(ctx, `SELECT CASE WHEN pg_is_in_recovery() THEN 'is a standby' ELSE 'is a primary on timeline ' ||
				('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END`).Scan(&state)
			if _ = conn.Close(ctx); err == nil && strings.Contains(state, "primary") {
				primaries++
			}
		}
		seen = append(seen, fmt.Sprintf("%s:%d %s", h.Host, h.Port, state))
	}
	return primaries, seen
}

// partsOf returns every table and view of a schema with its parts. The name of the
// schema is left out of the definitions.
const partsOf = `SELECT c.relname, what, replace(part, quote_ident($1) || '.', '') FROM pg_class c, LATERAL (
	SELECT '' AS what, concat(c.relkind, pg_get_viewdef(CASE c.relkind WHEN 'v' THEN c.oid END)) AS part
	UNION ALL SELECT 'column ' || attname, concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, attidentity, attcollation::int,
		pg_get_expr(adbin, adrelid))
		FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
	UNION ALL SELECT 'index ' || relname, pg_get_indexdef(oid)
		FROM pg_index JOIN pg_class i ON i.oid = indexrelid WHERE indrelid = c.oid
	UNION ALL SELECT 'constraint ' || conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = c.oid
	UNION ALL SELECT 'trigger ' || tgname, concat(tgenabled, pg_get_triggerdef(t.oid), prosrc)
		FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid WHERE tgrelid = c.oid AND NOT tgisinternal
	) AS parts WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`

func (p *onPostgres) schemaOf(ctx context.Context, name string) (schema, error) {
	found := schema{tables: map[string]table{}}
	rows, err := p.conn.Query(ctx, partsOf, name)
	if err != nil {
		return found, err
	}
	var of, what, part string
	_, err = pgx.ForEachRow(rows, []any{&of, &what, &part}, func() error {
		t := found.tables[of]
		if t.parts == nil {
			t.parts = map[string]string{}
		}
		if what == "" {
			t.definition = part
		} else {
			t.parts[what] = part
		}
		found.tables[of] = t
		return nil
	})
	if _, ok := found.tables["migrations"]; err != nil || !ok {
		return found, err
	}
	ledger := pgx.Identifier{name, "migrations"}.Sanitize() //nolint:misspell // a method of pgx
	rows, err = p.conn.Query(ctx, "SELECT number, name, checksum FROM "+ledger+" ORDER BY number")
	if err != nil {
		return found, err
	}
	found.ledger, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s step, err error) {
		return s, row.Scan(&s.Number, &s.Name, &s.Checksum)
	})
	return found, err
}

func checkPostgresSchema(ctx context.Context, r *run, f *findings) error {
	s, err := r.openStore(ctx)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	want, err := r.pg.schemaOf(ctx, r.pg.name)
	if err != nil {
		return err
	}
	have, err := r.pg.schemaOf(ctx, r.pg.schema)
	if err == nil {
		compareSchemas(f, want, have)
	}
	return err
}

func checkPostgresAccess(ctx context.Context, r *run, f *findings) error {
	s, err := r.openStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // a store of this probe alone
	err = r.write(ctx, s, storetest.NewMaker(s.Epoch()), storetest.Draft{Stream: unused(), Events: 1})
	if err != nil {
		return err
	}
	if err := r.pg.appendOnly(ctx, f); err != nil {
		return err
	}
	return r.pg.yourRights(ctx, f)
}

// appendOnly tries to change the log of the scratch, as it is and with the privileges
// that its owner can give back to themselves.
func (p *onPostgres) appendOnly(ctx context.Context, f *findings) error {
	events := p.name + ".events"
	for _, grant := range []string{"", "GRANT UPDATE, DELETE, TRUNCATE ON " + events + " TO CURRENT_USER"} {
		for _, change := range []string{"DELETE FROM " + events, "UPDATE " + events + " SET data = ''", "TRUNCATE " + events} {
			tx, err := p.conn.Begin(ctx)
			if err != nil {
				return err
			}
			if _, err = tx.Exec(ctx, grant); err == nil {
				_, err = tx.Exec(ctx, change)
			}
			_ = tx.Rollback(ctx)
			var e *pgconn.PgError
			switch {
			case err == nil:
				f.badf(restore, "%s was not rejected", change)
				return nil
			case !errors.As(err, &e) || e.Code != "23001" && (grant != "" || e.Code != "42501"):
				return err
			}
		}
	}
	f.goodf("nobody changes or deletes an event: the privileges are revoked, and with them the triggers reject it")
	return nil
}

// yourRights reads who may change the operator's own log.
func (p *onPostgres) yourRights(ctx context.Context, f *findings) error {
	var super, there, may bool
	var others, everybody []string
	err := p.conn.QueryRow(ctx, `SELECT rolsuper, to_regclass(t) IS NOT NULL,
		coalesce(has_table_privilege(to_regclass(t), 'DELETE, TRUNCATE'), false),
		(SELECT coalesce(array_agg(DISTINCT grantee::text), '{}') FROM information_schema.table_privileges
			WHERE table_schema = $1 AND grantee NOT IN (current_user, 'PUBLIC') AND privilege_type <> 'SELECT'),
		(SELECT coalesce(array_agg(DISTINCT table_name::text), '{}') FROM information_schema.table_privileges
			WHERE table_schema = $1 AND grantee = 'PUBLIC')
		FROM pg_roles, LATERAL (SELECT quote_ident($1) || '.events' AS t) AS named WHERE rolname = current_user`, p.schema).
		Scan(&super, &there, &may, &others, &everybody)
	switch {
	case err != nil:
		return err
	case super:
		f.warnf("a role for this program alone, the owner of its database and no superuser",
			"the role is a superuser, who can disable the triggers")
	case !there:
		f.goodf("your database: no log yet")
	default:
		f.judgef(!may, "REVOKE DELETE, TRUNCATE ON events FROM the role",
			"your database: the role has the privilege to delete events: %t", may)
	}
	f.judgef(len(everybody) == 0, "REVOKE ALL … FROM PUBLIC", "your database: open to everybody: %s", noneOr(everybody))
	if len(others) > 0 {
		f.warnf("REVOKE what they do not need", "your database: other roles that may write: %s", strings.Join(others, ", "))
	}
	return nil
}
