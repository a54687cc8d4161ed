package sqlite

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

// The WAL is written back beside the writer, which then only has to finish the
// little that was added meanwhile. Pages are of 4 KiB.
const (
	transactionRows = 4    // the pages of indexes that a transaction writes, as rows
	wakeRows        = 500  // how much is written between two looks at the WAL
	longPages       = 4000 // a WAL longer than this is written back
	shortPages      = 400  // few enough for the writer to finish
	passes          = 4
	hugePages       = 16000 // a WAL file longer than this is emptied as soon as nobody reads it
)

// A long WAL file is emptied once nothing was written for quietAfter; where
// somebody reads old pages, again after quietAgain.
const (
	quietAfter = time.Second
	quietAgain = 10 * time.Second
)

// keeper writes the WAL back into the file on a connection of its own.
type keeper struct {
	conn   *conn
	file   string // the WAL
	wake   chan struct{}
	finish atomic.Bool // asks the writer to write back the rest
	failed atomic.Pointer[error]
	writes atomic.Int64 // transactions

	running sync.WaitGroup // of run
}

func newKeeper(path string) (*keeper, error) {
	c, err := openConn(path, "synchronous = FULL", "wal_autocheckpoint = 0", "cache_size = -1024")
	if err != nil {
		return nil, err
	}
	k := &keeper{conn: c, file: path + "-wal", wake: make(chan struct{}, 1)}
	k.running.Go(k.run)
	return k, nil
}

func (k *keeper) wakeUp() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) close() error {
	close(k.wake)
	k.running.Wait()
	return k.conn.db.Close()
}

// err is what a checkpoint beside the writer failed with.
func (k *keeper) err() error {
	if p := k.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (k *keeper) run() {
	quiet := time.NewTimer(quietAfter)
	defer quiet.Stop()
	for seen := int64(0); ; {
		select {
		case _, open := <-k.wake:
			if !open {
				return
			}
			k.keep(k.shorten)
			quiet.Reset(quietAfter)
		case <-quiet.C:
			n, left := k.writes.Load(), false
			if n == seen {
				k.keep(func() (err error) { left, err = k.empty(); return err })
			}
			if n != seen {
				quiet.Reset(quietAfter)
			} else if left {
				quiet.Reset(quietAgain)
			}
			seen = n
		}
	}
}

func (k *keeper) keep(f func() error) {
	if err := store.Guard(f); err != nil {
		k.failed.Store(&err)
	} else {
		k.failed.Store(nil)
	}
}

// pages is how many pages the WAL's file has room for: it keeps the length that
// it once had.
func (k *keeper) pages() int {
	info, err := os.Stat(k.file)
	if err != nil {
		return 0
	}
	return int(info.Size() / pageBytes)
}

// empty writes a long WAL back and cuts its file to nothing. It waits for
// nobody, and reports whether readers or writers were in its way.
func (k *keeper) empty() (left bool, err error) {
	if k.pages() < longPages {
		return false, nil
	}
	if _, err := checkpoint(k.conn, "PASSIVE"); err != nil { // most of it, while others may write
		return false, err
	}
	return cut(k.conn, 0)
}

// cut empties the WAL, unless somebody who reads old pages, or writes, is in
// the way for longer than patience: then it reports that something is left.
func cut(c *conn, patience time.Duration) (left bool, err error) {
	c.db.SetBusyTimeout(patience)
	defer c.db.SetBusyTimeout(busyTimeout)
	left, err = checkpoint(c, "TRUNCATE")
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy {
		return true, nil
	}
	return left, err
}

// shorten writes back until what is left is short. The WAL begins anew only
// when all of it is written back while nobody adds to it, so the writer has
// the last word.
func (k *keeper) shorten() error {
	size, err := walSize(k.conn, "NOOP")
	if err != nil || size.pages < longPages {
		return err
	}
	for range passes {
		if size, err = walSize(k.conn, "PASSIVE"); err != nil {
			return err
		}
		if size.pages-size.back < shortPages {
			break
		}
	}
	k.finish.Store(true)
	return nil
}

// wal is the state of the WAL: whether readers or writers kept it from being
// written back, its length, and how much of that is back in the file.
type wal struct {
	busy        bool
	pages, back int
}

func walSize(c *conn, mode string) (size wal, err error) {
	err = c.query("PRAGMA wal_checkpoint("+mode+")", func(row *sqlite.Stmt) error {
		size = wal{row.ColumnInt(0) != 0, row.ColumnInt(1), row.ColumnInt(2)}
		return nil
	})
	return size, err
}

// checkpoint reports whether something is left in the WAL.
func checkpoint(c *conn, mode string) (left bool, err error) {
	size, err := walSize(c, mode)
	return size.busy || size.back < size.pages, err
}
