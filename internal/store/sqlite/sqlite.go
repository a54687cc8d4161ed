// Package sqlite is the embedded store: one SQLite file in WAL mode with
// synchronous=FULL, one writer and several readers.
//
// Everything that waits to be written shares one transaction and one sync.
// What a commit depends on is read before its first row is written, so a commit
// that fails leaves nothing to undo and the others of the batch go on.
//
// # Caveats
//
// The file belongs to one process at a time; a lock file beside it says to
// which. Others may read it meanwhile, with [Options.ReadOnly] or the sqlite3
// shell, but not write to it: heads and positions are cached. It must not lie on a
// network file system.
// An erased text is gone from the file and its WAL; backups keep theirs.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"zombiezen.com/go/sqlite"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/regular"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// Options are the settings of a [Store].
type Options struct {
	// Collections are the documents' collections; each is a table doc_<name>,
	// made where it is missing. A name is 1 to 48 of a-z0-9_.
	Collections []string
	// Now is the clock by which registers expire; without one they never do.
	Now func() gotong.Instant
	// Observe is that of [store.WriterOptions].
	Observe func(commits int) (ended func())
	// Readers is how many reads run at once; 4 where it is 0.
	Readers int
	// ReadOnly opens a file that exists, also while another process has it open, and
	// changes nothing in it. Writes fail with [ErrReadOnly].
	ReadOnly bool
}

// ErrReadOnly is the error of a write to a file that was opened for reading only.
var ErrReadOnly = errors.New("sqlite: the file is open for reading only")

// Store implements [store.Whole] on one file. It is safe for concurrent use.
type Store struct {
	*store.Base
	sqlstore.Store

	path        string
	collections map[string]collection
	readOnly    bool
	lock        *os.File // nil if readOnly
	readers     chan *conn
	searches    chan struct{} // that hold a reader: half of them, so that others can read
	count       int           // of readers
	size        atomic.Int64  // of the file in pages, when the writer last looked

	queue   *store.Writer[op]
	writer  *writer // of the goroutine that has the queue's turn
	keeper  *keeper // nil if readOnly
	closing sync.Once
	closed  chan struct{} // no read begins any more
}

var _ store.Whole = (*Store)(nil)

// Open opens the database at path and makes what is missing, directories
// included. It fails with [ErrInUse], [store.ErrForeign], [store.ErrHeader],
// [store.ErrNewerSchema] or [store.ErrChangedSchema] where the file is not to be
// touched.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	base, err := store.NewBase(o.Collections, o.Now)
	if err != nil {
		return nil, err
	}
	s := &Store{Base: base, count: o.Readers, readOnly: o.ReadOnly, closed: make(chan struct{})}
	s.Store = sqlstore.NewStore(s.db(), base)
	if s.count <= 0 {
		s.count = 4
	}
	s.readers, s.searches = make(chan *conn, s.count), make(chan struct{}, max(s.count/2, 1))
	if err := s.open(path, o); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", path, err), s.release())
	}
	return s, nil
}

func (s *Store) db() sqlstore.DB {
	return sqlstore.DB{
		Read: s.ask, Write: s.write, Greatest: "max", Waiting: "dead = 0", Empty: isEmpty,
		Streams: "SELECT name, home, no FROM streams WHERE no > $1 ORDER BY no", Stream: streamOf,
		Claims: selectClaims, InCommit: "e.key",
		Log: func(b sqlstore.Batch, need *store.Need, snap *store.Snapshot) func() error {
			err := own(b).reading.log(need, snap)
			return func() error { return err }
		},
		Positions: func(b sqlstore.Batch, into *[gotong.Partitions]uint64) { *into = own(b).ends.positions },
		Project: func(b sqlstore.Batch, steps []store.Step, _ map[gotong.Key][]byte) error {
			return own(b).then(func() error { return s.writer.project(steps) })
		},
		Restore: func(step *store.Restoring) (func(sqlstore.Batch), func(sqlstore.Batch) error) {
			return func(sqlstore.Batch) {}, func(b sqlstore.Batch) error {
				return own(b).then(func() error { return s.writer.restore(step) })
			}
		},
	}
}

func (s *Store) open(path string, o Options) error {
	open, write := s.openToWrite, s.writeAll
	if s.readOnly {
		open, write = s.openToRead, func([]*store.Work[op]) error { return ErrReadOnly }
	}
	c, err := open(path)
	if err != nil {
		return err
	}
	c.kind = writerCache
	s.writer = &writer{conn: c, size: &s.size, base: s.Base, tip: tip{heads: heads{most: generation}}}
	if err := s.prepare(c, o.Collections); err != nil {
		return err
	}
	for range s.count {
		r, err := s.openReader()
		if err != nil {
			return err
		}
		s.readers <- r
	}
	if !s.readOnly {
		if s.keeper, err = newKeeper(s.path); err != nil {
			return err
		}
	}
	s.queue = store.NewWriter(store.WriterOptions[op]{Write: write, Observe: o.Observe})
	return nil
}

func (s *Store) openToRead(path string) (c *conn, err error) {
	if s.path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	if err := checkFiles(s.path); err != nil {
		return nil, err
	}
	return openWith(s.path, sqlite.OpenReadOnly, "temp_store = MEMORY")
}

