package surreal_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

func define(t *testing.T, c *surreal.Client, text string) {
	t.Helper()
	if err := c.Exec(t.Context(), text, nil); err != nil {
		t.Fatal(err)
	}
}

// Values come back unchanged, as parameters and through a table.
func TestValuesComeBackAsTheyWent(t *testing.T) {
	at := surreal.Time(time.Date(2026, 11, 23, 15, 0, 0, 123456789, time.UTC))
	values := map[string]any{
		"bool":     true,
		"text":     "it's \"quoted\" `so` ÄÖ🙂; DROP",
		"int":      int64(-1 << 53),
		"max":      int64(1<<63 - 1),
		"float":    1.5,
		"bytes":    []byte{0, 1, 255},
		"list":     []any{int64(1), "a", []byte{}},
		"map":      map[string]any{"a": int64(1), "b-c": []any{}},
		"record":   surreal.Record("event", "s", int64(7)),
		"textual":  surreal.Record("event", "it's"),
		"datetime": at,
		"uuid":     surreal.UUID{0x01, 0x93, 15: 9},
		"null":     nil,
	}
	for _, e := range surrealtest.All() {
		t.Run(e.String(), func(t *testing.T) {
			c := surrealtest.Open(t, e)
			define(t, c, "DEFINE TABLE kept")
			for name, value := range values {
				into := reflect.New(reflect.TypeFor[any]())
				if value != nil {
					into = reflect.New(reflect.TypeOf(value))
				}
				if err := c.Select(t.Context(), "RETURN $v", surreal.Vars{"v": value}, into.Interface()); err != nil {
					t.Errorf("%s: %v", name, err)
				} else if got := into.Elem().Interface(); !reflect.DeepEqual(got, value) {
					t.Errorf("%s: %#v came back as %#v", name, value, got)
				}
				err := c.Select(t.Context(), "(CREATE ONLY kept SET v = $v).v", surreal.Vars{"v": value}, into.Interface())
				if got := into.Elem().Interface(); err != nil || !reflect.DeepEqual(got, value) {
					t.Errorf("%s: %#v was kept as %#v, %v", name, value, got, err)
				}
			}
			var kind string
			if err := c.Select(t.Context(), "RETURN IF $v = NONE { 'none' } ELSE { 'some' }", surreal.Vars{"v": surreal.None{}}, &kind); err != nil || kind != "none" {
				t.Errorf("NONE arrived as %s, %v", kind, err)
			}
		})
	}
}

// A range of records as a parameter: bounds included, order of keys, closed.
func TestRangesOfRecordsAreClosed(t *testing.T) {
	for _, e := range surrealtest.All() {
		t.Run(e.String(), func(t *testing.T) {
			c := surrealtest.Open(t, e)
			define(t, c, "DEFINE TABLE event")
			for i := range 12 {
				err := c.Exec(t.Context(), "CREATE $id SET n = $n", surreal.Vars{"id": surreal.Record("event", "s", i), "n": i})
				if err != nil {
					t.Fatal(err)
				}
			}
			var ns []int
			records := surreal.Record("event", surreal.Range{From: []any{"s", 2}, To: []any{"s", 10}})
			if err := c.Select(t.Context(), "SELECT VALUE n FROM $r", surreal.Vars{"r": records}, &ns); err != nil {
				t.Fatal(err)
			}
			if want := []int{2, 3, 4, 5, 6, 7, 8, 9, 10}; !reflect.DeepEqual(ns, want) {
				t.Errorf("got %v, want %v", ns, want)
			}
		})
	}
}

