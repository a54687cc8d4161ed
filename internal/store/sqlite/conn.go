package sqlite

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
	"zombiezen.com/go/sqlite"
)

// conn is one connection; one goroutine uses it at a time.
type conn struct {
	db     *sqlite.Conn
	kind   cache
	cached int // KiB; see fit
}

// pageSize is fixed when the file is made. Measured: with 8 KiB a lone post is
// 9.0 writes of 37 KB together instead of 9.9 of 21 KB, for the same CPU.
const (
	pageSize  = "4096"
	pageBytes = 4096
)

// busyTimeout is how long somebody outside, such as the sqlite3 shell, may keep
// a lock before a write fails; truncateTimeout is how long the readers of old
// pages may keep an erasure from leaving the WAL before that is put off.
const (
	busyTimeout     = 10 * time.Second
	truncateTimeout = 200 * time.Millisecond
)

func openConn(path string, pragmas ...string) (*conn, error) {
	return openWith(path, sqlite.OpenReadWrite|sqlite.OpenCreate, pragmas...)
}

func openWith(path string, flags sqlite.OpenFlags, pragmas ...string) (*conn, error) {
	db, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, err
	}
	db.SetBusyTimeout(busyTimeout)
	c := &conn{db: db}
	if err := db.SetCollation(appends, strings.Compare); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	for _, p := range append([]string{"recursive_triggers = ON"}, pragmas...) {
		if err := c.once("PRAGMA " + p); err != nil {
			return nil, errors.Join(fmt.Errorf("pragma %s: %w", p, err), db.Close())
		}
	}
	return c, nil
}

// appends is the collation by which the trigger on INSERT compares. Connections
// of other programs lack it: what they insert fails, and its name is the reason
// that they see. recursive_triggers has the trigger on DELETE asked for a row that
// an INSERT OR REPLACE of our own would delete.
//
// It is no function, because SQLite takes it that any function may fail, and then
// copies each page that an INSERT changes, to take back half of it.
const appends = "only gotong appends to the log"

type rowFunc func(*sqlite.Stmt) error

// query runs a prepared statement. Arguments are of the types that bind knows.
//
// SQLite prepares a statement anew for each use if its plan could depend on the
// values bound, and that costs more than most reads. So statements do not say
// LIMIT ?: their readers stop with [sqlstore.ErrEnough], and the order is always that of an
// index, so nothing more is read. And a parameter that the planner would compare
// with a constant of its own, = ? where several rows may match or > ? where a
// partial index has such a condition, is written +?, which it does not look into, nor
// into the expressions of package sqlstore.
func (c *conn) query(sql string, row rowFunc, args ...any) error {
	stmt, err := c.db.Prepare(sql)
	if err != nil {
		return err
	}
	for i, arg := range args {
		bind(stmt, i+1, arg)
	}
	return step(stmt, row)
}

func (c *conn) exec(sql string, args ...any) error { return c.query(sql, nil, args...) }

// ask is query for what the stores on SQL databases have in common.
func (c *conn) ask(sql string, take func(sqlstore.Row) error, args ...any) error {
	return c.query(sql, func(stmt *sqlite.Stmt) error { return take(row{stmt}) }, args...)
}

// batch is statements that run at once, up to the first one that fails.
type batch struct {
	conn    *conn
	ends    *ends
	reading *reading // nil in a transaction that writes
	writes  int
	err     error
}

// own returns the batch that this package passed on.
func own(b sqlstore.Batch) *batch { return b.(*batch) } //nolint:forcetypeassert // there is no other one

// then carries out what is no statement of the batch, unless one has failed: SQLite may
// have ended the transaction then, and each write would be one of its own.
func (b *batch) then(do func() error) error {
	if b.err != nil {
		return b.err
	}
	return do()
}

// run runs the statements that f adds.
func (c *conn) run(f func(b *batch)) error {
	b := batch{conn: c}
	f(&b)
	return b.err
}

// Ask implements [sqlstore.Batch].
func (b *batch) Ask(take func(sqlstore.Row) error, sql string, args ...any) {
	if b.err == nil {
		b.err = b.conn.ask(sql, take, args...)
	}
}

// Find implements [sqlstore.Batch].
func (b *batch) Find(take func(sqlstore.Row) error, sql, by, suffix string, keys [][]any) {
	for i, key := range keys {
		if i == 0 {
			sql += " WHERE (" + by + ") = (?" + strings.Repeat(", ?", len(key)-1) + ")" + suffix
		}
		b.Ask(take, sql, key...)
	}
}

// Write implements [sqlstore.Batch].
func (b *batch) Write(sql string, args ...any) {
	if b.err == nil {
		b.err = b.conn.exec(sql, args...)
		b.writes++
	}
}

// row implements [sqlstore.Row].
type row struct{ *sqlite.Stmt }

