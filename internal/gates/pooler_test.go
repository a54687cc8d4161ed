package gates

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

// pooler is a small pooler in front of a server: each client has a backend for its
// session or, in transaction mode, another one for each transaction.
type pooler struct {
	t           *testing.T
	server      string
	transaction bool
}

// start returns the address of the pooler, which ends with the test.
func (p *pooler) start() string {
	p.t.Helper()
	l, err := (&net.ListenConfig{}).Listen(p.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	var group sync.WaitGroup
	p.t.Cleanup(func() { _ = l.Close(); group.Wait() })
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { p.serve(c) })
		}
	})
	return l.Addr().String()
}

// message reads one message: its kind, unless it is the first of a client, a length
// and as many bytes.
func message(from io.Reader, head int) ([]byte, error) {
	begin := make([]byte, head+4)
	if _, err := io.ReadFull(from, begin); err != nil {
		return nil, err
	}
	m := make([]byte, head+int(binary.BigEndian.Uint32(begin[head:])))
	_, err := io.ReadFull(from, m[copy(m, begin):])
	return m, err
}

// The kinds of messages that matter here.
const (
	query, synced, key, ready = 'Q', 'S', 'K', 'Z'
	idle                      = 'I'
)

// untilReady passes on what a backend answers, with a number of the pooler's own. It
// reports whether the backend is in no transaction.
func untilReady(backend io.Reader, client io.Writer) (free bool, err error) {
	for {
		m, err := message(backend, 1)
		if err != nil {
			return false, err
		}
		if m[0] == key {
			m[5] ^= 1
		}
		if _, err := client.Write(m); err != nil {
			return false, err
		}
		if m[0] == ready {
			return m[5] == idle, nil
		}
	}
}

func (p *pooler) serve(client net.Conn) {
	defer client.Close() //nolint:errcheck // the client has ended
	startup, err := message(client, 0)
	if err != nil {
		return
	}
	backend := p.backend(startup, client)
	if backend == nil {
		return
	}
	defer func() { _ = backend.Close() }()
	for {
		m, err := message(client, 1)
		if err != nil {
			return
		}
		if _, err := backend.Write(m); err != nil {
			return
		}
		if m[0] != query && m[0] != synced {
			continue
		}
		free, err := untilReady(backend, client)
		if err != nil {
			return
		}
		if free && p.transaction {
			next := p.backend(startup, io.Discard) // before the other one ends, so that its number is new
			if next == nil {
				return
			}
			_ = backend.Close()
			backend = next
		}
	}
}

// backend begins a session; nil if the server does not allow it.
func (p *pooler) backend(startup []byte, client io.Writer) net.Conn {
	c, err := (&net.Dialer{}).DialContext(context.WithoutCancel(p.t.Context()), "tcp", p.server)
	if err == nil {
		if _, err = c.Write(startup); err == nil {
			_, err = untilReady(c, client)
		}
	}
	if err != nil {
		p.t.Error(err)
		return nil
	}
	return c
}

// TestPoolerIsFound: a pooler of either mode is distinguished from the server. Nothing is made through it.
func TestPoolerIsFound(t *testing.T) {
	server := postgrestest.Start(t, "-c", "fsync=off")
	for _, transaction := range []bool{false, true} {
		p := &pooler{t: t, server: net.JoinHostPort("127.0.0.1", server.Port), transaction: transaction}
		address := "postgres://" + postgrestest.User + "@" + p.start() + "/postgres?sslmode=disable"
		report, err := Run(t.Context(), postgresOptions(t, address, "pooler", "clock", "settings", "replication", "access"))
		if err != nil || len(report.Left) > 0 {
			t.Fatalf("%v, left %q", err, report.Left)
		}
		says(t, report.Gates[0], Warning, "a pooler answers")
		says(t, report.Gates[1], Go)
		says(t, report.Gates[2], NoGo, "fsync")
		says(t, report.Gates[3], Go, "is a primary")
		says(t, report.Gates[4], NotChecked, "search_path")
	}
	nothingLeft(t, server.URL("postgres"))
}
