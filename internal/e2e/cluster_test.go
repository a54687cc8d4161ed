package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gotong.dev/gotong/internal/bus/redistest"
	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// cluster is several nodes, each a process of its own, on one database and, on
// SurrealDB, one Redis. Between each of them stands a proxy that can break what
// passes.
type cluster struct {
	t       *testing.T
	db      database
	redis   *redistest.Server // nil on PostgreSQL, which is the bus too
	env     []string          // of every node
	nodes   []*member
	restart func() // the database, as after a crash; nil: it is never restarted
}

// database is what nodes share: how a store there is opened, where its server is,
// and how a node finds it at another host and port.
type database struct {
	store, server string
	at            func(server string) string
}

// member is one node.
type member struct {
	c       *cluster
	name    string
	dir     string
	toDB    *netfault.Proxy
	toRedis *netfault.Proxy // nil without Redis
	front   *netfault.Proxy // where clients find it, also after a restart

	mu    sync.Mutex
	child *child
}

// startCluster starts nodes on a SurrealDB and a Redis.
func startCluster(t *testing.T, nodes int, env ...string) *cluster {
	t.Helper()
	db := surrealtest.Launch(t, surrealtest.V3, "")
	log := db.Fresh()
	at := func(server string) string {
		u := url.URL{
			Scheme: surreal.Scheme, User: url.UserPassword(surrealtest.User, surrealtest.Password),
			Host: server, Path: "/" + log.Namespace + "/" + log.Database,
		}
		return u.String()
	}
	c := &cluster{
		t: t, db: database{at(db.Address()), db.Address(), at}, redis: redistest.Start(t), env: env,
	}
	c.startNodes(nodes)
	return c
}

// startOnPostgres starts nodes on a PostgreSQL, which needs nothing beside it.
func startOnPostgres(t *testing.T, nodes int) *cluster {
	t.Helper()
	db := postgrestest.Start(t)
	store := must(url.Parse(db.Fresh()))(t)
	c := &cluster{t: t, db: database{store.String(), store.Host, func(server string) string {
		through := *store
		through.Host = server
		return through.String()
	}}}
	c.restart = func() { db.Kill(); db.Restart() }
	c.startNodes(nodes)
	return c
}

func (c *cluster) startNodes(n int) {
	c.t.Helper()
	for i := range n {
		m := &member{
			c: c, name: fmt.Sprint("node ", i), dir: c.t.TempDir(),
			toDB: netfault.For(c.t, c.db.server), front: netfault.For(c.t, "127.0.0.1:1"),
		}
		if c.redis != nil {
			m.toRedis = netfault.For(c.t, c.redis.Addr)
		}
		m.start()
		c.nodes = append(c.nodes, m)
	}
}

// start begins the process and waits until it serves.
func (m *member) start() {
	m.c.t.Helper()
	env := append([]string{storeEnv + "=" + m.c.db.at(m.toDB.Addr())}, m.c.env...)
	if m.toRedis != nil {
		env = append(env, redisEnv+"=redis://"+m.toRedis.Addr())
	}
	child := startChild(m.c.t, m.dir, env...)
	for tries := 1; !child.ready(); tries++ { // a database on a busy machine may not answer in time
		if _ = child.cmd.Wait(); tries == 10 {
			m.c.t.Fatalf("%s did not start", m.name)
		}
		m.c.t.Logf("%s is started again", m.name)
		child = startChild(m.c.t, m.dir, env...)
	}
	m.mu.Lock()
	m.child = child
	m.mu.Unlock()
	m.front.Aim(host(child.url))
}

// url is where clients find the node.
func (m *member) url() string { return m.front.URL() }

func (m *member) signal(s syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.child.cmd.Process.Signal(s); err != nil {
		m.c.t.Error(err)
	}
}

// kill ends the process at once.
func (m *member) kill() {
	m.signal(syscall.SIGKILL)
	_ = m.child.cmd.Wait()
}

// trouble is one thing that goes wrong for a while.
type trouble struct {
	name  string
	lasts time.Duration
	begin func(m *member)
	end   func(m *member)
}

// troubles is everything that goes wrong. What says for how long is what a
// kernel, a network and an operator really do.
func (c *cluster) troubles() []trouble {
	nothing := func(*member) {}
	list := []trouble{
		{"database connections reset", 0, func(m *member) { m.toDB.Cut() }, nothing},
		{"database requests lost", 200 * time.Millisecond, func(m *member) { m.toDB.Hold() },
			func(m *member) { m.toDB.Cut(); m.toDB.Let() }},
		{"database slow", 2 * time.Second, func(m *member) { m.toDB.Lag(40 * time.Millisecond) },
			func(m *member) { m.toDB.Lag(0) }},
		{"database silent", 7 * time.Second, func(m *member) { m.toDB.Hold() }, func(m *member) { m.toDB.Let() }},
		{"clients reset", 0, func(m *member) { m.front.Cut() }, nothing},
		{"node paused", 7 * time.Second, func(m *member) { m.signal(syscall.SIGSTOP) }, func(m *member) { m.signal(syscall.SIGCONT) }},
		{"node killed", 500 * time.Millisecond, (*member).kill, (*member).start},
	}
	if c.restart != nil {
		list = append(list, trouble{"database killed and started", 0, func(*member) { c.restart() }, nothing})
	}
	if c.redis == nil {
		return list
	}
	return append(list,
		trouble{"Redis connections reset", 0, func(m *member) { m.toRedis.Cut() }, nothing},
		trouble{"Redis slow", 2 * time.Second, func(m *member) { m.toRedis.Lag(60 * time.Millisecond) },
			func(m *member) { m.toRedis.Lag(0) }},
		trouble{"Redis silent", 6 * time.Second, func(m *member) { m.toRedis.Hold() }, func(m *member) { m.toRedis.Let() }},
		trouble{"Redis emptied", 0, func(*member) { c.redis.Do("FLUSHALL") }, nothing},
		trouble{"Redis restarted", time.Second, func(*member) { c.redis.Kill() }, func(*member) { c.redis.Restart() }},
	)
}

// trouble breaks one thing after the other, until ctx ends, and leaves all whole:
// in the order of a seed, each before any comes a second time.
func (c *cluster) trouble(ctx context.Context, rnd *rand.Rand, count *atomic.Int64) {
	list := c.troubles()
	for {
		for _, i := range rnd.Perm(len(list)) {
			if !lull(ctx, 500+rnd.IntN(1000)) {
				return
			}
			m, tr := c.nodes[rnd.IntN(len(c.nodes))], list[i]
			c.t.Logf("%s: %s", m.name, tr.name)
			tr.begin(m)
			count.Add(1)
			lull(ctx, int(tr.lasts.Milliseconds()))
			tr.end(m)
		}
	}
}

// lull waits so many milliseconds; false where ctx ended first.
func lull(ctx context.Context, milli int) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(milli) * time.Millisecond):
		return true
	}
}
