package livequery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/bus/livequery"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// patience bounds the wait for anything that must happen.
const patience = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const schema = `DEFINE TABLE partition SCHEMAFULL PERMISSIONS NONE;
DEFINE FIELD position ON partition TYPE int;
`

// table makes the table of partitions, as the store does.
func table(t *testing.T, cfg surreal.Config, opt surreal.Options) *surreal.Client {
	t.Helper()
	c, err := surreal.Open(t.Context(), cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Exec(t.Context(), schema, nil); err != nil {
		t.Fatal(err)
	}
	for p := range 16 {
		if err := c.Exec(t.Context(), "CREATE ONLY $id SET position = 0", surreal.Vars{"id": surreal.Record("partition", p)}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// writer is an end whose wake-ups are commits: publishing one moves the
// partition in the database, as fast as the database allows.
type writer struct {
	bus.Bus
	db  *surreal.Client
	out *bus.Queue
}

func (w *writer) Publish(m bus.Message) {
	w.Bus.Publish(m)
	if m.Wake != nil {
		w.out.Put(m)
	}
}

func (w *writer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.out.Ready():
		}
		for _, m := range w.out.Take() {
			if commit(ctx, w.db, m.Wake) != nil {
				w.out.Put(m)
				break
			}
		}
	}
}

func commit(ctx context.Context, db *surreal.Client, w *bus.Wake) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return db.Exec(ctx, "UPDATE $id SET position = $to WHERE position < $to RETURN NONE", surreal.Vars{
		"id": surreal.Record("partition", int(w.Partition)), "to": w.Position,
	})
}

// TestBus runs the suite on both engines. Cut stops the database process.
func TestBus(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) { //nolint:thelper // the test itself, once per engine
		s := surrealtest.Launch(t, e, t.TempDir())
		t.Cleanup(s.Stop)
		bustest.Test(t, func(t *testing.T) bustest.Net { //nolint:thelper // makes, and checks nothing
			db := table(t, s.Fresh(), surreal.Options{Ping: 300 * time.Millisecond, Stall: 500 * time.Millisecond})
			ctx, cancel := context.WithCancel(context.Background())
			var writing sync.WaitGroup
			t.Cleanup(func() { s.Signal(t, syscall.SIGCONT); cancel(); writing.Wait() })
			return bustest.Net{
				Join: func() bus.Bus {
					w := &writer{livequery.New(livequery.Options{Database: db}), db, bus.NewQueue(0)}
					writing.Go(func() { w.run(ctx) })
					return w
				},
				Cut: func() { s.Signal(t, syscall.SIGSTOP) }, Mend: func() { s.Signal(t, syscall.SIGCONT) },
				NoSignals: true,
			}
		})
	})
}

// TestSilentQueryAndKilledDatabase: a live query that stops reporting is
// noticed, and the position that it did not report arrives all the same; after
// the database was killed, the bus reconnects.
func TestSilentQueryAndKilledDatabase(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) { //nolint:thelper // the test itself, once per engine
		s := surrealtest.Launch(t, e, t.TempDir())
		t.Cleanup(s.Stop)
		db := table(t, s.Fresh(), surreal.Options{}) // a short Stall would end connections on a busy machine
		received, changes := make(chan uint64, 1024), make(chan string, 64)
		b := livequery.New(livequery.Options{Database: db, Observer: bus.Observer{
			Connected: func() { changes <- "connected" }, Lost: func(err error) { changes <- "lost: " + err.Error() },
		}})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- b.Run(ctx, func(m bus.Message) {
				if m.Wake.Partition == 7 {
					received <- m.Wake.Position
				}
			})
		}()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		change := func(want string) {
			t.Helper()
			select {
			case got := <-changes:
				if !strings.HasPrefix(got, want) {
					t.Fatalf("the bus is %q, want %q", got, want)
				}
			case <-time.After(patience):
				t.Fatalf("the bus is not %q", want)
			}
		}
		arrives := func(position uint64) {
			t.Helper()
			limit := time.After(patience)
			for {
				select {
				case got := <-received:
					if got == position {
						return
					}
				case <-limit:
					t.Fatalf("position %d does not arrive", position)
				}
			}
		}
		move := func(position uint64) {
			t.Helper()
			for try := 0; ; try++ {
				err := commit(t.Context(), db, &bus.Wake{Partition: 7, Position: position})
				if err == nil {
					return
				}
				var conn *surreal.ConnError
				if !errors.As(err, &conn) || try > 100 {
					t.Fatal(err)
				}
			}
		}
		change("connected")
		move(1)
		arrives(1)
		var live []struct {
			Lives map[string]string `cbor:"lives"`
		}
		if err := db.Select(t.Context(), "INFO FOR TABLE partition", nil, &live); err != nil {
			var one struct {
				Lives map[string]string `cbor:"lives"`
			}
			if err := db.Select(t.Context(), "INFO FOR TABLE partition", nil, &one); err != nil {
				t.Fatal(err)
			}
			live = append(live, one)
		}
		if len(live) != 1 || len(live[0].Lives) != 1 {
			t.Fatalf("live queries %v", live)
		}
		for id := range live[0].Lives {
			if err := db.Exec(t.Context(), "KILL u'"+id+"'", nil); err != nil {
				t.Fatal(err)
			}
		}
		move(2)
		arrives(2)
		change("lost: livequery: ")
		change("connected")
		move(3)
		arrives(3)

		s.Kill()
		change("lost: ")
		s.Restart(t)
		change("connected")
		move(4)
		arrives(4)
		if err := b.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestDroppedCountsAllButWakeUps: the bus reports each message that it does not
// carry.
func TestDroppedCountsAllButWakeUps(t *testing.T) {
	dropped := 0
	b := livequery.New(livequery.Options{Observer: bus.Observer{Dropped: func(n int) { dropped += n }}})
	b.Publish(bus.Message{Wake: &bus.Wake{Position: 1}})
	b.Publish(bus.Message{Signal: &bus.Signal{Type: "typing"}})
	b.Publish(bus.Message{Ended: &bus.Ended{UserID: "ann"}})
	if err := b.Check(t.Context()); dropped != 2 || err == nil {
		t.Error(fmt.Sprint(dropped), err)
	}
}
