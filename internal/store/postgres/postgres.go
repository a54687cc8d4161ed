// Package postgres is the store on PostgreSQL 15 or later, which several nodes
// share.
//
// A batch is one transaction of two round trips. The first one locks the partitions
// and streams on which the batch rests, in one order for all nodes, and reads what
// decides; the second one writes and commits. Because a position is assigned under
// the lock of its partition, which is held until the commit has ended, positions
// become visible in their order. ADR 0032 has the reasons and the figures.
//
// Every transaction checks that the server is still the primary of the newest
// timeline that this node knows, and that synchronous_commit is not off.
//
// # Caveats
//
// A superuser can disable the triggers that keep the log append-only; the chain
// shows what was changed. An erased text stays in the files until VACUUM FULL
// writes the table anew, and in the WAL and backups. [Properties] lists what this
// store does not promise.
package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// Options are the settings of a [Store].
type Options struct {
	// Collections are the documents' collections; each is a table doc_<name>,
	// which Open creates if it is missing. A name has 1 to 48 characters of
	// a-z0-9_.
	Collections []string
	// Now is the clock by which registers expire; nil: they never expire.
	Now func() gotong.Instant
	// Clock is compared with the server's, see [store.MaxSkew]; nil: no clock is.
	Clock func() gotong.Instant
	// Servers says which servers are accepted.
	Servers primary.Options
	// Observe is that of [store.WriterOptions].
	Observe func(commits int) (ended func())
}

// Store implements [store.Whole] on one schema of a database. It is safe for
// concurrent use, and other processes may use the same schema.
type Store struct {
	*store.Node
	sqlstore.Store

	pool  *pgxpool.Pool
	guard *primary.Guard
	notes []string
}

var _ store.Whole = (*Store)(nil)

// Properties are what a [Store] promises where stores differ.
var Properties = store.Properties{
	Durable:  store.Property{Holds: true, Why: "everything is on the server"},
	Synced:   store.Property{Holds: true, Why: "a server with fsync off is rejected, and so is a connection with synchronous_commit off"},
	Shared:   store.Property{Holds: true, Why: "a transaction locks the rows on which it rests"},
	Definite: store.Property{Holds: false, Why: "a connection can be lost after the server received a COMMIT"},
	Undoes:   store.Property{Holds: true, Why: "a batch is one transaction, which the server rolls back"},
	Resumes:  store.Property{Holds: true, Why: "a node keeps no state that a failed write can spoil"},
	Forgets:  store.Property{Holds: false, Why: "old rows stay in the files until VACUUM FULL, and in the WAL"},
}

// MaxConns is how many connections a node opens at most, unless the address has
// pool_max_conns.
const MaxConns = 16

// CheckAddress returns what is wrong with the address of a database. It connects to
// nothing.
func CheckAddress(address string) error {
	_, err := pgxpool.ParseConfig(address)
	return err
}

// Open connects, brings the schema up to date and creates what is missing. It
// returns [primary.ErrServer], [primary.ErrTimeline], [store.ErrHeader], [store.ErrForeign],
// [store.ErrNewerSchema], [store.ErrChangedSchema] or [store.ErrClock] if the
// database must not be used.
func Open(ctx context.Context, address string, o Options) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	if explicit, err := pgx.ParseConfig(address); err == nil && explicit.RuntimeParams["pool_max_conns"] == "" {
		cfg.MaxConns = MaxConns
	}
	guard, err := primary.New(&cfg.ConnConfig.Config, o.Servers)
	if err != nil {
		return nil, err
	}
	guard.Watch(&cfg.ConnConfig.Config)
	cfg.ConnConfig.OnNotice = warn
	cfg.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false } // what fails is repeated
	cfg.BeforeConnect = func(ctx context.Context, _ *pgx.ConnConfig) error { guard.Ask(ctx); return nil }
	node, err := store.NewNode(ctx, o.Collections, o.Now, o.Clock)
	if err != nil {
		return nil, err
	}
	s := &Store{Node: node, guard: guard}
	s.Store = sqlstore.NewStore(sqlstore.DB{
		Read: s.read, Write: s.write, Positions: readPositions, Log: s.log, Project: project, Restore: restore,
		Stream:  func(_ sqlstore.Batch, row sqlstore.Row) (store.StreamRow, int64, error) { return scanHead(row) },
		Streams: "SELECT " + headColumns + " FROM streams WHERE no > $1 AND seq > 0 ORDER BY no",
		Claims:  selectClaims, Empty: isEmpty, InCommit: "e.seq",
		Lock: " FOR NO KEY UPDATE", Skip: " FOR UPDATE SKIP LOCKED", Greatest: "greatest", Waiting: "NOT dead",
	}, node.Base)
	if s.pool, err = pgxpool.NewWithConfig(s.Context, cfg); err == nil {
		err = failure(s.prepare(ctx))
	}
	if err != nil {
		s.Stop(func() {
			if s.pool != nil {
				s.pool.Close()
			}
		})
		c := cfg.ConnConfig
		return nil, fmt.Errorf("postgres: open %s:%d/%s: %w", c.Host, c.Port, c.Database, err)
	}
	s.Start(s.settle, o.Observe, s.checkClock, s.clear)
	return s, nil
}

func (s *Store) prepare(ctx context.Context) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	if err := primary.CheckPooler(ctx, c.Conn()); err != nil {
		return err
	}
	if s.notes, err = s.guard.Settings(ctx, c.Conn()); err != nil {
		return err
	}
	err = pgx.BeginTxFunc(ctx, c, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if err := migrate(ctx, tx); err != nil {
			return err
		}
		for name := range s.Collections {
			if _, err := tx.Exec(ctx, tableOf(name), pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		return s.openEras(ctx, tx)
	})
	if err != nil {
		return err
	}
	return s.checkClock(ctx)
}

// Notes returns what an operator should know about the server: first what an
// acknowledged write survives, then each fault of the connection, with its remedy after "; ".
func (s *Store) Notes() []string { return s.notes }

// Guard returns what the store knows of its servers, for other connections to them.
func (s *Store) Guard() *primary.Guard { return s.guard }

// Connections returns how many connections have been opened. After a new one, the
// server may be another one.
func (s *Store) Connections() uint64 { return uint64(s.pool.Stat().NewConnsCount()) } //nolint:gosec // a count

// Close writes what is queued, waits for the calls that run and closes the
// connections. Every later call fails with [store.ErrClosed].
func (s *Store) Close() error {
	s.Stop(s.pool.Close)
	return nil
}

// Time returns the time of the server's clock.
func (s *Store) Time(ctx context.Context) (at gotong.Instant, err error) {
	err = s.pool.QueryRow(ctx, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").Scan(&at) // in any DateStyle
	return at, err
}

func (s *Store) checkClock(ctx context.Context) error { return s.Clock.Compare(ctx, s.Time) }
