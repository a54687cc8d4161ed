package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// batch is the statements of one round trip.
type batch struct{ pgx.Batch }

// Ask implements [sqlstore.Batch].
func (b *batch) Ask(take func(sqlstore.Row) error, sql string, args ...any) {
	b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			if err := take(rows); errors.Is(err, sqlstore.ErrEnough) {
				break
			} else if err != nil {
				return err
			}
		}
		rows.Close()
		return rows.Err()
	})
}

// Find implements [sqlstore.Batch].
func (b *batch) Find(take func(sqlstore.Row) error, sql, by, suffix string, keys [][]any) {
	if len(keys) == 0 {
		return
	}
	lists := make([]string, len(keys[0]))
	for i := range lists {
		lists[i] = fmt.Sprintf("unnest($%d::text[])", i+1)
	}
	b.Ask(take, sql+" WHERE ("+by+") IN (SELECT "+strings.Join(lists, ", ")+")"+suffix, columns(keys)...)
}

// Write implements [sqlstore.Batch].
func (b *batch) Write(sql string, args ...any) { b.Queue(sql, args...) }

// lost is the error of a connection that has ended. Of a write, it says that nothing
// was written.
type lost struct{ error }

func (l lost) Unwrap() error { return l.error }

// unknown is the error of a transaction that may have been carried out.
type unknown struct{ error }

func (u unknown) Unwrap() error { return u.error }

// trip sends a batch and takes its results.
func trip(ctx context.Context, c *pgxpool.Conn, b *batch) error {
	err := c.SendBatch(ctx, &b.Batch).Close()
	if err != nil && c.Conn().IsClosed() {
		return lost{err}
	}
	return err
}

// acquire returns a connection. Its error is lost, unless the server rejects this node
// or this node the server.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	c, err := s.pool.Acquire(ctx)
	if err != nil && !errors.Is(err, primary.ErrServer) && !rejected(err) {
		return nil, lost{err}
	}
	return c, err
}

func rejected(err error) bool {
	code := codeOf(err)
	return len(code) == 5 && (code[:2] == "28" || code == "3D000")
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// collided reports whether a transaction wrote nothing because another one was
// first: a deadlock, or a row that both insert.
func collided(err error) bool {
	switch codeOf(err) {
	case "40001", "40P01", "23505":
		return !errors.As(err, new(unknown))
	default:
		return false
	}
}

// repeatable reports whether a transaction with this error wrote nothing and may be
// tried again.
func repeatable(err error) bool { return errors.As(err, new(lost)) || collided(err) }

// failure returns the error of the port for that of a transaction.
func failure(err error) error {
	switch code := codeOf(err); {
	case err == nil || errors.As(err, new(unknown)):
		return err
	case code == "53100":
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case code == "55P03", collided(err): // and it was repeated often enough
		return fmt.Errorf("%w: %w", store.ErrBusy, err)
	case code == "26000", code == "42P05":
		return fmt.Errorf("%w: %w", primary.ErrPooler, err)
	default:
		return err
	}
}

// read reads several things in one snapshot and one round trip. It repeats that while
// the connection is lost, so ask is called with a new batch each time.
func (s *Store) read(ctx context.Context, ask func(sqlstore.Batch)) error {
	end, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, store.Patience)
	defer cancel()
	return failure(store.Retry(ctx, func() error {
		c, err := s.acquire(ctx)
		if err != nil {
			return err
		}
		defer c.Release()
		b := &batch{}
		b.Write("BEGIN READ ONLY, ISOLATION LEVEL REPEATABLE READ")
		b.Ask(func(row sqlstore.Row) error {
			var timeline, set string
			if err := row.Scan(&timeline, &set); err != nil {
				return err
			}
			return s.guard.See(timeline)
		}, "SELECT "+primary.SelectTimeline+", "+setForms)
		ask(b)
		b.Write("COMMIT")
		err = trip(ctx, c, b)
		s.rollback(ctx, c, err)
		return err
	}, func(err error) bool { return errors.As(err, new(lost)) }))
}

// rollback ends a transaction that has failed. A connection to a server that is no
// longer the primary is closed.
func (s *Store) rollback(ctx context.Context, c *pgxpool.Conn, err error) {
	switch {
	case errors.Is(err, primary.ErrTimeline):
		_ = c.Conn().Close(ctx)
	case err != nil && !c.Conn().IsClosed():
		_, _ = c.Exec(ctx, "ROLLBACK") // if it fails, the pool closes the connection
	}
}

// errNothing ends a transaction that has nothing to write.
var errNothing = errors.New("postgres: nothing to write")

// gate is the lock that a transaction shares with others, or has alone: of the table,
// because a database can hold several logs, and a search_path several schemas.
const gate = "(" + "1198486631, 'meta'::regclass::oid::int)"

