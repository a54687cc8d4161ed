package realtime

import (
	"log/slog"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller reports which of the watched connections have something to read
// (epoll(7)). It wakes one goroutine, whatever their number.
type poller struct {
	opening sync.Once
	epoll   syscall.RawConn // nil before the first connection, or if the system has none

	mu    sync.Mutex
	file  *os.File // of epoll
	done  bool
	conns []*conn // by descriptor
}

const (
	pollAtOnce = 256 // connections

	gone    = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	watched = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
)

// open makes the poller ready. Its descriptor is itself watched by the runtime,
// so that waiting costs no thread.
func (p *poller) open(s *Server) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		s.opts.Log.Warn("connections are read by a goroutine each", slog.Any("cause", err))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.file = os.NewFile(uintptr(fd), "epoll")
	p.epoll, err = p.file.SyscallConn()
	if err != nil || p.done || !s.running.start(p.run) {
		_ = p.file.Close()
		p.epoll = nil
	}
}

// watch has the connection roused from now on when something arrives. It
// returns false where that is not possible.
func (p *poller) watch(c *conn) bool {
	if c.wire.raw == nil {
		return false
	}
	p.opening.Do(func() { p.open(c.server) })
	if p.epoll == nil {
		return false
	}
	var err error
	add := func(fd uintptr) {
		p.set(int(fd), c)
		c.fd, c.watched = int(fd), true
		if cerr := p.epoll.Control(func(epoll uintptr) {
			event := unix.EpollEvent{Events: watched, Fd: int32(fd)} //nolint:gosec // descriptors fit
			err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &event)
		}); cerr != nil {
			err = cerr
		}
	}
	if cerr := c.wire.raw.Control(add); cerr != nil || err != nil {
		p.forget(c)
		c.watched = false
	}
	return c.watched
}

func (p *poller) set(fd int, c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fd >= len(p.conns) {
		p.conns = append(p.conns, make([]*conn, fd+1-len(p.conns))...)
	}
	p.conns[fd] = c
}

// forget drops a connection. The system stopped watching it when it was closed;
// its descriptor may be that of another one by now.
func (p *poller) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.watched && c.fd < len(p.conns) && p.conns[c.fd] == c {
		p.conns[c.fd] = nil
	}
}

// run rouses connections until the poller is closed.
func (p *poller) run() {
	events := make([]unix.EpollEvent, pollAtOnce)
	n := 0
	look := func(fd uintptr) bool {
		var err error
		n, err = unix.EpollWait(int(fd), events, 0)
		return n > 0 || err != nil
	}
	for p.epoll.Read(look) == nil {
		for _, e := range events[:max(n, 0)] {
			if c := p.get(int(e.Fd)); c != nil {
				if e.Events&gone != 0 {
					c.hungUp.Store(true)
				}
				c.rouse()
			}
		}
	}
}

func (p *poller) get(fd int) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[fd]
}

func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done = true; p.file != nil {
		_ = p.file.Close()
	}
}