func TestEachStatementHasItsResult(t *testing.T) {
	for _, e := range surrealtest.All() {
		t.Run(e.String(), func(t *testing.T) {
			c := surrealtest.Open(t, e)
			ctx := t.Context()
			define(t, c, "DEFINE TABLE a; DEFINE FIELD n ON a TYPE int; DEFINE INDEX u ON a FIELDS n UNIQUE; CREATE a:1 SET n = 1")

			results, err := c.Query(ctx, "RETURN 1; CREATE a:1 SET n = 2; CREATE a:2 SET n = 1; THROW 'stop'; CREATE a:3 SET n = 'a secret'; RETURN 2", nil)
			if err != nil || len(results) != 6 {
				t.Fatal(results, err)
			}
			if results[0].Err != nil || results[5].Err != nil {
				t.Error("a statement failed because another one did")
			}
			if !surreal.Exists(results[1].Err) || !surreal.Exists(results[2].Err) || surreal.Exists(results[3].Err) {
				t.Errorf("exists: %v; %v", results[1].Err, results[2].Err)
			}
			if text, ok := surreal.Thrown(results[3].Err); !ok || text != "stop" {
				t.Errorf("thrown: %v", results[3].Err)
			}
			if err := results[4].Err; err == nil || strings.Contains(err.Error(), "secret") || surreal.Exists(err) || surreal.Conflict(err) {
				t.Errorf("refused value: %v", err)
			}
			if err := results.Err(); !errors.Is(err, results[1].Err) {
				t.Errorf("the cause is %v", err)
			}
			var whole *surreal.Error
			if _, err := c.Query(ctx, "SELEKT 1", nil); !errors.As(err, &whole) || whole.Statement != -1 || surreal.Unknown(err) {
				t.Errorf("no query: %v", err)
			}
		})
	}
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	for _, e := range surrealtest.All() {
		t.Run(e.String(), func(t *testing.T) {
			c := surrealtest.Open(t, e)
			ctx := t.Context()
			define(t, c, "DEFINE TABLE a; DEFINE TABLE head; CREATE head:x SET n = 0")
			steps := []string{"UPDATE ONLY head:x SET n += 1", "CREATE ONLY $id SET body = $body", "LET $x = 5"}
			vars := surreal.Vars{"id": surreal.Record("a", "s", 1), "body": []byte{1, 2, 3}}
			results, err := c.Transact(ctx, steps, vars)
			var row struct {
				ID   surreal.RecordID `cbor:"id"`
				Body []byte           `cbor:"body"`
			}
			if err != nil || len(results) != 3 || results[1].Decode(&row) != nil || row.ID.Table != "a" || !bytes.Equal(row.Body, []byte{1, 2, 3}) {
				t.Fatal(results, row, err)
			}
			results, err = c.Transact(ctx, steps, vars)
			var e1 *surreal.Error
			if !surreal.Exists(err) || !errors.As(err, &e1) || e1.Statement != 1 || len(results) != 3 || !errors.Is(results[1].Err, err) {
				t.Errorf("the second time: %v, %v", results, err)
			}
			results, err = c.Transact(ctx, []string{"UPDATE head:x SET n += 1", "IF true { THROW 'gone' }", "RETURN 7"}, nil)
			if text, ok := surreal.Thrown(err); !ok || text != "gone" || len(results) != 3 {
				t.Errorf("thrown: %v, %v", results, err)
			}
			var n int
			if err := c.Select(ctx, "RETURN head:x.n", nil, &n); err != nil || n != 1 {
				t.Errorf("what was undone stayed: %d, %v", n, err)
			}
			results, err = c.Transact(ctx, []string{"LET $x = 3", "UPDATE head:x SET n += $x", "RETURN $x + 1"}, nil)
			if err != nil || len(results) != 3 || results[2].Decode(&n) != nil || n != 4 {
				t.Errorf("RETURN at the end: %v, %v", results, err)
			}
		})
	}
}

// A transaction that collides gets a Conflict, and no write is lost. The engine
// decides when two transactions collide, so the workers continue until two have.
func TestConflictingTransactionsLoseNothing(t *testing.T) {
	const workers, each, most = 8, 25, 4000
	for _, e := range surrealtest.All() {
		t.Run(e.String(), func(t *testing.T) {
			c := surrealtest.Open(t, e)
			define(t, c, "DEFINE TABLE event; DEFINE TABLE head; CREATE head:x SET n = 0")
			var wg sync.WaitGroup
			var done, conflicts atomic.Int64
			for range workers {
				wg.Go(func() {
					for n := 0; n < each || conflicts.Load() == 0 && n < most; {
						_, err := c.Transact(t.Context(), []string{"UPDATE head:x SET n += 1", "CREATE event"}, nil)
						switch {
						case err == nil:
							n++
							done.Add(1)
						case surreal.Conflict(err):
							conflicts.Add(1)
						default:
							t.Errorf("neither done nor a conflict: %v", err)
							return
						}
					}
				})
			}
			wg.Wait()
			var n int64
			if err := c.Select(t.Context(), "RETURN head:x.n", nil, &n); err != nil || n != done.Load() {
				t.Errorf("%d of %d are there, %v", n, done.Load(), err)
			}
			if conflicts.Load() == 0 {
				t.Errorf("no two of %d transactions met", done.Load())
			}
		})
	}
}

