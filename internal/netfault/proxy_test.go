package netfault_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gotong.dev/gotong/internal/netfault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that sends back what it gets, behind a proxy.
func echo(t *testing.T) *netfault.Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, struct{ io.Reader }{c})
				_ = c.Close()
			}()
		}
	}()
	p, err := netfault.Start(t.Context(), l.Addr().String())
	check(t, err)
	t.Cleanup(func() { p.Close(); _ = l.Close() })
	return p
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, p *netfault.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a text and reads as many bytes back; what came, and how it ended.
func ask(t *testing.T, c net.Conn, text string) (string, error) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	got := make([]byte, len(text))
	n, err := io.ReadFull(c, got)
	return string(got[:n]), err
}

func passes(t *testing.T, c net.Conn) {
	t.Helper()
	if got, err := ask(t, c, "Halo"); got != "Halo" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func broken(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got, err := ask(t, c, "Halo")
	if got != want || err == nil {
		t.Errorf("got %q, %v; want %q and an error", got, err, want)
	}
}

// refused expects that a new connection is reset, at once or at its first use.
func refused(t *testing.T, p *netfault.Proxy) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return
	}
	broken(t, c, "")
	_ = c.Close()
}

func TestCut(t *testing.T) {
	p := echo(t)
	a, b := dial(t, p), dial(t, p)
	passes(t, a)
	passes(t, b)
	first := true
	p.CutSome(func() bool { first = !first; return first })
	_, errA := ask(t, a, "x")
	_, errB := ask(t, b, "x")
	if (errA == nil) == (errB == nil) || p.Cuts() != 1 {
		t.Errorf("%v, %v, %d cuts", errA, errB, p.Cuts())
	}
	p.Refuse()
	refused(t, p)
	p.Accept()
	passes(t, dial(t, p))
}

func TestLose(t *testing.T) {
	p := echo(t)
	for _, lose := range []func(int){p.LoseRequest, p.LoseAnswer} {
		c := dial(t, p)
		lose(1)
		passes(t, c)
		broken(t, c, "")
		passes(t, dial(t, p)) // once
		lose(0)
		lose(-1)
		passes(t, dial(t, p))
	}
	if p.Cuts() != 2 {
		t.Errorf("%d cuts", p.Cuts())
	}
}

// TestKeptRequestArrivesAfterItsConnectionWasCut: the client loses its
// connection at once; the server receives the request when it is delivered.
func TestKeptRequestArrivesAfterItsConnectionWasCut(t *testing.T) {
	p := echo(t)
	if p.Deliver() == nil {
		t.Error("delivered a request that was not kept")
	}
	c := dial(t, p)
	p.KeepRequest(1)
	passes(t, c)
	broken(t, c, "")
	passes(t, dial(t, p)) // others pass meanwhile
	check(t, p.Deliver())
	if p.Deliver() == nil || p.Cuts() != 1 {
		t.Errorf("delivered twice, or %d cuts", p.Cuts())
	}
	p.KeepRequest(0)
	broken(t, dial(t, p), "") // closing the proxy ends it
}

func TestPlan(t *testing.T) {
	p := echo(t)
	p.Plan(func() netfault.Fault { return netfault.Fault{After: 6, Reset: true} })
	c := dial(t, p)
	passes(t, c)
	broken(t, c, "Ha")
}

func TestHold(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	passes(t, c)
	p.Hold()
	_, err := io.WriteString(c, "Halo")
	check(t, err)
	check(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	if n, err := c.Read(make([]byte, 4)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
	check(t, c.SetReadDeadline(time.Time{}))
	p.Let()
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Error(err)
	}
	p.Hold() // closing lets go
}

func TestRoute(t *testing.T) {
	server, p := echo(t), echo(t)
	passes(t, dial(t, p))
	p.Route(func(n int) string {
		if n == 2 {
			return server.Addr()
		}
		return "127.0.0.1:1"
	})
	passes(t, dial(t, p))
	refused(t, p)
}
