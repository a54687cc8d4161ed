// Package primary decides which servers of PostgreSQL a node may use. An address can name
// several, and an old primary that has come back looks like a primary: only the timeline
// of its log shows that another one has taken its place. The store and the bus of a node
// share one [Guard], so what one of them has seen holds for both.
package primary

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Why a server is rejected.
var (
	// ErrServer: its version or its settings.
	ErrServer = errors.New("postgres: the server cannot be used")
	// ErrTimeline: it is a standby, another server than before, or a primary whose
	// place another one has taken.
	ErrTimeline = errors.New("postgres: not the present primary")
	// ErrPooler: a pooler in transaction mode is before it, and statements are prepared.
	ErrPooler = fmt.Errorf("%w: a pooler in transaction mode does not keep prepared statements; "+
		"add default_query_exec_mode=exec to the address", ErrServer)
)

// minVersion is the first version of PostgreSQL that is accepted.
const minVersion = 150000

// connectTimeout is how long each host may take to accept a connection, unless the
// address has connect_timeout.
const connectTimeout = 5 * time.Second

// Options are the settings of a [Guard].
type Options struct {
	// Unsafe accepts a server with fsync or full_page_writes off, which may lose
	// acknowledged writes in a power loss.
	Unsafe bool
	// Keep stores the name of the primary, and Kept is the name that it stored last, so
	// that a node recognises an old primary after its restart too; nil and "": nothing is
	// stored. Keep must not block for long.
	Keep func(primary string) error
	Kept string

	Dial pgconn.DialFunc // how connections are made; nil: as usual
	Log  *slog.Logger    // for what an operator should know of later connections; nil: nowhere
}

// Guard is what a node knows of the servers behind its address, and the rules for
// connections to them. It is safe for concurrent use.
type Guard struct {
	unsafe bool
	dial   pgconn.DialFunc
	log    *slog.Logger
	hosts  []*pgconn.Config // each host of the address alone; nil: there is one

	timeline atomic.Uint64 // the highest one that was seen
	system   atomic.Pointer[string]
	survives atomic.Pointer[string] // what an acknowledged write survives, by the last connection

	keep   func(primary string) error
	saving sync.Mutex
	saved  string // by keep
}

// New returns a guard for the servers of an address. It returns [ErrTimeline] if what was
// kept cannot be read.
func New(address *pgconn.Config, o Options) (*Guard, error) {
	g := &Guard{unsafe: o.Unsafe, keep: o.Keep, dial: o.Dial, log: o.Log}
	if g.dial == nil {
		g.dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	if hosts := Hosts(address); len(hosts) > 1 {
		g.hosts = hosts
	}
	for _, alone := range g.hosts {
		g.reach(alone)
	}
	err := g.recall(o.Kept)
	return g, err
}

// Hosts returns a configuration for each host of an address, without the other hosts and
// without a rule for which server is accepted. It protects its connections as the address does.
func Hosts(address *pgconn.Config) (list []*pgconn.Config) {
	for _, h := range attempts(address) {
		if slices.ContainsFunc(list, func(c *pgconn.Config) bool { return c.Host == h.Host && c.Port == h.Port }) {
			continue
		}
		alone := address.Copy() // client certificates belong to the TLS settings of the copy
		own := slices.DeleteFunc(attempts(alone), func(a *pgconn.FallbackConfig) bool { return a.Host != h.Host || a.Port != h.Port })
		alone.Host, alone.Port, alone.TLSConfig, alone.Fallbacks, alone.ValidateConnect = h.Host, h.Port, own[0].TLSConfig, own[1:], nil
		list = append(list, alone)
	}
	return list
}

// attempts returns what a connection tries in turn: each host, perhaps with TLS and without.
func attempts(c *pgconn.Config) []*pgconn.FallbackConfig {
	return append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
}

// Watch has new connections of this configuration follow the rules. Before each of them,
// [Guard.Ask] must have been called.
func (g *Guard) Watch(c *pgconn.Config) {
	g.reach(c)
	wanted := c.ValidateConnect
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if wanted != nil {
			if err := wanted(ctx, conn); err != nil {
				return err
			}
		}
		return g.accept(ctx, conn)
	}
}

