package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// started tells systemd, if that started this process, that the server listens
// (sd_notify(3)), and returns the function for what follows. While running runs, it
// tells twice in each period of systemd's watchdog, if there is one, that the server
// is alive. Its own lines, because a library looks for the socket at each message,
// in the environment that children get.
func (a *App) started(running *errgroup.Group) (tell func(state string)) {
	socket := os.Getenv("NOTIFY_SOCKET")
	usec, _ := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		usec = 0
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name) // it fails only for malformed names
	}
	if socket == "" {
		return func(string) {}
	}
	tell = func(state string) {
		if err := send(context.WithoutCancel(a.base), socket, state); err != nil {
			a.log.WarnContext(a.base, "systemd cannot be notified", "state", state, "cause", err)
		}
	}
	tell("READY=1")
	if every := time.Duration(usec) * time.Microsecond / 2; every > 0 {
		running.Go(func() error { return a.watchdog(every, func() { tell("WATCHDOG=1") }) })
	}
	return tell
}

// inherited returns the socket of the API that systemd opened for this process
// (sd_listen_fds(3)); nil if there is none. Child processes get neither the socket nor its
// variables.
func inherited() (net.Listener, error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name)
	}
	switch {
	case pid != strconv.Itoa(os.Getpid()):
		return nil, nil //nolint:nilnil // there is no socket
	case count != "1":
		return nil, fmt.Errorf("systemd passed %q sockets, and the server takes one; give its socket unit a single ListenStream", count)
	}
	file := os.NewFile(3, "systemd")
	defer func() { _ = file.Close() }()
	return net.FileListener(file)
}

func send(ctx context.Context, socket, datagram string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(3 * time.Second)) // a manager that hangs must not hold up the drain
	_, err = conn.Write([]byte(datagram))
	return err
}

// watchdog calls beat each time that it finds the server alive. It repeats a check
// that takes too long at once: there is time for two.
func (a *App) watchdog(every time.Duration, beat func()) error {
	for tick := time.Tick(every); ; {
		select {
		case <-a.base.Done():
			return nil
		case <-tick:
		}
		for !a.alive(every/2) && a.base.Err() == nil {
			a.log.ErrorContext(a.base, "the store does not answer, so systemd will restart the server",
				"took_ms", (every / 2).Milliseconds())
		}
		beat()
	}
}

// alive returns whether the store answers in time. An error is an answer: a restart
// would not mend it. Nor would it bring back a database that other nodes use too, so
// there it is enough that the question ends.
func (a *App) alive(limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(a.base, limit)
	defer cancel()
	_ = a.storeReady(ctx)
	return ctx.Err() == nil || !ownStore(&a.cfg)
}
