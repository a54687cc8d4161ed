// Package primary decides which servers of PostgreSQL a node may use. An address can name
// several, and an old primary that has come back looks like a primary: only the timeline
// of its log shows that another one has taken its place. The store and the bus of a node
// share one [Guard], so what one of them has seen holds for both.
package primary

import (
	"context"
	"errors"
	"fmt"
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
}

// Guard is what a node knows of the servers behind its address, and the rules for
// connections to them. It is safe for concurrent use.
type Guard struct {
	unsafe bool
	dial   pgconn.DialFunc
	hosts  []*pgconn.Config // each host of the address alone; nil: there is one

	timeline atomic.Uint64 // the highest one that was seen
	system   atomic.Pointer[string]

	keep   func(primary string) error
	saving sync.Mutex
	saved  string // by keep
}

// New returns a guard for the servers of an address. It returns [ErrTimeline] if what was
// kept cannot be read.
func New(address *pgconn.Config, o Options) (*Guard, error) {
	g := &Guard{unsafe: o.Unsafe, keep: o.Keep, dial: o.Dial}
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
// without a rule for which server is accepted.
func Hosts(address *pgconn.Config) (list []*pgconn.Config) {
	all := append([]*pgconn.FallbackConfig{{Host: address.Host, Port: address.Port, TLSConfig: address.TLSConfig}}, address.Fallbacks...)
	for _, h := range all {
		if slices.ContainsFunc(list, func(c *pgconn.Config) bool { return c.Host == h.Host && c.Port == h.Port }) {
			continue
		}
		alone := address.Copy()
		alone.Host, alone.Port, alone.TLSConfig, alone.Fallbacks, alone.ValidateConnect = h.Host, h.Port, h.TLSConfig, nil, nil
		list = append(list, alone)
	}
	return list
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
	(SELECT system_identifier::text FROM pg_control_system()), ` + SelectTimeline

// SelectTimeline is an expression of SQL for [Guard.See].
const SelectTimeline = "CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"

func about(ctx context.Context, conn *pgconn.PgConn) (version int, syncs, system, timeline string, err error) {
	results, err := conn.Exec(ctx, selectServer).ReadAll()
	if err != nil {
		return 0, "", "", "", err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 4 {
		return 0, "", "", "", fmt.Errorf("%w: it does not describe itself", ErrServer)
	}
	row := results[0].Rows[0]
	version, err = strconv.Atoi(string(row[0]))
	return version, string(row[1]), string(row[2]), string(row[3]), err
}

// accept checks a new connection. If it is rejected, the next host is tried.
func (g *Guard) accept(ctx context.Context, conn *pgconn.PgConn) error {
	version, syncs, system, timeline, err := about(ctx, conn)
	switch {
	case err != nil:
		return err
	case version < minVersion:
		return fmt.Errorf("%w: PostgreSQL 15 or later is needed", ErrServer)
	}
	if e := conn.ParameterStatus("server_encoding"); e != "UTF8" && e != "" { // a pooler may not say
		return fmt.Errorf("%w: the encoding of the database is %s; CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", ErrServer, e)
	}
	if err := CheckSync(syncs); err != nil {
		return err
	}
	if first := g.system.Load(); first != nil && *first != system {
		return fmt.Errorf("%w: the system identifier is %s and was %s", ErrTimeline, system, *first)
	}
	if err := g.See(timeline); err != nil {
		return err
	}
	g.system.CompareAndSwap(nil, &system)
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
			if _, _, system, timeline, err := about(ctx, conn); err == nil {
				if first := g.system.Load(); first == nil || *first == system {
					_, _ = g.See(timeline), g.save() // it is judged when it is connected to
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

// Settings checks the settings of the whole server, and returns what an operator
// should know about them.
func (g *Guard) Settings(ctx context.Context, c *pgx.Conn) ([]string, error) {
	var fsync, pages, standbys, syncs string
	err := c.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('full_page_writes'),
		current_setting('synchronous_standby_names'), current_setting('synchronous_commit')`).Scan(&fsync, &pages, &standbys, &syncs)
	if err != nil {
		return nil, err
	}
	if (fsync != "on" || pages != "on") && !g.unsafe {
		return nil, fmt.Errorf("%w: fsync or full_page_writes is off, and a power loss may damage the database; "+
			"--unsafe-engine accepts it for a trial", ErrServer)
	}
	survives := "An acknowledged write survives a crash and a power loss of the database server"
	switch {
	case standbys == "":
		return []string{survives + ", not the loss of its disk: synchronous_standby_names is empty, " +
			"and after a promotion of a standby the last writes may be missing"}, nil
	case syncs == "local":
		return []string{survives + ", not the loss of its disk: synchronous_commit is local, " +
			"so no write waits for the standbys " + standbys}, nil
	case syncs == "remote_write":
		return []string{survives + ", and the loss of its disk unless the standby crashes at the same moment (remote_write)"}, nil
	default:
		return []string{survives + ", and the loss of its disk: it is on a standby too (" + standbys + ")"}, nil
	}
}
