package postgres_test

import (
	"context"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/bus/postgres"
	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		postgrestest.Stop()
		os.Exit(code)
	}))
}

// patience bounds the wait for anything that must happen.
const patience = 60 * time.Second

// through returns the address of a database with the proxy in place of the
// server.
func through(t *testing.T, p *netfault.Proxy, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.Addr()
	return u.String()
}

func newLink(t *testing.T, opt postgres.Options) *postgres.Link {
	t.Helper()
	l, err := postgres.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// notify sends this text to the links of an installation. It leaves out what no
// client can send.
func notify(t *testing.T, address, installation, text string) {
	t.Helper()
	if len(text) > 7999 || strings.Contains(text, "\x00") || !utf8.ValidString(text) {
		return
	}
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := c.Exec(t.Context(), "SELECT pg_notify($1, $2)", "gotong:"+installation, text); err != nil {
		t.Fatal(err)
	}
}

// TestBus runs the suite over a proxy that cuts connections.
func TestBus(t *testing.T) {
	s := postgrestest.Start(t)
	bustest.Test(t, func(t *testing.T) bustest.Net { //nolint:thelper // makes, and checks nothing
		address := s.Fresh()
		host, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		p := netfault.For(t, host.Host)
		const installation = "01234567-89ab-7def-8123-456789abcdef"
		return bustest.Net{
			Join: func() bus.Bus {
				return newLink(t, postgres.Options{URL: through(t, p, address), Installation: installation})
			},
			Cut: p.Refuse, Mend: p.Accept,
			Garbage: func(text string) { notify(t, address, installation, text) },
		}
	})
}

// run runs a link until the test ends, and returns what it receives and its
// changes.
func run(t *testing.T, opt postgres.Options) (l *postgres.Link, received chan bus.Message, changes chan string) {
	t.Helper()
	received, changes = make(chan bus.Message, 1024), make(chan string, 64)
	opt.Observer.Connected = func() { changes <- "connected" }
	opt.Observer.Lost = func(err error) { changes <- "lost: " + err.Error() }
	l = newLink(t, opt)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx, func(m bus.Message) { received <- m }); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return l, received, changes
}

