package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/bus/redis"
	"gotong.dev/gotong/internal/bus/redistest"
	"gotong.dev/gotong/internal/netfault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newLink(t *testing.T, opt redis.Options) *redis.Link {
	t.Helper()
	if opt.Installation == "" {
		opt.Installation = "here"
	}
	if opt.Asking == 0 {
		opt.Asking = 20 * time.Second // a busy machine is no outage
	}
	l, err := redis.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestBus runs the suite over a proxy that cuts connections: sharded, and plain
// on a server without sharded pub/sub.
func TestBus(t *testing.T) {
	plain := []string{"--rename-command", "SSUBSCRIBE", "", "--rename-command", "SPUBLISH", ""}
	for name, args := range map[string][]string{"sharded": nil, "plain": plain} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t, args...)
			bustest.Test(t, func(t *testing.T) bustest.Net { //nolint:thelper // makes, and checks nothing
				p := netfault.For(t, s.Addr)
				installation := strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())
				publish := "SPUBLISH"
				if name == "plain" {
					publish = "PUBLISH"
				}
				return bustest.Net{
					Join: func() bus.Bus {
						return newLink(t, redis.Options{URL: "redis://" + p.Addr(), Installation: installation})
					},
					Cut: p.Refuse, Mend: p.Accept,
					Garbage: func(text string) { s.Do(publish, "gotong:{"+installation+"}:bus", text) },
				}
			})
			size := s.Do("DBSIZE")
			if n, err := size.AsInt64(); n != 0 || err != nil {
				t.Errorf("the bus keeps %d keys in Redis, %v", n, err)
			}
		})
	}
}

// patience bounds the wait for anything that must happen.
const patience = 60 * time.Second

// pair is two links and the messages that reach the second.
type pair struct {
	a, b     *redis.Link
	received chan bus.Message
	ready    chan struct{} // a value for each time that a is connected
	changes  chan string   // of b
}

