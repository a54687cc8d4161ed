package postgrestest

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// TestServerKeepsWhatWasCommitted: two servers are apart, and what one has committed
// is there after it was killed.
func TestServerKeepsWhatWasCommitted(t *testing.T) {
	a, b := Start(t), Start(t)
	url := a.Fresh()
	query := func(url, sql string) (n int) {
		t.Helper()
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(t.Context()) }()
		if err := c.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	query(url, "WITH one AS (SELECT 1) SELECT count(*) FROM one")
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS n"); err != nil {
		t.Fatal(err)
	}
	a.Kill()
	a.Restart()
	if n := query(url, "SELECT n FROM kept"); n != 7 {
		t.Errorf("%d", n)
	}
	if n := query(b.URL("postgres"), "SELECT count(*) FROM pg_database WHERE datname LIKE 'fresh%'"); n != 0 {
		t.Errorf("the other server has %d databases of this one", n)
	}
}

// TestStandbyTakesOver: what a primary has acknowledged is on its standby, and the two
// change places.
func TestStandbyTakesOver(t *testing.T) {
	a, b := Pair(t)
	a.do("CREATE TABLE kept (n int)")
	for n, s := range []*Server{a, b} {
		other := []*Server{b, a}[n]
		s.do("INSERT INTO kept VALUES (1)")
		s.Kill()
		other.Promote()
		if n == 0 {
			s.Follow(other)
		}
	}
	a.until("SELECT count(*) = 2 FROM kept")
}