func (g *Guard) reach(c *pgconn.Config) {
	c.RuntimeParams["client_encoding"] = "UTF8" // else the server would convert texts as the role or the database has it
	if c.DialFunc = g.dial; c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
}

// selectServer is what the rules for a connection depend on. The timeline is that of
// the WAL which is written now; pg_control_checkpoint shows an older one until the
// first checkpoint after a promotion.
const selectServer = `SELECT current_setting('server_version_num'), current_setting('synchronous_commit'),
	current_setting('synchronous_standby_names'), (SELECT system_identifier::text FROM pg_control_system()), ` + SelectTimeline

// SelectTimeline is an expression of SQL for [Guard.See].
const SelectTimeline = "CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"

type server struct {
	version                           int
	syncs, standbys, system, timeline string
}

func about(ctx context.Context, conn *pgconn.PgConn) (s server, err error) {
	results, err := conn.Exec(ctx, selectServer).ReadAll()
	if err != nil {
		return s, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 5 {
		return s, fmt.Errorf("%w: it does not describe itself", ErrServer)
	}
	row := results[0].Rows[0]
	s.syncs, s.standbys, s.system, s.timeline = string(row[1]), string(row[2]), string(row[3]), string(row[4])
	s.version, err = strconv.Atoi(string(row[0]))
	return s, err
}

// accept checks a new connection. If it is rejected, the next host is tried.
func (g *Guard) accept(ctx context.Context, conn *pgconn.PgConn) error {
	s, err := about(ctx, conn)
	switch {
	case err != nil:
		return err
	case s.version < minVersion:
		return fmt.Errorf("%w: PostgreSQL 15 or later is needed", ErrServer)
	}
	if e := conn.ParameterStatus("server_encoding"); e != "UTF8" && e != "" { // a pooler may not say
		return fmt.Errorf("%w: the encoding of the database is %s; CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", ErrServer, e)
	}
	if err := CheckSync(s.syncs); err != nil {
		return err
	}
	if first := g.system.Load(); first != nil && *first != s.system {
		return fmt.Errorf("%w: the system identifier is %s and was %s", ErrTimeline, s.system, *first)
	}
	if err := g.See(s.timeline); err != nil {
		return err
	}
	g.system.CompareAndSwap(nil, &s.system)
	now := s.survives()
	if before := g.survives.Swap(&now); g.log != nil && before != nil && *before != now {
		g.log.WarnContext(ctx, "what an acknowledged write survives has changed on the database server", "now", now, "before", *before)
	}
	return g.save()
}

// save keeps the system identifier and the highest timeline, unless they are kept already.
func (g *Guard) save() error {
	system := g.system.Load()
	if g.keep == nil || system == nil {
		return nil
	}
	g.saving.Lock()
	defer g.saving.Unlock()
	primary := fmt.Sprintf("%s %08X\n", *system, g.timeline.Load())
	if primary == g.saved {
		return nil
	}
	if err := g.keep(primary); err != nil {
		return fmt.Errorf("postgres: keep the timeline: %w", err)
	}
	g.saved = primary
	return nil
}

// recall takes what an earlier Store has kept.
func (g *Guard) recall(primary string) error {
	if primary == "" {
		return nil
	}
	system, timeline, _ := strings.Cut(strings.TrimSuffix(primary, "\n"), " ")
	if err := g.See(timeline); err != nil {
		return fmt.Errorf("%w: the name of the last primary that was used cannot be read", ErrTimeline)
	}
	g.system.Store(&system)
	g.saved = primary
	return nil
}

// CheckSync returns [ErrServer] if this is a setting of synchronous_commit with which a
// write can be acknowledged before it is on a disk.
func CheckSync(setting string) error {
	if setting == "off" {
		return fmt.Errorf("%w: synchronous_commit is off, and acknowledged writes would be lost; "+
			"ALTER ROLE … SET synchronous_commit = on", ErrServer)
	}
	return nil
}

// See notes the timeline of a server. It returns [ErrTimeline] if a higher one was
// seen: the server was the primary once, and another one has been promoted since.
func (g *Guard) See(timeline string) error {
	n, err := strconv.ParseUint(timeline, 16, 32)
	if err != nil {
		return fmt.Errorf("%w: it is a standby", ErrTimeline)
	}
	for {
		known := g.timeline.Load()
		if n < known {
			return fmt.Errorf("%w: it is on timeline %d, and %d was seen; stop the old primary", ErrTimeline, n, known)
		}
		if g.timeline.CompareAndSwap(known, n) {
			return nil
		}
	}
}

// Ask looks for the highest timeline on all hosts, because an old primary that has
// come back looks like a primary. Hosts that do not answer are passed over.
func (g *Guard) Ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var group sync.WaitGroup
	for _, host := range g.hosts {
		group.Go(func() {
			conn, err := pgconn.ConnectConfig(ctx, host.Copy())
			if err != nil {
				return
			}
			if s, err := about(ctx, conn); err == nil {
				if first := g.system.Load(); first == nil || *first == s.system {
					_, _ = g.See(s.timeline), g.save() // it is judged when it is connected to
				}
			}
			_ = conn.Close(ctx)
		})
	}
	group.Wait()
}

