package surreal

import "testing"

// A failed transaction is an error, however the server counts its results.
func TestFailedTransactionIsAnErrorInEveryForm(t *testing.T) {
	ok := map[string]any{"status": "OK", "result": 1}
	none := map[string]any{"status": "OK", "result": None{}}
	busy := map[string]any{"status": "ERR", "result": "This transaction can be retried"}
	after := map[string]any{"status": "ERR", "result": "The query was not executed due to a failed transaction"}
	tests := map[string]struct {
		answer    []any
		results   int
		conflict  bool
		unknown   bool
		statement int // that the conflict is of
	}{
		"2.6":                     {answer: []any{ok, ok}, results: 2},
		"3.x":                     {answer: []any{none, ok, ok, none}, results: 2},
		"2.6, RETURN at the end":  {answer: []any{ok}, results: 2},
		"2.6 conflict":            {answer: []any{after, busy}, results: 2, conflict: true, statement: 1},
		"3.x conflict, no COMMIT": {answer: []any{none, after, busy}, results: 2, conflict: true, statement: 1},
		"3.x conflict at COMMIT":  {answer: []any{none, ok, ok, busy}, results: 2, conflict: true, statement: 3},
		"one conflict for all":    {answer: []any{busy}, results: 1, conflict: true},
		"a number that fits none": {answer: []any{ok, ok, ok}, unknown: true},
		"nothing":                 {answer: []any{}, unknown: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(p *peer, r asked) { p.result(r.ID, test.answer) })
			results, err := f.open(t, Options{}).Transact(t.Context(), []string{"UPDATE a", "UPDATE b"}, nil)
			if len(results) != test.results || Conflict(err) != test.conflict || Unknown(err) != test.unknown {
				t.Fatalf("%v, %v", results, err)
			}
			if e, _ := err.(*Error); test.conflict && e.Statement != test.statement { //nolint:errorlint // it must be this very type
				t.Errorf("of statement %d, want %d", e.Statement, test.statement)
			}
			if (err == nil) == (test.conflict || test.unknown) {
				t.Errorf("got %v", err)
			}
		})
	}
}