// openToWrite locks the file, which it makes if there is none.
func (s *Store) openToWrite(path string) (*conn, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { //nolint:gosec // the operator's own path
		return nil, err
	}
	path, err := located(path)
	if err != nil {
		return nil, err
	}
	s.path = path
	if err := checkFiles(path); err != nil {
		return nil, err
	}
	if s.lock, err = lock(path); err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	if err := look(path, checkOwner); err != nil {
		return nil, err
	}
	return openConn(path, "page_size = "+pageSize, "journal_mode = WAL", "synchronous = FULL",
		"wal_autocheckpoint = 0", "temp_store = MEMORY", "secure_delete = ON")
}

// checkFiles returns an error if one of the files of a database is there and is not a
// file: SQLite waits for ever when it opens a pipe.
func checkFiles(path string) error {
	for _, end := range []string{"", ".lock", "-journal", "-wal", "-shm"} {
		info, err := os.Stat(path + end) //nolint:gosec // the operator's own path
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is not a regular file", path+end)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// located is the path of the file itself where path is a link to it: the lock
// and the WAL lie beside the file, so all its names must lead to them.
func located(path string) (string, error) {
	file, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, os.ErrNotExist) {
		return file, err
	}
	if err := create(path); err != nil { // also where a link leads to nothing yet
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// look runs f on a connection that changes nothing by being opened.
func look(path string, f func(*conn) error) error {
	c, err := openConn(path)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.db.Close())
}

func (s *Store) openReader() (*conn, error) {
	flags := sqlite.OpenReadWrite | sqlite.OpenCreate
	if s.readOnly {
		flags = sqlite.OpenReadOnly
	}
	c, err := openWith(s.path, flags, "query_only = ON", "temp_store = MEMORY")
	if err == nil {
		c.kind = readerCache
		err = c.fit(int(s.size.Load()))
	}
	return c, err
}

// create makes the file readable by its owner alone; SQLite gives the files
// beside it the same mode.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's own path
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), regular.SyncDir(filepath.Dir(path)))
}

// prepare brings schema, collections and the writer's caches up to date.
func (s *Store) prepare(c *conn, names []string) error {
	list, err := store.Migrations(embedded, "migrations/*.sql")
	if err != nil {
		return err
	}
	if err := checkHeader(c); err != nil {
		return err
	}
	if s.readOnly {
		err = upToDate(c, list)
	} else {
		err = migrate(c, list)
	}
	if err != nil {
		return err
	}
	if s.collections, err = makeCollections(c, names, s.readOnly); err != nil {
		return err
	}
	s.writer.collections = s.collections
	eras, err := openEras(c)
	if err != nil {
		return err
	}
	s.SetEras(eras)
	if !s.readOnly {
		if _, err = checkpoint(c, "TRUNCATE"); err != nil { // a crash may have left erased content in the WAL
			return err
		}
	}
	return errors.Join(s.writer.reload(), s.writer.fit())
}

// Close waits for the calls that run and writes what is queued, then closes the
// file. Every later call fails with [store.ErrClosed].
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		close(s.closed)
		s.queue.Close()
		for range s.count {
			err = errors.Join(err, (<-s.readers).db.Close())
		}
		s.count = 0
		err = errors.Join(err, s.release())
	})
	return err
}

// release closes what is open, the writer last: closing the last connection
// writes the WAL back.
func (s *Store) release() (err error) {
	for range len(s.readers) {
		err = errors.Join(err, (<-s.readers).db.Close())
	}
	if s.keeper != nil {
		err = errors.Join(err, s.keeper.close())
	}
	if s.writer != nil {
		err = errors.Join(err, s.writer.conn.db.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// Properties are what a [Store] promises where stores differ.
var Properties = store.Properties{
	Durable:  store.Property{Holds: true, Why: "everything is in one file"},
	Synced:   store.Property{Holds: true, Why: "the WAL is synced before each answer"},
	Shared:   store.Property{Holds: false, Why: "a lock on the file keeps other processes out"},
	Definite: store.Property{Holds: true, Why: "no connection can lose an answer"},
	Undoes:   store.Property{Holds: true, Why: "a batch is one transaction, which is rolled back"},
	Resumes:  store.Property{Holds: false, Why: "after a failed sync only a restart shows what the file holds"},
	Forgets:  store.Property{Holds: true, Why: "deleting overwrites it, and the WAL is emptied once nobody reads old pages"},
}

// ErrInUse says that another process has the file open.
var ErrInUse = errors.New("sqlite: in use")

// lock takes the one right to open the database at path, for the life of the
// process; the kernel gives it back when the process ends, however it ends.
// The lock file stays, because removing it would race with the next process.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's own path
	if err != nil {
		return nil, err
	}
	if locked, err := regular.Lock(f); err != nil || !locked {
		defer func() { _ = f.Close() }()
		if err != nil {
			return nil, fmt.Errorf("sqlite: lock %s: %w", f.Name(), err)
		}
		return nil, fmt.Errorf("%w: %s is open in %s; stop it, or use another data directory", ErrInUse, path, holder(f))
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// holder says which process wrote its number into the lock file.
func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	pid := strings.TrimSpace(string(text))
	if err != nil || pid == "" {
		return "another process"
	}
	if pid == strconv.Itoa(os.Getpid()) {
		return "this process already"
	}
	return "process " + pid
}
