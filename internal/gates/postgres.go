package gates

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

// Postgres is the operator's PostgreSQL, and what the gates need of the store on it.
type Postgres struct {
	Address    string // as gotong serve has it, and as Config was parsed from it
	Config     *pgxpool.Config
	Properties store.Properties
	// Open opens a store and creates its schema. It accepts any settings of the whole
	// server, which the gates judge. The zero storetest.Options stand for the
	// program's own collections and clock.
	Open func(ctx context.Context, address string, o storetest.Options, dial pgconn.DialFunc) (store.Whole, error)
}

// ParsePostgres parses the address of a database. connections is how many a node opens if
// the address has no pool_max_conns. Its errors never contain the password.
func ParsePostgres(address string, connections int32) (*Postgres, error) {
	cfg, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(address, "pool_max_conns=") {
		cfg.MaxConns = connections
	}
	return &Postgres{Address: address, Config: cfg}, nil
}

// String returns the address without user, password and parameters.
func (p *Postgres) String() string {
	c := p.Config.ConnConfig
	var hosts []string
	for _, h := range primary.Hosts(&c.Config) {
		hosts = append(hosts, net.JoinHostPort(h.Host, fmt.Sprint(h.Port)))
	}
	return "postgres://" + strings.Join(hosts, ",") + "/" + c.Database
}

// onPostgres is the place of a run on PostgreSQL: schemas of its own in the
// operator's database.
type onPostgres struct {
	o       Options
	conn    *pgx.Conn
	schema  string   // the operator's
	name    string   // the first schema of the scratch, and how the names of the others begin
	why     string   // why there is no scratch; empty: there is one
	pooler  bool     // a pooler answers, not the server
	standby bool     // the server replays another one's log
	others  []string // schemas of other runs
}

// connect connects to a database that may be behind a pooler, so each query is sent
// as it is, and nothing is set for longer than a transaction.
func (p *onPostgres) connect(ctx context.Context, schema string) (*pgx.Conn, error) {
	cfg := p.o.Postgres.Config.ConnConfig.Copy()
	cfg.DefaultQueryExecMode, cfg.ConnectTimeout = pgx.QueryExecModeExec, 15*time.Second
	if schema != "" {
		cfg.RuntimeParams["search_path"] = schema
	}
	return pgx.ConnectConfig(ctx, cfg)
}

func enterPostgres(ctx context.Context, o Options) (p *onPostgres, err error) {
	p = &onPostgres{o: o, name: scratchPrefix + strings.ToLower(rand.Text()[:10])}
	if p.conn, err = p.connect(ctx, ""); err != nil {
		return nil, err
	}
	if err = p.look(ctx); err == nil && p.why == "" {
		if err = p.create(ctx, p.name); err != nil {
			err = fmt.Errorf("%w: %w", ErrScratch, err)
		}
	}
	if err != nil {
		_ = p.conn.Close(ctx)
	}
	return p, err
}

// look finds out whether a scratch can be used, and what other runs have left.
func (p *onPostgres) look(ctx context.Context) error {
	var pid uint32
	var waits bool
	var schema *string
	err := p.conn.QueryRow(ctx, `SELECT pg_backend_pid(), current_schema(), pg_is_in_recovery(),
		(SELECT coalesce(array_agg(nspname::text), '{}') FROM pg_namespace WHERE starts_with(nspname, $1)),
		current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') NOT IN ('local', 'off')
			AND NOT EXISTS (SELECT FROM pg_stat_replication)`, scratchPrefix).
		Scan(&pid, &schema, &p.standby, &p.others, &waits)
	if err != nil {
		return err
	}
	if schema != nil {
		p.schema = *schema
	}
	for i, name := range p.others {
		p.others[i] = fmt.Sprintf("%s is of a run that was killed or still runs: DROP SCHEMA %s CASCADE", name, name)
	}
	// A pooler gives its clients numbers of its own for cancelling.
	switch p.pooler = pid != p.conn.PgConn().PID(); {
	case p.standby:
		p.why = "the server is a standby"
	case p.pooler:
		p.why = "a pooler, which may ignore search_path, is before the server"
	case waits:
		p.why = "commits wait for a standby, and none is there"
	}
	return nil
}

// create makes a schema; it does not wait for a standby.
func (p *onPostgres) create(ctx context.Context, schema string) error {
	return p.local(ctx, p.conn, "CREATE SCHEMA IF NOT EXISTS "+schema)
}

func (*onPostgres) local(ctx context.Context, c *pgx.Conn, statement string) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = local")
		if err == nil {
			_, err = tx.Exec(ctx, statement)
		}
		return err
	})
}

func (p *onPostgres) about() (server string, others []string) {
	return "PostgreSQL " + p.version(), p.others
}

func (p *onPostgres) missing() string { return p.why }

func (p *onPostgres) now(ctx context.Context) (at time.Time, err error) {
	err = p.conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at)
	return at, err
}

func (p *onPostgres) open(ctx context.Context) (store.Whole, error) {
	return p.openIn(ctx, p.name, storetest.Options{}, nil)
}

// openIn opens the store in a schema of the scratch. Over a dialer of the probe, it has
// one connection.
func (p *onPostgres) openIn(ctx context.Context, schema string, o storetest.Options, dial pgconn.DialFunc) (store.Whole, error) {
	if err := p.create(ctx, schema); err != nil {
		return nil, err
	}
	ours := "search_path=" + schema
	if dial != nil {
		ours += "&pool_max_conns=1"
	}
	path, theirs, _ := strings.Cut(p.o.Postgres.Address, "?")
	return p.o.Postgres.Open(ctx, path+"?"+ours+"&"+theirs, o, dial) // of two parameters, the first one counts
}

func (p *onPostgres) harness(ctx context.Context) storetest.Harness {
	schema := fmt.Sprint(p.name, "_case", cases.Add(1))
	h := storetest.Harness{
		Properties: p.o.Postgres.Properties, For: p.o.For / 2,
		Open: func(o storetest.Options) (store.Whole, error) { return p.openIn(ctx, schema, o, nil) },
	}
	server := p.conn.PgConn().Conn().RemoteAddr()
	if server.Network() != "tcp" {
		h.Properties.Definite = store.Property{Holds: true, Why: "the address is that of a Unix socket, and only TCP can be cut"}
	}
	h.Through = func(o storetest.Options) (store.Whole, *netfault.Proxy, error) {
		proxy, err := netfault.Start(ctx, server.String())
		if err != nil {
			return nil, nil, err
		}
		s, err := p.openIn(ctx, schema, o, func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, proxy.Addr())
		})
		if err != nil {
			proxy.Close()
		}
		return s, proxy, err
	}
	return h
}

// leave removes every schema of the scratch, on a connection of its own, because a
// gate that ran out of time has spoilt the other one.
func (p *onPostgres) leave(ctx context.Context) (left []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	_ = p.conn.Close(ctx)
	if p.why != "" {
		return nil
	}
	c, err := p.connect(ctx, "")
	names := []string{p.name}
	if err == nil {
		defer c.Close(ctx) //nolint:errcheck // nothing depends on it
		err = c.QueryRow(ctx, "SELECT array_agg(nspname::text) FROM pg_namespace WHERE starts_with(nspname, $1)", p.name).Scan(&names)
	}
	for _, name := range names {
		statement := "DROP SCHEMA IF EXISTS " + name + " CASCADE"
		if err == nil {
			err = p.local(ctx, c, statement)
		}
		if err != nil {
			left = append(left, name+" could not be removed ("+err.Error()+"): "+statement)
		}
	}
	return left
}
