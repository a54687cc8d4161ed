package postgres

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
	"github.com/jackc/pgx/v5/pgxpool"
)

// Why a server is rejected.
var (
	// ErrServer: its version or its settings.
	ErrServer = errors.New("postgres: the server cannot be used")
	// ErrTimeline: it is a standby, another server than before, or a primary whose
	// place another one has taken.
	ErrTimeline = errors.New("postgres: not the present primary")
)

// minVersion is the first version of PostgreSQL that is accepted.
const minVersion = 150000

// connectTimeout is how long each host may take to accept a connection, unless the
// address has connect_timeout.
const connectTimeout = 5 * time.Second

// server is what a node knows of the servers behind its address, and the rules for
// connections to them.
type server struct {
	unsafe bool
	hosts  []*pgconn.Config // each host of the address alone; nil: there is one

	timeline atomic.Uint64 // the highest one that was seen
	system   atomic.Pointer[string]

	keep   func(primary string) error
	saving sync.Mutex
	saved  string // by keep
}

// serve sets the rules for connections.
func serve(cfg *pgxpool.Config, o Options) *server {
	s := &server{unsafe: o.UnsafeServer, keep: o.Keep}
	c := &cfg.ConnConfig.Config
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.DialFunc = o.Dial; o.Dial == nil {
		c.DialFunc = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	hosts := []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}
	for _, f := range c.Fallbacks {
		known := func(h *pgconn.FallbackConfig) bool { return h.Host == f.Host && h.Port == f.Port }
		if !slices.ContainsFunc(hosts, known) {
			hosts = append(hosts, f)
		}
	}
	for _, h := range hosts {
		alone := c.Copy()
		alone.Host, alone.Port, alone.TLSConfig, alone.Fallbacks = h.Host, h.Port, h.TLSConfig, nil
		alone.ValidateConnect = nil
		if len(hosts) > 1 {
			s.hosts = append(s.hosts, alone)
		}
	}
	wanted := c.ValidateConnect
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if wanted != nil {
			if err := wanted(ctx, conn); err != nil {
				return err
			}
		}
		return s.accept(ctx, conn)
	}
	cfg.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false } // what fails is repeated
	cfg.BeforeConnect = func(ctx context.Context, _ *pgx.ConnConfig) error { s.ask(ctx); return nil }
	return s
}

// selectServer is what the rules for a connection depend on. The timeline is that of
// the WAL which is written now; pg_control_checkpoint shows an older one until the
// first checkpoint after a promotion.
const selectServer = `SELECT current_setting('server_version_num'), current_setting('synchronous_commit'),
	(SELECT system_identifier::text FROM pg_control_system()), ` + selectTimeline

const selectTimeline = "CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"

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
func (s *server) accept(ctx context.Context, conn *pgconn.PgConn) error {
	version, syncs, system, timeline, err := about(ctx, conn)
	switch {
	case err != nil:
		return err
	case version < minVersion:
		return fmt.Errorf("%w: PostgreSQL 15 or later is needed", ErrServer)
	}
	if err := checkSync(syncs); err != nil {
		return err
	}
	if first := s.system.Load(); first != nil && *first != system {
		return fmt.Errorf("%w: the system identifier is %s and was %s", ErrTimeline, system, *first)
	}
	if err := s.see(timeline); err != nil {
		return err
	}
	s.system.CompareAndSwap(nil, &system)
	return s.save()
}

// save keeps the system identifier and the highest timeline, unless they are kept already.
func (s *server) save() error {
	system := s.system.Load()
	if s.keep == nil || system == nil {
		return nil
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	primary := fmt.Sprintf("%s %08X\n", *system, s.timeline.Load())
	if primary == s.saved {
		return nil
	}
	if err := s.keep(primary); err != nil {
		return fmt.Errorf("postgres: keep the timeline: %w", err)
	}
	s.saved = primary
	return nil
}

// recall takes what an earlier Store has kept.
func (s *server) recall(primary string) error {
	if primary == "" {
		return nil
	}
	system, timeline, _ := strings.Cut(strings.TrimSuffix(primary, "\n"), " ")
	if err := s.see(timeline); err != nil {
		return fmt.Errorf("%w: the name of the last primary that was used cannot be read", ErrTimeline)
	}
	s.system.Store(&system)
	s.saved = primary
	return nil
}

func checkSync(setting string) error {
	if setting == "off" {
		return fmt.Errorf("%w: synchronous_commit is off, and acknowledged writes would be lost; "+
			"ALTER ROLE … SET synchronous_commit = on", ErrServer)
	}
	return nil
}

// see notes the timeline of a server. It returns [ErrTimeline] if a higher one was
// seen: the server was the primary once, and another one has been promoted since.
func (s *server) see(timeline string) error {
	n, err := strconv.ParseUint(timeline, 16, 32)
	if err != nil {
		return fmt.Errorf("%w: it is a standby", ErrTimeline)
	}
	for {
		known := s.timeline.Load()
		if n < known {
			return fmt.Errorf("%w: it is on timeline %d, and %d was seen; stop the old primary", ErrTimeline, n, known)
		}
		if s.timeline.CompareAndSwap(known, n) {
			return nil
		}
	}
}

// ask looks for the highest timeline on all hosts, because an old primary that has
// come back looks like a primary. Hosts that do not answer are passed over.
func (s *server) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var group sync.WaitGroup
	for _, host := range s.hosts {
		group.Go(func() {
			conn, err := pgconn.ConnectConfig(ctx, host.Copy())
			if err != nil {
				return
			}
			if _, _, system, timeline, err := about(ctx, conn); err == nil {
				if first := s.system.Load(); first == nil || *first == system {
					_, _ = s.see(timeline), s.save() // it is judged when it is connected to
				}
			}
			_ = conn.Close(ctx)
		})
	}
	group.Wait()
}

var errPooler = fmt.Errorf("%w: a pooler in transaction mode does not keep prepared statements; "+
	"add default_query_exec_mode=exec to the address", ErrServer)

// checkPooler returns errPooler if a pooler gives two connections the same process of
// the server, and statements are prepared.
func checkPooler(ctx context.Context, c *pgx.Conn) error {
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
		return errPooler
	}
	return err
}

func backend(ctx context.Context, c *pgx.Conn) (pid uint32, err error) {
	err = c.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pid)
	return pid, err
}

// settings checks the settings of the whole server, and returns what an operator
// should know about them.
func (s *server) settings(ctx context.Context, c *pgx.Conn) ([]string, error) {
	var fsync, pages, standbys, syncs string
	err := c.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('full_page_writes'),
		current_setting('synchronous_standby_names'), current_setting('synchronous_commit')`).Scan(&fsync, &pages, &standbys, &syncs)
	if err != nil {
		return nil, err
	}
	if (fsync != "on" || pages != "on") && !s.unsafe {
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
