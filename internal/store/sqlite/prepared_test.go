package sqlite

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// prepared is a store of which no statement may have been prepared anew when it
// is closed: that costs more than most reads.
type prepared struct {
	*Store
	t       *testing.T
	changed *bool // the schema was, for which statements are prepared anew
}

func (p prepared) Close() error {
	if *p.changed {
		return p.Store.Close()
	}
	for range p.count {
		c := <-p.readers
		p.check(c)
		p.readers <- c
	}
	_ = p.queue.Do(context.Background(), func(w *writer) error { // not of a store that is closed or has failed
		p.check(w.conn)
		return nil
	}, 0)
	return p.Store.Close()
}

// check reads the library's fields, because it offers neither its statements
// nor their counters.
func (p prepared) check(c *conn) {
	tls := libc.NewTLS()
	defer tls.Close()
	list := reflect.ValueOf(c.db).Elem().FieldByName("stmts").MapRange()
	for list.Next() {
		stmt := uintptr(list.Value().Elem().FieldByName("stmt").Uint())
		if strings.HasPrefix(list.Key().String(), "PRAGMA ") {
			continue
		}
		if n := sqlite3.Xsqlite3_stmt_status(tls, stmt, sqlite3.SQLITE_STMTSTATUS_REPREPARE, 0); n > 0 {
			p.t.Errorf("prepared %d times anew: %s", n, list.Key())
		}
	}
}