func newPair(t *testing.T, opt redis.Options) *pair {
	t.Helper()
	p := &pair{received: make(chan bus.Message, 1024), ready: make(chan struct{}, 64), changes: make(chan string, 64)}
	opt.Observer.Connected = func() { p.ready <- struct{}{} }
	p.a = newLink(t, opt)
	opt.Observer = bus.Observer{
		Connected: func() { p.changes <- "connected" }, Lost: func(err error) { p.changes <- "lost: " + err.Error() },
	}
	p.b = newLink(t, opt)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, l := range []*redis.Link{p.a, p.b} {
		running.Go(func() {
			if err := l.Run(ctx, func(m bus.Message) {
				if l == p.b {
					p.received <- m
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return p
}

func (p *pair) change(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-p.changes:
		if !strings.HasPrefix(got, want) {
			t.Fatalf("the link is %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("the link is not %q within %s", want, patience)
	}
}

// talks waits until b receives a wake-up of a at this position. It returns the
// number of messages before it with another position.
func (p *pair) talks(t *testing.T, position uint64) (others int) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	limit := time.After(patience)
	for {
		p.a.Publish(bus.Message{Node: "a", Wake: &bus.Wake{Position: position}})
		select {
		case m := <-p.received:
			if m.Wake.Position == position {
				return others
			}
			others++
		case <-again.C:
		case <-limit:
			t.Fatalf("wake-up %d does not arrive", position)
		}
	}
}

// TestLinkRecovers: the server is killed, restarted, frozen and emptied.
func TestLinkRecovers(t *testing.T) {
	s := redistest.Start(t)
	p := newPair(t, redis.Options{URL: s.URL()})
	p.change(t, "connected")
	p.talks(t, 1)
	if err := p.b.Check(t.Context()); err != nil {
		t.Error(err)
	}

	s.Kill()
	p.change(t, "lost: redis: ")
	if p.b.Check(t.Context()) == nil {
		t.Error("Check reports no error although the server is dead")
	}
	s.Restart()
	p.change(t, "connected")
	p.talks(t, 2)

	s.Freeze()
	p.change(t, "lost: redis: ") // no connection was closed: only the silence shows it
	s.Thaw()
	p.change(t, "connected")
	p.talks(t, 3)

	s.Do("FLUSHALL")
	s.Do("SCRIPT", "FLUSH")
	p.talks(t, 4)
	if n, _, err := p.b.Take(t.Context(), "user", "ann", 1, 10, 3); n != 3 || err != nil {
		t.Errorf("after FLUSHALL: %d, %v", n, err)
	}
}

// TestDemotedServerIsLeft: the subscription is at a server to which nobody
// publishes any more, as after a failover. Every connection is healthy; only
// the probe shows it.
func TestDemotedServerIsLeft(t *testing.T) {
	master, demoted := redistest.Start(t), redistest.Start(t)
	px := netfault.For(t, master.Addr)
	px.Route(func(n int) string { // RESP2 has a connection of its own for the subscription
		if n == 2 {
			return demoted.Addr
		}
		return master.Addr
	})
	changes := make(chan string, 8)
	l := newLink(t, redis.Options{URL: "redis://" + px.Addr() + "?protocol=2", Observer: bus.Observer{
		Connected: func() { changes <- "connected" }, Lost: func(err error) { changes <- err.Error() },
	}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, func(bus.Message) {}) }()
	for _, want := range []string{"redis: the subscription no longer delivers messages", "connected"} {
		select {
		case got := <-changes:
			if got != want {
				t.Errorf("the link is %q, want %q", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("the link is not %q", want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCluster: the channel and the keys of some limits are on another server of
// the cluster than the configured one.
func TestCluster(t *testing.T) {
	var list []*redistest.Server
	for range 2 {
		list = append(list, redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", redistest.FreePort(t)))
	}
	list[0].Do("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
	list[1].Do("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
	host, port, _ := net.SplitHostPort(list[1].Addr)
	bus := list[1].Do("CONFIG", "GET", "cluster-port")
	values, err := bus.AsStrMap()
	if err != nil {
		t.Fatal(err)
	}
	list[0].Do("CLUSTER", "MEET", host, port, values["cluster-port"])
	joined(t, list...)
	for _, s := range list {
		p := newPair(t, redis.Options{URL: s.URL()})
		<-p.ready
		p.talks(t, 1)
		for i := range 32 { // wherever their keys lie
			n := 0
			for try := 0; n == 0 && try < 50; try++ {
				if n, _, err = p.a.Take(t.Context(), "user", fmt.Sprint(s.Addr, i), 1, 3, 2); err == nil {
					break
				}
				<-time.After(100 * time.Millisecond)
			}
			if n != 2 || err != nil {
				t.Errorf("key %d: %d, %v", i, n, err)
			}
		}
	}
}

// joined waits until each server knows of all slots.
func joined(t *testing.T, list ...*redistest.Server) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	limit := time.After(patience)
	for _, s := range list {
		for {
			info := s.Do("CLUSTER", "INFO")
			text, _ := info.ToString()
			if strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_slots_ok:16384") {
				break
			}
			select {
			case <-again.C:
			case <-limit:
				t.Fatalf("no cluster: %s", text)
			}
		}
	}
}

// TestWakeUpsSurviveAnOutageAndSignalsDoNot: a wake-up published without a
// connection is sent after connecting; a signal is dropped.
func TestWakeUpsSurviveAnOutageAndSignalsDoNot(t *testing.T) {
	s := redistest.Start(t)
	px := netfault.For(t, s.Addr)
	p := newPair(t, redis.Options{URL: s.URL()})
	p.change(t, "connected")
	late := newLink(t, redis.Options{URL: "redis://" + px.Addr()})
	px.Refuse()
	late.Publish(bus.Message{Node: "late", Wake: &bus.Wake{Partition: 3, Position: 7}})
	late.Publish(bus.Message{Node: "late", Wake: &bus.Wake{Partition: 3, Position: 6}})
	late.Publish(bus.Message{Node: "late", Signal: &bus.Signal{Stream: "thread/1", Type: "typing"}})
	late.Publish(bus.Message{Node: "late", Ended: &bus.Ended{UserID: "ann"}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- late.Run(ctx, func(bus.Message) {}) }()
	px.Accept()
	for _, want := range []string{"ended ann", "wake 3 7", "wake 3 9"} {
		select {
		case m := <-p.received:
			got := fmt.Sprint("signal ", m.Signal)
			switch {
			case m.Ended != nil:
				got = "ended " + m.Ended.UserID
			case m.Wake != nil:
				got = fmt.Sprint("wake ", m.Wake.Partition, " ", m.Wake.Position)
			}
			if got != want {
				t.Errorf("received %s, want %s", got, want)
			}
			if got == "wake 3 7" { // a signal would arrive before this one
				late.Publish(bus.Message{Node: "late", Wake: &bus.Wake{Partition: 3, Position: 9}})
			}
		case <-time.After(patience):
			t.Fatalf("%s does not arrive", want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestInstallationsShareNothing: two installations on one server do not receive
// each other's messages.
func TestInstallationsShareNothing(t *testing.T) {
	s := redistest.Start(t)
	one := newPair(t, redis.Options{URL: s.URL(), Installation: "one"})
	two := newPair(t, redis.Options{URL: s.URL(), Installation: "two"})
	one.change(t, "connected")
	two.change(t, "connected")
	<-one.ready
	<-two.ready
	one.talks(t, 1)
	if n := two.talks(t, 2); n != 0 { // without the separation, wake-up 1 would arrive first
		t.Errorf("%d messages of the other installation arrived", n)
	}
	for _, p := range []*pair{one, two} {
		if n, _, err := p.a.Take(t.Context(), "user", "ann", 0.1, 1, 1); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
}

// TestSecretsStayOutOfErrors: passwords work, also over TLS, and appear in no
// error.
func TestSecretsStayOutOfErrors(t *testing.T) {
	const pass = "correct-horse-battery"
	s := redistest.Start(t)
	s.Do("CONFIG", "SET", "requirepass", pass)
	s.Pass = pass
	newPair(t, redis.Options{URL: s.URL()}).change(t, "connected")

	safe := redistest.StartSecure(t, pass)
	newPair(t, redis.Options{URL: safe.URL(), TLS: safe.TLS}).change(t, "connected")

	// The permissions that docs/operate.md grants suffice.
	const grant = "ACL SETUSER gotong on >PASSWORD ~gotong:rate:* &gotong:* +@connection +publish +spublish +subscribe +ssubscribe +unsubscribe +sunsubscribe +evalsha +eval +time +get +set"
	page, err := os.ReadFile("../../../docs/operate.md")
	if err != nil || !strings.Contains(string(page), grant) {
		t.Errorf("docs/operate.md grants something else: %v", err)
	}
	s.Do(strings.Fields(strings.Replace(grant, "PASSWORD", pass, 1))...)
	few := newPair(t, redis.Options{URL: "redis://gotong:" + pass + "@" + s.Addr})
	few.change(t, "connected")
	<-few.ready
	few.talks(t, 1)
	if n, _, err := few.a.Take(t.Context(), "user", "ann", 1, 1, 1); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}

	// This server quotes unknown commands, with the password.
	quoting := redistest.Start(t, "--rename-command", "HELLO", "", "--rename-command", "AUTH", "")
	for name, url := range map[string]string{
		"wrong password": "redis://:not-" + pass + "@" + s.Addr,
		"unknown user":   "redis://someone:" + pass + "@" + s.Addr,
		"quoting":        "redis://someone:" + pass + "@" + quoting.Addr,
		"quoting a part": "redis://someone:" + pass + strings.Repeat("x", 200) + "@" + quoting.Addr,
		"nobody there":   "redis://:" + pass + "@127.0.0.1:" + redistest.FreePort(t),
		"untrusted":      safe.URL(),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, redis.Options{URL: url})
			got := <-p.changes
			if !strings.HasPrefix(got, "lost: redis: ") || strings.Contains(got, pass) {
				t.Errorf("the link is %q", got)
			}
			if err := p.b.Check(t.Context()); err == nil || strings.Contains(err.Error(), pass) {
				t.Errorf("check: %v", err)
			}
		})
	}
	for _, url := range []string{
		"http://:" + pass + "@x", "redis://:" + pass + "@x:port", "redis://:" + pass + "@x/db", "redis://:" + pass + "@x?db=" + pass, ":" + pass,
	} {
		_, err := redis.New(redis.Options{URL: url})
		if err == nil || strings.Contains(err.Error(), pass) {
			t.Errorf("an unusable URL: %v", err)
		}
	}
}

// TestAllowancesAreShared: all links spend the same allowance, which refills
// with time.
func TestAllowancesAreShared(t *testing.T) {
	s := redistest.Start(t)
	p := newPair(t, redis.Options{URL: s.URL()})
	p.change(t, "connected")
	<-p.ready
	take := func(l *redis.Link, key string, want int) (int, time.Duration) {
		t.Helper()
		n, wait, err := l.Take(t.Context(), "user", key, 0.5, 5, want)
		if err != nil {
			t.Fatal(err)
		}
		return n, wait
	}
	for i, tc := range []struct {
		link *redis.Link
		key  string
		want int
		n    int
	}{{p.a, "ann", 3, 3}, {p.b, "ann", 3, 2}, {p.a, "ann", 1, 0}, {p.b, "bob", 9, 5}, {p.a, "bob", 1, 0}} {
		n, wait := take(tc.link, tc.key, tc.want)
		if n != tc.n || (n == 0) != (wait > 0) || wait > 2*time.Second {
			t.Errorf("%d: %d, wait %s", i, n, wait)
		}
	}
	found := s.Do("KEYS", "*")
	keys, err := found.AsStrSlice()
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	for _, k := range keys {
		left := s.Do("PTTL", k)
		if ttl, _ := left.AsInt64(); ttl < 1 || ttl > 10_001 || strings.Contains(k, "ann") || strings.Contains(k, "bob") {
			t.Errorf("%s lives %d ms", k, ttl)
		}
		s.Do("SET", k, "99999999999999999999") // as after a clock that was set back
	}
	if n, wait := take(p.a, "ann", 1); n != 0 || wait > 2*time.Second {
		t.Errorf("far ahead: %d, wait %s", n, wait)
	}
}

// TestTakeWithoutRedis: a server that is slow or down costs each caller at most
// 50 ms, and only some of many concurrent callers.
func TestTakeWithoutRedis(t *testing.T) {
	s := redistest.Start(t)
	p := newPair(t, redis.Options{URL: s.URL(), Asking: 50 * time.Millisecond})
	never := newLink(t, redis.Options{URL: s.URL()})
	if _, _, err := never.Take(t.Context(), "user", "ann", 1, 1, 1); !errors.Is(err, redis.ErrUnavailable) {
		t.Errorf("not connected: %v", err)
	}
	p.change(t, "connected")
	p.talks(t, 1)
	s.Freeze()
	defer s.Thaw()
	const busy = 5 * time.Second // instead of 50 ms, because the machine may be busy
	var asking sync.WaitGroup
	for range 2000 {
		asking.Go(func() {
			began := time.Now()
			_, _, err := p.b.Take(t.Context(), "user", "ann", 1, 1, 1)
			if took := time.Since(began); !errors.Is(err, redis.ErrUnavailable) || took > busy {
				t.Errorf("%v after %s", err, took)
			}
		})
	}
	asking.Wait()
	began := time.Now()
	for range 1000 { // these do not ask Redis
		_, _, _ = p.b.Take(t.Context(), "user", "ann", 1, 1, 1)
	}
	if took := time.Since(began); took > busy { // 50 s if each waited
		t.Errorf("a thousand took %s", took)
	}
}