func change(t *testing.T, changes <-chan string, want string) {
	t.Helper()
	select {
	case got := <-changes:
		if !strings.HasPrefix(got, want) {
			t.Fatalf("the link is %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("the link is not %q within %s", want, patience)
	}
}

// unusable waits until a new link says why it does not work.
func unusable(t *testing.T, changes <-chan string, why string) {
	t.Helper()
	select {
	case got := <-changes:
		if !strings.HasPrefix(got, "lost: ") || !strings.Contains(got, why) {
			t.Errorf("the link is %q, want %q", got, why)
		}
	case <-time.After(patience):
		t.Error("the link neither works nor says why")
	}
}

func next(t *testing.T, received <-chan bus.Message) bus.Message {
	t.Helper()
	select {
	case m := <-received:
		return m
	case <-time.After(patience):
		t.Fatal("no message arrives")
		return bus.Message{}
	}
}

// TestServerIsRestarted: a link finds the server again, and Check shows why it
// is away.
func TestServerIsRestarted(t *testing.T) {
	s := postgrestest.Start(t)
	opt := postgres.Options{URL: s.Fresh(), Installation: "here"}
	a, _, _ := run(t, opt)
	b, received, changes := run(t, opt)
	change(t, changes, "connected")
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
	s.Kill()
	change(t, changes, "lost: postgres: ")
	if err := b.Check(t.Context()); err == nil {
		t.Error("Check reports no error although the server is dead")
	}
	a.Publish(bus.Message{Node: "a", Wake: &bus.Wake{Partition: 3, Position: 6}})
	a.Publish(bus.Message{Node: "a", Wake: &bus.Wake{Partition: 3, Position: 7}})
	a.Publish(bus.Message{Node: "a", Ended: &bus.Ended{UserID: "ann"}})
	s.Restart()
	change(t, changes, "connected")
	// Those may have been sent before b listened again; this one is not.
	a.Publish(bus.Message{Node: "a", Wake: &bus.Wake{Partition: 4, Position: 1}})
	for m := next(t, received); m.Wake == nil || m.Wake.Partition != 4; m = next(t, received) {
		if w := m.Wake; w != nil && w.Position != 7 {
			t.Errorf("received %+v, want the farthest alone", w)
		}
	}
}

// TestSilenceIsNoticed: the connection that listens is healthy and delivers
// nothing, as behind a pooler in transaction mode.
func TestSilenceIsNoticed(t *testing.T) {
	s, elsewhere := postgrestest.Start(t), postgrestest.Start(t)
	at := "127.0.0.1:" + s.Port
	p := netfault.For(t, at)
	p.Route(func(n int) string {
		if n == 1 { // the connection that listens; the other one sends where nobody listens
			return "127.0.0.1:" + elsewhere.Port
		}
		return at
	})
	_, _, changes := run(t, postgres.Options{URL: through(t, p, s.URL("postgres")), Installation: "here"})
	change(t, changes, "lost: postgres: the server accepts LISTEN and delivers no notifications")
	change(t, changes, "connected")
}

// TestOldPrimary: once anybody on the node has seen a newer primary, the link leaves the
// old one, which looks healthy, and does not come back to it.
func TestOldPrimary(t *testing.T) {
	address := postgrestest.Start(t).Fresh()
	config, err := pgconn.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := primary.New(config, primary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opt := postgres.Options{URL: address, Installation: "here", Guard: guard}
	_, _, changes := run(t, opt)
	change(t, changes, "connected")
	if err := guard.See("00000009"); err != nil {
		t.Fatal(err)
	}
	change(t, changes, "lost: postgres: "+primary.ErrTimeline.Error()+": it is on timeline 1, and 9 was seen")
	_, _, changes = run(t, opt)
	unusable(t, changes, "not the present primary: it is on timeline 1, and 9 was seen")
}

// TestPooler: a PgBouncer in transaction mode is recognised, and the reason is given.
func TestPooler(t *testing.T) {
	_, _, changes := run(t, postgres.Options{URL: postgrestest.Start(t).Pooler(), Installation: "here"})
	change(t, changes, "lost: postgres: the server accepts LISTEN and delivers no notifications")
}

// TestTLS: a link verifies the certificate as its address says.
func TestTLS(t *testing.T) {
	s, ca := postgrestest.Start(t), postgrestest.NewCA(t)
	s.Secure(ca)
	address := strings.Replace(s.Fresh(), "sslmode=disable", "sslmode=verify-full&sslrootcert=", 1)
	_, _, changes := run(t, postgres.Options{URL: address + ca.File, Installation: "here"})
	change(t, changes, "connected")
	_, _, changes = run(t, postgres.Options{URL: address + postgrestest.NewCA(t).File, Installation: "here"})
	unusable(t, changes, "x509: certificate signed by unknown authority")
}

// TestInstallationsShareNothing: two installations in one database do not
// receive each other's messages, and a message that is too large is dropped.
func TestInstallationsShareNothing(t *testing.T) {
	s := postgrestest.Start(t)
	address := s.Fresh()
	dropped := make(chan int, 16)
	one, _, changes := run(t, postgres.Options{URL: address, Installation: "one", Observer: bus.Observer{Dropped: func(n int) {
		if n > 0 {
			dropped <- n
		}
	}}})
	change(t, changes, "connected")
	two, _, changes := run(t, postgres.Options{URL: address, Installation: "two"})
	change(t, changes, "connected")
	_, received, changes := run(t, postgres.Options{URL: address, Installation: "two"})
	change(t, changes, "connected")

	one.Publish(bus.Message{Node: "one", Wake: &bus.Wake{Position: 1}})
	large := []byte(`{"x":"` + strings.Repeat("x", 8000) + `"}`)
	one.Publish(bus.Message{Node: "one", Signal: &bus.Signal{Stream: "thread/1", Type: "typing", Data: large}})
	if n := <-dropped; n != 1 { // both were sent before this
		t.Errorf("%d messages were dropped, want 1", n)
	}
	two.Publish(bus.Message{Node: "two", Wake: &bus.Wake{Position: 2}})
	if m := next(t, received); m.Wake == nil || m.Wake.Position != 2 {
		t.Errorf("received %+v, want the message of the own installation", m)
	}
}

// TestPasswordsStayOutOfErrors: no error shows the password of a URL.
func TestPasswordsStayOutOfErrors(t *testing.T) {
	const pass = "correct-horse-battery"
	for _, text := range []string{
		"postgres://gotong:" + pass + "@127.0.0.1:port/x", "postgres://gotong:" + pass + "@127.0.0.1/x?sslmode=" + "never",
		"postgres://gotong:" + pass + "%zz@127.0.0.1/x",
	} {
		_, err := postgres.New(postgres.Options{URL: text, Installation: "here"})
		if err == nil || strings.Contains(err.Error(), pass) {
			t.Errorf("an unusable URL: %v", err)
		}
	}
	for _, text := range []string{
		"postgres://gotong:" + pass + "@127.0.0.1:1/x", "host=127.0.0.1 port=1 password=" + pass,
	} {
		l, _, changes := run(t, postgres.Options{URL: text, Installation: "here"})
		change(t, changes, "lost: postgres: ")
		if err := l.Check(t.Context()); err == nil || strings.Contains(err.Error(), pass) {
			t.Errorf("check: %v", err)
		}
	}
}
