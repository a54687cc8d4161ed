package realtime

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong/internal/httpapi"
)

// What clients leave unfinished is bounded for all of them together: when it is
// too much, the one who began first is closed, a client that has not
// authenticated before all others. Small pieces do not count.
func TestUnfinishedFramesAreBoundedInAll(t *testing.T) {
	const sent = 50 << 10
	w := newWorld(t)
	u := &w.server.unfinished
	bound := func(most int) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.most = most
	}
	bound(128 << 10) // two fit, however their buffers grow
	hold := func(conns int) {
		t.Helper()
		w.until(fmt.Sprint(conns, " hold what they sent"), func() bool {
			u.mu.Lock()
			defer u.mu.Unlock()
			return len(u.conns) == conns && u.bytes >= conns*sent && (conns > 0 || u.bytes == 0)
		})
	}
	payload := append(bytes.Repeat([]byte(" "), maxFrame-100), ping("1")...)
	whole := clientFrame(0x81, payload)

	small := w.rawConnect("dee")
	small.send(whole[:uncounted/2])
	ann := w.rawConnect("ann")
	ann.send(clientFrame(0x01, make([]byte, sent)))
	hold(1)
	stranger := w.rawConnect("")
	stranger.send(whole[:sent])
	hold(2)
	bob := w.rawConnect("bob")
	bob.send(whole[:sent])
	stranger.closed(closeOverloaded)
	hold(2)
	cem := w.rawConnect("cem")
	cem.send(whole[:sent])
	ann.closed(closeOverloaded)
	hold(2)
	bound(maxUnfinished)
	for s, rest := range map[*rawSocket][]byte{bob: whole[sent:], cem: whole[sent:], small: whole[uncounted/2:]} {
		s.send(rest)
		if _, b := readServerFrame(t, s.br); string(b) != `{"op":"pong","id":"1"}` {
			t.Errorf("got %s", b)
		}
	}
	hold(0)
	w.ended("ws overloaded")
	bob.send(whole[:sent])
	hold(1)
	_ = bob.conn.Close()
	hold(0)
}

// slowPeer is a connection whose client does not close it.
type slowPeer struct {
	net.Conn
	asked   *atomic.Int64
	release chan struct{}
}

func (s slowPeer) Read([]byte) (int, error)        { s.asked.Add(1); <-s.release; return 0, io.EOF }
func (s slowPeer) SetReadDeadline(time.Time) error { return nil }
func (s slowPeer) Close() error                    { return nil }

// At the end of the server, clients that are slow to close are waited for all at
// once, not one after another.
func TestEndWaitsForAllClientsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = 50
		s := New(Options{})
		s.running.close()
		var asked atomic.Int64
		release := make(chan struct{})
		for range clients {
			c := s.newConn(&httpapi.Call{})
			c.wire.over(slowPeer{asked: &asked, release: release})
			c.wire.early = clientFrame(0x81, ping("1"))[:1]
			c.stop("closed")
			c.wire.shutting.Store(true) // its close frame was written
			s.conns[c] = struct{}{}
			s.readers.add(c)
		}
		ended := make(chan struct{})
		go func() { s.end(); close(ended) }()
		synctest.Wait()
		if n := asked.Load(); n != clients {
			t.Errorf("%d of %d are waited for", n, clients)
		}
		select {
		case <-ended:
			t.Error("the server has ended before its connections")
		default:
		}
		close(release)
		<-ended
		if ws, _ := s.Open(); ws != 0 {
			t.Errorf("%d connections are left", ws)
		}
	})
}