// Each connection has the rights of its own user.
func TestEachConnectionHasItsOwnUser(t *testing.T) {
	for _, e := range surrealtest.All() {
		t.Run(e.String(), func(t *testing.T) {
			cfg := surrealtest.Start(t, e)
			root := open(t, cfg)
			define(t, root, "DEFINE TABLE secret PERMISSIONS NONE; DEFINE TABLE note PERMISSIONS FOR select, create WHERE owner = $auth; DEFINE TABLE person; "+
				"DEFINE ACCESS visitor ON DATABASE TYPE RECORD SIGNUP (CREATE person SET name = $name) SIGNIN (SELECT id FROM person WHERE name = $name); "+
				"CREATE secret; DEFINE USER clerk ON DATABASE PASSWORD 'clerk' ROLES EDITOR; DEFINE FIELD owner ON note")
			guest, visitor, clerk, wrong := cfg, cfg, cfg, cfg
			guest.Login = surreal.Login{}
			visitor.Login = cfg.AsNewRecord("visitor", surreal.Vars{"name": "joe"})
			clerk.Login = cfg.AsUser(surreal.LevelDatabase, "clerk", "clerk")
			wrong.Login = cfg.AsUser(surreal.LevelDatabase, "clerk", "wrong")
			visitor.Sockets = 1
			if _, err := surreal.Open(t.Context(), wrong, surreal.Options{}); !errors.Is(err, surreal.ErrAuth) {
				t.Errorf("wrong password: %v", err)
			}
			clients := map[string]*surreal.Client{"root": root, "guest": open(t, guest), "visitor": open(t, visitor), "clerk": open(t, clerk)}
			sees := map[string]int{"root": 1, "visitor": 0, "clerk": 1}
			var wg sync.WaitGroup
			for range 20 {
				for name, c := range clients {
					wg.Go(func() {
						var rows []any
						err := c.Select(t.Context(), "SELECT id FROM secret", nil, &rows)
						if want, ok := sees[name]; (err == nil) != ok || len(rows) != want {
							t.Errorf("%s sees %d, %v", name, len(rows), err)
						}
					})
				}
			}
			wg.Wait()
			if err := clients["visitor"].Exec(t.Context(), "DEFINE TABLE mine", nil); err == nil {
				t.Error("a visitor defined a table")
			}
		})
	}
}

func open(t *testing.T, cfg surreal.Config) *surreal.Client {
	t.Helper()
	c, err := surreal.Open(t.Context(), cfg, surreal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A subscription receives what its own query selects, and nothing else.
func TestLiveReportsWhatItsQuerySelects(t *testing.T) {
	for _, e := range surrealtest.All() {
		t.Run(e.String(), func(t *testing.T) {
			cfg := surrealtest.Start(t, e)
			c := open(t, cfg)
			other := open(t, surrealtest.Start(t, e))
			define(t, c, "DEFINE TABLE bell")
			define(t, other, "DEFINE TABLE bell")
			l, err := c.Live(t.Context(), "LIVE SELECT n FROM bell", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			deaf, err := other.Live(t.Context(), "LIVE SELECT n FROM bell", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer deaf.Close()
			for i := range 20 {
				if err := c.Exec(t.Context(), "CREATE $id SET n = $n", surreal.Vars{"id": surreal.Record("bell", i), "n": i}); err != nil {
					t.Fatal(err)
				}
				n, err := l.Next(t.Context())
				var row struct{ N int }
				if err != nil || n.Action != "CREATE" || surreal.Unmarshal(n.Result, &row) != nil || row.N != i {
					t.Fatalf("%d: %+v, %v", i, n, err)
				}
			}
			define(t, other, "CREATE bell:last")
			n, err := deaf.Next(t.Context())
			var id surreal.RecordID
			if err != nil || surreal.Unmarshal(n.Record, &id) != nil || id.Key != "last" {
				t.Errorf("the other database heard %+v, %v", n, err)
			}
		})
	}
}

// An acknowledged commit survives a kill of the server, and the client reconnects
// by itself.
func TestAcknowledgedCommitSurvivesAKilledServer(t *testing.T) {
	for _, e := range surrealtest.All() {
		t.Run(e.String(), func(t *testing.T) {
			server := surrealtest.Launch(t, e, "")
			c := open(t, server.Config("n", "d"))
			define(t, c, "DEFINE TABLE a")
			l, err := c.Live(t.Context(), "LIVE SELECT n FROM a", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			for i := range 50 {
				define(t, c, fmt.Sprintf("CREATE a:%d", i))
			}
			server.Kill()
			for err == nil {
				_, err = l.Next(t.Context())
			}
			server.Restart(t)
			var n []int
			if err := c.Select(t.Context(), "SELECT VALUE n FROM (SELECT count() AS n FROM a GROUP ALL)", nil, &n); err != nil || len(n) != 1 || n[0] != 50 {
				t.Errorf("%v of 50 acknowledged are there, %v", n, err)
			}
		})
	}
}