// Scan implements [sqlstore.Row]. Columns have the types of their tables, which are
// strict.
func (r row) Scan(into ...any) error {
	for i, to := range into {
		switch to := to.(type) {
		case *int64:
			*to = r.ColumnInt64(i)
		case *uint64:
			*to = unsigned(r.Stmt, i)
		case *int:
			*to = r.ColumnInt(i)
		case *gotong.Instant:
			*to = gotong.Instant(r.ColumnInt64(i))
		case *gotong.Partition:
			*to = gotong.Partition(unsigned(r.Stmt, i)) //nolint:gosec // written as one
		case *bool:
			*to = r.ColumnBool(i)
		case *string:
			*to = r.ColumnText(i)
		case *gotong.Stream:
			*to = gotong.Stream(r.ColumnText(i))
		case *gotong.Audience:
			*to = gotong.Audience(r.ColumnText(i))
		case *[]byte:
			*to = blob(r.Stmt, i)
		case *[16]byte:
			if !fixed(r.Stmt, i, to[:]) {
				*to = [16]byte{}
			}
		case *sqlstore.Fixed:
			to.Null, to.Exact = r.ColumnIsNull(i), fixed(r.Stmt, i, to.Into)
		default:
			panic("sqlite: cannot scan into " + reflect.TypeOf(to).String())
		}
	}
	return nil
}

// once runs a statement without keeping it prepared.
func (c *conn) once(sql string) error {
	stmt, _, err := c.db.PrepareTransient(sql)
	if err != nil {
		return err
	}
	return errors.Join(step(stmt, nil), stmt.Finalize()) //nolint:misspell // the library's own word
}

// step runs a bound statement to its end and resets it.
func step(stmt *sqlite.Stmt, row rowFunc) error {
	for {
		more, err := stmt.Step()
		if err != nil {
			return err // Step has reset it
		}
		if more && row != nil {
			err = row(stmt)
		}
		if !more || err != nil {
			if reset := stmt.Reset(); reset != nil && err == nil {
				err = reset
			}
			if errors.Is(err, sqlstore.ErrEnough) {
				return nil
			}
			return err
		}
	}
}

func bind(stmt *sqlite.Stmt, i int, arg any) {
	switch v := arg.(type) {
	case nil:
		stmt.BindNull(i)
	case int:
		stmt.BindInt64(i, int64(v))
	case int64:
		stmt.BindInt64(i, v)
	case uint64:
		stmt.BindInt64(i, sqlstore.Number(v))
	case gotong.Partition:
		stmt.BindInt64(i, int64(v))
	case gotong.Instant:
		stmt.BindInt64(i, int64(v))
	case bool:
		stmt.BindBool(i, v)
	case string:
		stmt.BindText(i, v)
	case gotong.Stream:
		stmt.BindText(i, string(v))
	case []byte:
		bindBlob(stmt, i, v)
	default:
		panic("sqlite: cannot bind " + reflect.TypeOf(arg).String()) // with fmt, every argument would be on the heap
	}
}

// bindBlob binds NULL for nil, which is not the same as no bytes.
func bindBlob(stmt *sqlite.Stmt, i int, b []byte) {
	if b == nil {
		stmt.BindNull(i)
		return
	}
	stmt.BindBytes(i, b)
}

func bindJSON(stmt *sqlite.Stmt, i int, b []byte) {
	if b == nil {
		stmt.BindNull(i)
		return
	}
	stmt.BindText(i, string(b))
}

// unsigned reads a number that was written as one.
func unsigned(stmt *sqlite.Stmt, col int) uint64 {
	return uint64(max(stmt.ColumnInt64(col), 0))
}

func blob(stmt *sqlite.Stmt, col int) []byte {
	if stmt.ColumnIsNull(col) {
		return nil
	}
	b := make([]byte, stmt.ColumnLen(col))
	stmt.ColumnBytes(col, b)
	return b
}

// fixed reads a column of exactly as many bytes; false where it has another
// length.
func fixed(stmt *sqlite.Stmt, col int, into []byte) bool {
	return stmt.ColumnLen(col) == len(into) && stmt.ColumnBytes(col, into) == len(into)
}

// storage turns the database's errors into the port's. What is neither full
// nor a constraint means that the file cannot be trusted any more.
func storage(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, store.ErrFault) { // nobody knows what it left half done
		return fmt.Errorf("%w: %w", store.ErrFailed, err)
	}
	code := sqlite.ErrCode(err)
	if code == sqlite.ResultIOErrSHMSize { // no room for the index of the WAL, which is never synced
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	switch code.ToPrimary() {
	case sqlite.ResultConstraint: // a row is where the heads say that none is
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	case sqlite.ResultFull:
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case sqlite.ResultBusy: // another program keeps its lock, and nothing was written
		return fmt.Errorf("%w: %w", store.ErrBusy, err)
	case sqlite.ResultIOErr, sqlite.ResultCorrupt, sqlite.ResultNotADB, sqlite.ResultCantOpen,
		sqlite.ResultReadOnly, sqlite.ResultPerm, sqlite.ResultNoMem, sqlite.ResultProtocol:
		return fmt.Errorf("%w: %w", store.ErrFailed, err)
	default:
		return err
	}
}