// setForms has the server send bytes as pgx reads them where it prepares nothing. There,
// selectLimits needs array_nulls too: else the server stores a NULL of an array as a text.
const setForms = "set_config('bytea_output', 'hex', true)"

// A transaction looks rows up by their keys. It plans its statements once, without a
// look at how many rows a table has: else a plan made for an empty table, which reads
// all of it, would serve until statistics are taken, and other plans would be made anew
// for each batch.
const (
	selectLimits = `SELECT set_config('lock_timeout', '15s', true), set_config('idle_in_transaction_session_timeout', '10s', true),
		set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_hashjoin', 'off', true),
		set_config('enable_mergejoin', 'off', true), set_config('array_nulls', 'on', true), ` + setForms
	selectLazy   = selectLimits + ", set_config('synchronous_commit', 'off', true)"
	selectClosed = `SELECT coalesce(max(value) FILTER (WHERE name = 'sealed'), ''),
		coalesce(max(value) FILTER (WHERE name = 'progress'), ''), coalesce(max(value) FILTER (WHERE name = 'epoch'), ''),
		current_setting('synchronous_commit'), ` + primary.SelectTimeline + ` FROM meta`
)

// begin queues the beginning of a transaction. What closes the store is read once the
// gate is held.
func (s *Store) begin(b *batch, how sqlstore.How) {
	b.Write("BEGIN ISOLATION LEVEL READ COMMITTED") // each statement sees what was committed while the ones before it waited
	lock, limits := "_shared", selectLimits
	if how.Alone {
		lock = ""
	}
	if how.Lazy {
		limits = selectLazy
	}
	b.Write(limits)
	b.Write("SELECT pg_advisory_xact_lock" + lock + gate)
	b.Ask(func(row sqlstore.Row) error {
		var sealed, progress, epoch, syncs, timeline string
		if err := row.Scan(&sealed, &progress, &epoch, &syncs, &timeline); err != nil {
			return err
		}
		if err := s.guard.See(timeline); err != nil {
			return err
		}
		switch {
		case sealed != "" && !how.Seals:
			return store.ErrSealed
		case progress != "" && !how.Moves:
			return store.ErrUnfinished
		case epoch != string(s.Epoch()) && !how.Moves:
			return store.ErrOtherEpoch
		case !how.Lazy:
			return primary.CheckSync(syncs)
		default:
			return nil
		}
	}, selectClosed)
}

// transact carries out one transaction: ask fills its first round trip, tell the
// second one, unless it returns an error; errNothing is none for the caller.
func (s *Store) transact(ctx context.Context, how sqlstore.How, ask func(sqlstore.Batch), tell func(sqlstore.Batch) error) error {
	if err := s.Clock.Fault(); err != nil {
		return err
	}
	c, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	b := &batch{}
	s.begin(b, how)
	ask(b)
	if err = trip(ctx, c, b); err == nil {
		b = &batch{}
		if err = tell(b); err == nil {
			err = s.commit(ctx, c, b)
		}
	}
	s.rollback(ctx, c, err)
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// warning is the key of the last warning of the server in the data of a connection.
const warning = "warning"

func warn(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		c.CustomData()[warning] = n.Message
	}
}

// commit sends what a transaction writes, and COMMIT. Only an error of the server
// says that nothing was written: without an answer, the outcome is unknown. So it is
// with a warning: somebody has cancelled the wait for the standby.
func (*Store) commit(ctx context.Context, c *pgxpool.Conn, b *batch) error {
	b.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return fmt.Errorf("postgres: the server answered COMMIT with %s", tag)
		}
		return nil
	})
	said := c.Conn().PgConn().CustomData()
	delete(said, warning)
	err := trip(ctx, c, b)
	if e := (lost{}); errors.As(err, &e) {
		return unknown(e)
	}
	if said[warning] != nil && err == nil {
		return unknown{fmt.Errorf("postgres: the server committed and warned: %v", said[warning])}
	}
	return err
}

// write is transact for a call that is not a commit. It repeats a transaction that
// wrote nothing because of others, or of the connection.
func (s *Store) write(ctx context.Context, how sqlstore.How, ask func(sqlstore.Batch), tell func(sqlstore.Batch) error) error {
	end, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, store.Patience)
	defer cancel()
	err = store.Retry(ctx, func() error { return s.transact(ctx, how, ask, tell) }, func(err error) bool {
		return errors.As(err, new(lost)) || !how.Alone && collided(err)
	})
	if how.Moves && codeOf(err) == "23505" {
		return fmt.Errorf("%w: a row exists already", store.ErrMalformed)
	}
	return failure(err)
}
