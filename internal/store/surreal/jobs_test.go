package surreal

import (
	"fmt"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// TestSearchesForJobsReadNoMoreThanTheyReturn: of a queue in which many jobs wait
// and many are due, the engines read the rows that a search returns, by their own
// count.
func TestSearchesForJobsReadNoMoreThanTheyReturn(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		s := opened(t, surrealtest.Start(t, e), Options{})
		var jobs []store.Job
		for i := range 400 {
			due := gotong.Instant(1000 - i) // the last one is due first
			if i < 100 {
				due = 1 << 40
			}
			jobs = append(jobs, store.Job{Queue: "q", ID: fmt.Sprint(i), Due: due}, store.Job{Queue: "other", ID: fmt.Sprint(i), Due: 1})
		}
		check(t, s.Advance(t.Context(), store.Step{Reader: "maker", Jobs: jobs}))
		claimed, err := s.ClaimJobs(t.Context(), "q", 601, 700, 1)
		if err != nil || len(claimed) != 1 || claimed[0].ID != "399" {
			t.Fatalf("%+v, %v", claimed, err)
		}
		for _, tt := range []struct {
			query string
			limit int
			rows  int
		}{
			{selectNext, 0, 1}, {selectDue, 7, 7}, {selectDue, 1, 1}, {selectFar, 0, 1},
		} {
			vars := surreal.Vars{"queue": "q", "now": 2000, "limit": tt.limit, "far": 650}
			results, err := s.db.Query(t.Context(), tt.query+" EXPLAIN FULL", vars)
			check(t, err)
			var plan any
			check(t, results[0].Decode(&plan))
			if got := rowsRead(plan); got != tt.rows {
				t.Errorf("%s: %d rows were read, not %d: %v", tt.query, got, tt.rows, plan)
			}
		}
	})
}

// rowsRead returns the largest count of rows in a plan: 3.x has one for each step,
// 2.6 one for all.
func rowsRead(plan any) (most int) {
	switch plan := plan.(type) {
	case map[string]any:
		for name, value := range plan {
			if n, ok := value.(int64); ok && (name == "output_rows" || name == "count") {
				most = max(most, int(n))
			}
			most = max(most, rowsRead(value))
		}
	case map[any]any:
		for name, value := range plan {
			most = max(most, rowsRead(map[string]any{fmt.Sprint(name): value}))
		}
	case []any:
		for _, value := range plan {
			most = max(most, rowsRead(value))
		}
	}
	return most
}