// CheckPooler returns [ErrPooler] if a pooler gives two connections the same process of
// the server, and statements are prepared.
func CheckPooler(ctx context.Context, c *pgx.Conn) error {
	if c.Config().DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return nil
	}
	pid, err := backend(ctx, c)
	if err != nil || pid == c.PgConn().PID() { // that of a pooler is its own
		return err
	}
	other, err := pgx.ConnectConfig(ctx, c.Config())
	if err != nil {
		return err
	}
	defer func() { _ = other.Close(ctx) }()
	shared, err := backend(ctx, other)
	if err == nil && shared == pid {
		return ErrPooler
	}
	return err
}

func backend(ctx context.Context, c *pgx.Conn) (pid uint32, err error) {
	err = c.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pid)
	return pid, err
}

// Settings checks the settings of the whole server, and returns what an operator should
// know about it and about this connection, which the guard has accepted.
func (g *Guard) Settings(ctx context.Context, c *pgx.Conn) ([]string, error) {
	var fsync, pages string
	if err := c.QueryRow(ctx, "SELECT current_setting('fsync'), current_setting('full_page_writes')").Scan(&fsync, &pages); err != nil {
		return nil, err
	}
	if (fsync != "on" || pages != "on") && !g.unsafe {
		return nil, fmt.Errorf("%w: fsync or full_page_writes is off, and a power loss may damage the database; "+
			"--unsafe-engine accepts it for a trial", ErrServer)
	}
	return append([]string{*g.survives.Load()}, exposed(c)...), nil
}

// exposed returns what an operator should know about a connection to another machine.
func exposed(c *pgx.Conn) []string {
	conn, lacks := c.PgConn().Conn(), "The connection to the database server is not encrypted"
	if at, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || at.IP.IsLoopback() {
		return nil
	}
	if _, encrypted := conn.(*tls.Conn); encrypted {
		lacks = "The certificate of the database server is not verified"
		if slices.ContainsFunc(attempts(&c.Config().Config), func(a *pgconn.FallbackConfig) bool {
			return a.TLSConfig != nil && (!a.TLSConfig.InsecureSkipVerify || a.TLSConfig.VerifyPeerCertificate != nil) // verify-ca
		}) {
			return nil
		}
	}
	return []string{lacks + ", so the network between could read or change what is sent; add sslmode=verify-full to the address"}
}

// survives returns what an acknowledged write survives, as text.
func (s server) survives() string {
	survives := "An acknowledged write survives a crash and a power loss of the database server"
	switch {
	case s.standbys == "":
		return survives + ", not the loss of its disk: synchronous_standby_names is empty, " +
			"and after a promotion of a standby the last writes may be missing"
	case s.syncs == "local":
		return survives + ", not the loss of its disk: synchronous_commit is local, so no write waits for the standbys " + s.standbys
	case s.syncs == "remote_write":
		return survives + ", and the loss of its disk unless the standby crashes at the same moment (remote_write)"
	default:
		return survives + ", and the loss of its disk: it is on a standby too (" + s.standbys + ")"
	}
}
