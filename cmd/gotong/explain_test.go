package main

import (
	"strings"
	"testing"
)

// The answer names the account by name or address, and a stream that is not there
// is no failure.
func TestExplainAccess(t *testing.T) {
	db, thread, _ := chatting(t)
	for _, c := range []struct {
		user, stream string
		code         int
		says         []string
	}{
		{"wati", "thread/" + thread, 0, []string{"has the platform role user", "as owner since", "may read thread/" + thread + ": the events from 1 on"}},
		{"Wati@example.org", "thread/" + thread, 0, []string{"as owner since"}},
		{"nobody", "thread/" + thread, 0, []string{"There is no account nobody", "may not read thread/" + thread}},
		{"wati", "thread/none", 0, []string{"thread/none does not exist"}},
		{"wati", "nonsense", 1, []string{"stream"}},
		{"not an id", "thread/" + thread, 1, []string{"no such account"}},
	} {
		r := command(t, nil, "explain", "access", c.user, c.stream, "--store="+db, "--data="+t.TempDir())
		for _, want := range c.says {
			if r.code != c.code || !strings.Contains(r.out+r.err, want) {
				t.Errorf("%s %s: %q is not in %+v", c.user, c.stream, want, r)
			}
		}
	}
}
