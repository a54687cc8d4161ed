//go:build !linux

package realtime

// poller watches nothing where the system has no epoll(7): each connection is
// read by a goroutine of its own.
type poller struct{}

func (*poller) watch(*conn) bool { return false }
func (*poller) forget(*conn)     {}
func (*poller) close()           {}
