package postgres

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// all matches a plan that reads all rows of a table.
var all = regexp.MustCompile("Seq Scan|Hash (Cond|.*Join)|Merge .*Join")

// TestPlans: what a transaction of commits executes finds its rows by their keys, also
// if it was planned while the tables were empty.
func TestPlans(t *testing.T) {
	address := postgrestest.Start(t).Schema()
	opened(t, address, Options{})
	c := connected(t, address)
	exec(t, c, "BEGIN")
	exec(t, c, selectLimits)
	registers := &batch{}
	sqlstore.ReadRegisters(registers, make([]gotong.Key, 1), lockRegisters, nil)
	for sql, args := range map[string]string{
		lockPartitions:                 "'{1}'",
		addStreams:                     "'{a}'",
		lockStreams:                    "'{a}'",
		selectRecords:                  "'{a}', '{b}', '{c}'",
		registers.QueuedQueries[0].SQL: "'{a}', '{b}', '{c}'",
		selectOrigins:                  "'{a}', '{1}'",
		setPosition:                    "'1', '1'",
		setHeads:                       "'{1}', '{1}', '{a}', '{1}', '{1}', '{a}'",
		eraseEvent:                     "'{a}', '{1}'",
		blind:                          "'{a}', '{b}', '{c}'",
	} {
		exec(t, c, "PREPARE statement AS "+sql)
		rows, err := c.Query(t.Context(), "EXPLAIN EXECUTE statement ("+args+")")
		check(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		check(t, err)
		// Of partitions there are always 64, which PostgreSQL 17 reads faster as a whole.
		plan := strings.ReplaceAll(strings.Join(lines, "\n"), "Seq Scan on partitions", "partitions")
		if all.MatchString(plan) {
			t.Errorf("%s\n%s", sql, plan)
		}
		exec(t, c, "DEALLOCATE statement")
	}
}

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
