// Package surreal is the store on SurrealDB 3.x and 2.6.x: the one database
// that several nodes share.
//
// A batch is one request: a transaction that first compares the heads, positions
// and registers on which it rests, and then writes. If one of them differs, the
// transaction throws and leaves nothing; the outcomes are then decided by what
// one read shows, and the remaining commits are written again. Every row on which
// a decision rests is also written, because the engines' snapshot isolation
// detects only writes that collide. ADR 0015 has the reasons and the figures.
//
// Every record has its natural key as its id, and every read of the log is a closed
// range of ids. Only the searches for due jobs depend on a secondary index: its
// order is the order in which jobs are claimed.
//
// # Caveats
//
// The engines mem and surrealkv lose acknowledged writes; [Open] rejects them
// unless [Options.UnsafeEngine] is set. The system users of the database can do
// anything except change or delete an event. A range of documents with a limit
// costs as much as the whole range on 3.x, and as much as what it returns on 2.6.
// [Properties] lists what this store does not promise.
package surreal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// Options are the settings of a [Store].
type Options struct {
	// Collections are the documents' collections; each is a table doc_<name>,
	// which Open creates if it is missing. A name has 1 to 48 characters of
	// a-z0-9_.
	Collections []string
	// Now is the clock by which registers expire; nil: they never expire.
	Now func() gotong.Instant
	// Clock is compared with the database's, see [store.MaxSkew]; nil: no clock is.
	Clock func() gotong.Instant
	// UnsafeEngine accepts an engine that may lose acknowledged writes.
	UnsafeEngine bool
	// AllowUntested accepts a version that is not in [Supported].
	AllowUntested bool
	// Observe is that of [store.WriterOptions].
	Observe func(commits int) (ended func())
	// Client bounds the sockets.
	Client surreal.Options
}

// Store implements [store.Whole] on one database. It is safe for concurrent
// use, and other processes may use the same database.
type Store struct {
	*store.Node

	db    *surreal.Client
	gates chan surreal.RecordID
	known positions
	crowd crowd
}

var _ store.Whole = (*Store)(nil)

// maxGates is how many transactions of this node run at once. Each of them writes
// a row of its own, a gate, so that a seal can collide with it.
const maxGates = 8

// maxMessage holds the largest page of events, and the largest step of a copy.
const maxMessage = 64 << 20

// Open connects, brings the schema up to date and creates what is missing. It
// returns [ErrVersion], [ErrEngine], [store.ErrHeader], [store.ErrForeign],
// [store.ErrNewerSchema], [store.ErrChangedSchema] or [store.ErrClock] if the
// database must not be used.
func Open(ctx context.Context, cfg surreal.Config, o Options) (*Store, error) {
	if o.Client.MaxMessage == 0 {
		o.Client.MaxMessage = maxMessage
	}
	node, err := store.NewNode(ctx, o.Collections, o.Now, o.Clock)
	if err != nil {
		return nil, err
	}
	s := &Store{Node: node, gates: make(chan surreal.RecordID, maxGates)}
	if s.db, err = connect(ctx, cfg, o.Client); err == nil {
		if err = s.prepare(ctx, o); err != nil {
			s.db.Close()
		}
	}
	if err != nil {
		s.Stop(func() {})
		return nil, fmt.Errorf("surreal: open %s: %w", cfg, err)
	}
	s.Start(s.settle, o.Observe, s.checkClock, s.clear)
	return s, nil
}

// connect repeats an attempt that collided with another node: on 3.x, entering a
// database that does not exist creates it.
func connect(ctx context.Context, cfg surreal.Config, o surreal.Options) (db *surreal.Client, err error) {
	err = store.Retry(ctx, func() (err error) {
		db, err = surreal.Open(ctx, cfg, o)
		return err
	}, surreal.Conflict)
	return db, err
}

func (s *Store) prepare(ctx context.Context, o Options) error {
	if err := checkServer(ctx, s.db, o); err != nil {
		return err
	}
	list, err := store.Migrations(embedded, "schema/*.surql")
	if err != nil {
		return err
	}
	if err := checkHeader(ctx, s.db); err != nil {
		return err
	}
	if err := migrate(ctx, s.db, list); err != nil {
		return err
	}
	if err := s.makeCollections(ctx); err != nil {
		return err
	}
	if err := s.openEras(ctx); err != nil {
		return err
	}
	if _, err := s.Positions(ctx); err != nil {
		return err
	}
	if err := s.checkClock(ctx); err != nil {
		return err
	}
	return s.openGates(ctx)
}

// openGates creates this node's gates. It also writes meta:gates, so that it
// collides with a seal under way.
func (s *Store) openGates(ctx context.Context) error {
	node := rand.Text()[:10]
	rows := make([]map[string]any, maxGates)
	for i := range rows {
		gate := surreal.Record("gate", node, i)
		rows[i] = map[string]any{"id": gate, "writes": 0}
		s.gates <- gate
	}
	return s.again(ctx, func() error {
		_, err := s.db.Transact(ctx, []string{
			"UPDATE meta:gates SET writes += 1 RETURN NONE",
			"INSERT INTO gate $rows RETURN NONE",
		}, surreal.Vars{"rows": rows})
		return err
	})
}

// closeGates deletes this node's gates. Those of a node that was killed remain;
// each costs a seal one row.
func (s *Store) closeGates() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context), time.Second)
	defer cancel()
	var gates []surreal.RecordID
	for range cap(s.gates) {
		gates = append(gates, <-s.gates)
	}
	_ = s.db.Exec(ctx, "DELETE $gates RETURN NONE", surreal.Vars{"gates": gates}) // gates that remain do no harm
}

// Connections returns how many connections to the database have been opened. After a
// new one, the database may be another one.
func (s *Store) Connections() uint64 { return s.db.Opened() }

// Close writes what is queued, waits for the calls that run and closes the
// sockets. Every later call fails with [store.ErrClosed].
func (s *Store) Close() error {
	s.Stop(func() {
		s.closeGates()
		s.db.Close()
	})
	return nil
}

func failure(err error) error {
	var e *surreal.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, surreal.ErrClosed):
		return store.ErrClosed
	case errors.As(err, &e) && full.MatchString(e.Text):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case collided(err): // and it was repeated often enough
		return fmt.Errorf("%w: %w", store.ErrBusy, err)
	default:
		return err
	}
}

// Properties are what a [Store] promises where stores differ.
var Properties = store.Properties{
	Durable: store.Property{Holds: true, Why: "everything is on the server"},
	Synced: store.Property{Holds: false, Why: "the server does not report whether it syncs each commit: " +
		"3.x does with sync=every (its default), 2.6 with SURREAL_SYNC_DATA=true"},
	Shared:   store.Property{Holds: true, Why: "transactions of several nodes that rest on the same rows collide"},
	Definite: store.Property{Holds: false, Why: "a connection can be lost after the server received a transaction"},
	Undoes:   store.Property{Holds: true, Why: "a batch is one transaction, which the server rolls back"},
	Resumes:  store.Property{Holds: true, Why: "a node keeps no state that a failed write can spoil"},
	Forgets:  store.Property{Holds: false, Why: "RocksDB keeps old values until it compacts its files"},
}
