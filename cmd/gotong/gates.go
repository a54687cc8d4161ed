package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/gates"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	postgresstore "gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/storetest"
	surrealstore "gotong.dev/gotong/internal/store/surreal"
	"gotong.dev/gotong/internal/surreal"
)

type gatesCmd struct {
	Store         string        `name:"store" help:"The SurrealDB or PostgreSQL, with the address that gotong serve has. A user of SurrealDB must be of root or of the namespace; a role of PostgreSQL needs CREATE on the database." placeholder:"URL" secret:""`
	Only          []string      `name:"only" help:"Only these gates: on SurrealDB ${gates}; on PostgreSQL ${postgresgates}, and the same of store." placeholder:"GATE,…"`
	For           time.Duration `name:"for" help:"How long each probe runs." default:"5s"`
	AllowUntested bool          `name:"allow-untested" help:"Count an unsupported version as a warning."`
	JSON          bool          `name:"json" help:"Print the report as JSON."`
}

func (*gatesCmd) Help() string {
	return `Before a first start, and for every new version of the database or of this program. It tries the server in a
namespace (on PostgreSQL, in schemas) of its own beside yours, which it removes again; of your database it reads the
definitions alone. It takes one to two minutes and loads the server meanwhile.

Exit codes: 0 go, 1 no-go, 2 wrong use, 3 it could not be carried out.

Examples:

    gotong gates --store surreal://root:PASSWORD@db.example:8000/gotong/main
    GOTONG_STORE_FILE=store.url gotong gates --json >report.json
    gotong gates --only engine,store/nodes --for 60s
    gotong gates --store 'postgres://gotong@db.example/gotong?sslmode=verify-full'
    gotong gates --allow-untested`
}

// The exit codes of gotong gates, beside 0 and 2.
const (
	exitNoGo     = 1
	exitNotKnown = 3
)

// maxFor bounds the time of a probe, because it remembers what was
// acknowledged.
const maxFor = 10 * time.Minute

func (c *gatesCmd) Run(ctx context.Context, std *stdio) error {
	options, err := c.options(std)
	if err != nil {
		return err
	}
	report, err := gates.Run(ctx, options)
	if err == nil || len(report.Gates) > 0 {
		if err := c.print(std, report); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(err, gates.ErrUnknownGate):
		return &failure{err: err, code: 2, hint: "gotong gates --help"}
	case err != nil:
		return c.notKnown(ctx, report, err)
	case report.Verdict == gates.NoGo:
		return &failure{err: errors.New("no-go: do not start a server on this database as it is"), code: exitNoGo}
	default:
		return nil
	}
}

func (c *gatesCmd) options(std *stdio) (gates.Options, error) {
	const hint = "gotong gates --store surreal://… or postgres://… as gotong serve has it, or GOTONG_STORE"
	if c.Store == "" {
		return gates.Options{}, misuse(hint, "no database is given")
	}
	if c.For <= 0 || c.For > maxFor {
		return gates.Options{}, misuse("--for 5s", "--for must be above 0 and at most %s", maxFor)
	}
	o := gates.Options{
		Only: c.Only, AllowUntested: c.AllowUntested, For: c.For, Now: now,
		Progress: func(p gates.Progress) { showGate(std, p) },
	}
	var err error
	if config.OnPostgres(c.Store) {
		if o.Postgres, err = gates.ParsePostgres(c.Store, postgresstore.MaxConns); err == nil {
			o.Postgres.Properties, o.Postgres.Open = postgresstore.Properties, openPostgres
		}
	} else if o.Target, err = gates.Parse(c.Store); err == nil {
		o.Adapter = gates.Adapter{Supported: surrealstore.Supported, Properties: surrealstore.Properties, Open: openSurreal}
	}
	if err != nil {
		return gates.Options{}, misuse(hint, "the address of the database: %v", err)
	}
	return o, nil
}

// ours returns the program's own options where a gate has none.
func ours(o storetest.Options) storetest.Options {
	if o.Now == nil {
		o = storetest.Options{Collections: store.Collections(app.Kinds()), Now: now}
	}
	return o
}

func openSurreal(ctx context.Context, cfg surreal.Config, o storetest.Options, client surreal.Options) (store.Whole, error) {
	o = ours(o)
	return surrealstore.Open(ctx, cfg, surrealstore.Options{
		Collections: o.Collections, Now: o.Now, UnsafeEngine: true, AllowUntested: true, Client: client,
	})
}

func openPostgres(ctx context.Context, address string, o storetest.Options, dial pgconn.DialFunc) (store.Whole, error) {
	o = ours(o)
	return postgresstore.Open(ctx, address, postgresstore.Options{
		Collections: o.Collections, Now: o.Now, Servers: primary.Options{Unsafe: true, Dial: dial},
	})
}

// notKnown returns the failure of a run that could not be completed.
func (c *gatesCmd) notKnown(ctx context.Context, report gates.Report, err error) error {
	f := &failure{
		err: err, code: exitNotKnown,
		hint: "to find out whether the server runs at " + report.Target + " and can be reached from here",
	}
	switch {
	case ctx.Err() != nil:
		f.err, f.hint = errors.New("interrupted; the scratch was removed"), "the same command again"
		if len(report.Left) > 0 {
			f.err, f.hint = errors.New("interrupted"), strings.Join(report.Left, "; ")
		}
	case errors.Is(err, surreal.ErrAuth):
		f.hint = "the user, the password and level= of the address"
	case errors.Is(err, gates.ErrScratch):
		f.hint = "a user of root, or of the namespace with level=namespace, who is an OWNER or EDITOR there; " +
			"on PostgreSQL, GRANT CREATE ON DATABASE … TO the role"
	}
	return f
}

func (c *gatesCmd) print(std *stdio, report gates.Report) error {
	if c.JSON {
		return indented(std.out, report)
	}
	_, err := fmt.Fprint(std.out, report.Text(func(v gates.Verdict, text string) string {
		switch v {
		case gates.NoGo:
			return std.paint(red, text)
		case gates.Go:
			return std.paint(bold, text)
		default:
			return std.paint(dim, text)
		}
	}))
	return err
}

func showGate(std *stdio, p gates.Progress) {
	place := fmt.Sprintf("[%d/%d] %s", p.Number, p.Of, p.Name)
	switch {
	case p.Result != nil:
		std.wipe()
		_, _ = fmt.Fprintf(std.err, "%s: %s, %.1f s\n", place, p.Result.Verdict, float64(p.Result.TookMS)/1000)
	case std.progress:
		_, _ = fmt.Fprintf(std.err, "%s …", place)
	}
}

func gateNames(onPostgres bool) string {
	names := gates.Names(onPostgres)
	if onPostgres {
		names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "store/") })
	}
	return strings.Join(names, ", ")
}
