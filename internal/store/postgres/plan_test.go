package postgres

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// TestRowsAreInsertedInOrder, so that two nodes which claim the same names do not
// deadlock.
func TestRowsAreInsertedInOrder(t *testing.T) {
	p := &store.Plan{Claims: map[gotong.Claim]gotong.Stream{}, Registers: map[gotong.Key]gotong.RegisterChange{}}
	for i := range 20 {
		name := fmt.Sprintf("%02d", i)
		p.Claims[gotong.Claim{Space: "s", Name: name}] = "thread:x"
		key := gotong.Key{Collection: "c", Owner: "o", Name: name}
		p.Registers[key] = gotong.RegisterChange{Key: key, Body: []byte("{}")}
	}
	var b batch
	(&locking{}).write(&b, p)
	var names []string
	for _, q := range b.QueuedQueries {
		names = append(names, fmt.Sprint(q.Arguments...))
	}
	if len(names) != 40 || !slices.IsSorted(names[:20]) || !slices.IsSorted(names[20:]) {
		t.Error(names)
	}
}

// statements are the statements that a store has prepared, with the types of their
// parameters.
type statements struct {
	collections []string
	mu          sync.Mutex
	types       map[string][]string
}

// recorded is a store that notes its statements when it is closed.
type recorded struct {
	*Store

	in *statements
}

func (r recorded) Close() error {
	r.note()
	return r.Store.Close()
}

func (r recorded) note() {
	for _, c := range r.pool.AcquireAllIdle(context.Background()) {
		rows, _ := c.Query(context.Background(), "SELECT statement, parameter_types::text[] FROM pg_prepared_statements")
		var sql string
		var types []string
		_, _ = pgx.ForEachRow(rows, []any{&sql, &types}, func() error { // a connection that was cut has none
			r.in.mu.Lock()
			defer r.in.mu.Unlock()
			r.in.types[sql] = slices.Clone(types)
			return nil
		})
		c.Release()
	}
}

// node is a node of a plan.
type node struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Cond     string `json:"Index Cond"`
	Plans    []node
}

// whole returns the tables that the plan reads entirely. It notes the indexes that the plan
// uses.
func (n node) whole(indexes map[string]bool) (list []string) {
	indexes[n.Index] = true
	if strings.HasPrefix(n.Type, "Seq Scan") || strings.Contains(n.Type, "Index") && n.Cond == "" {
		list = append(list, n.Relation)
	}
	for _, below := range n.Plans {
		list = append(list, below.whole(indexes)...)
	}
	return list
}

// ofFixedSize are tables that do not grow with the log.
var ofFixedSize = []string{"partitions", "meta", "migrations"}

// explain plans every statement while the tables are empty, and checks that it finds its
// rows by an index. If the whole suite has run, every index must serve a statement. Three
// kinds may read a whole table: the question whether a table is empty, which is taken out,
// a page that is as large as an empty table, and reads of the server's own tables.
func (s *statements) explain(t *testing.T, address string) {
	t.Helper()
	opened, err := Open(t.Context(), address, Options{Collections: s.collections, Now: func() gotong.Instant { return 1 }})
	check(t, err)
	empty := recorded{opened, s}
	defer func() { check(t, empty.Close()) }()
	check(t, empty.clear(t.Context())) // which happens now and then
	empty.note()
	c := connected(t, address)
	exec(t, c, "BEGIN")
	exec(t, c, selectLimits)
	indexes := map[string]bool{}
	for sql, types := range s.types {
		if verb, _, _ := strings.Cut(sql, " "); !slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE"}, verb) {
			continue
		}
		list, nulls := "", ""
		if len(types) > 0 {
			list, nulls = "("+strings.Join(types, ", ")+")", "("+strings.Repeat("NULL, ", len(types)-1)+"NULL)"
		}
		exec(t, c, fmt.Sprint("SET LOCAL enable_seqscan = ", !strings.HasSuffix(sql, fmt.Sprint(" LIMIT ", store.MaxRead))))
		exec(t, c, "PREPARE statement "+list+" AS "+strings.ReplaceAll(sql, isEmpty, "true"))
		var plans []struct{ Plan node }
		check(t, c.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) EXECUTE statement "+nulls).Scan(&plans))
		for _, table := range plans[0].Plan.whole(indexes) {
			if !slices.Contains(ofFixedSize, table) && !strings.HasPrefix(table, "pg_") {
				t.Errorf("reads all of %s: %s", table, sql)
			}
		}
		exec(t, c, "DEALLOCATE statement")
	}
	rows, err := c.Query(t.Context(), `SELECT indexname FROM pg_indexes
		WHERE schemaname = current_schema() AND indexdef NOT LIKE 'CREATE UNIQUE %'`)
	check(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	check(t, err)
	for _, name := range names {
		if all := !strings.Contains(flag.Lookup("test.run").Value.String(), "/"); all && !indexes[name] {
			t.Errorf("no statement uses index %s", name)
		}
	}
}
