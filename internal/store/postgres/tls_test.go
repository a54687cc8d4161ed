package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

// far is a connection that seems to lead to another machine.
type far struct{ net.Conn }

func (far) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5432} }

func dialFar(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return far{c}, err
}

// with returns an address with other parameters.
func with(t *testing.T, address string, parameters ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	check(t, err)
	q := u.Query()
	for i := 0; i < len(parameters); i += 2 {
		q.Set(parameters[i], parameters[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// notOpened opens an address that must be rejected with this reason, without a-secret.
func notOpened(t *testing.T, address, why string) {
	t.Helper()
	s, err := Open(t.Context(), address, Options{})
	if err == nil {
		check(t, s.Close())
	}
	if err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v; want %q", err, why)
	}
}

// noted returns what is noted about a connection, to another machine as it seems.
func noted(t *testing.T, address string, dial pgconn.DialFunc) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(address)
	check(t, err)
	guard, err := primary.New(&cfg.Config, primary.Options{Dial: dial})
	check(t, err)
	guard.Watch(&cfg.Config)
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	check(t, err)
	defer func() { _ = c.Close(t.Context()) }()
	notes, err := guard.Settings(t.Context(), c)
	check(t, err)
	return strings.Join(notes[1:], "\n")
}

// asked reports whether a node that asks all hosts of an address hears one.
func asked(t *testing.T, address string) bool {
	t.Helper()
	cfg, err := pgconn.ParseConfig(address)
	check(t, err)
	guard, err := primary.New(cfg, primary.Options{})
	check(t, err)
	guard.Ask(t.Context())
	return errors.Is(guard.See("0"), primary.ErrTimeline)
}

// TestConnections is one server for what protects connections to it.
func TestConnections(t *testing.T) {
	server, ca := postgrestest.Start(t), postgrestest.NewCA(t)
	address := server.Schema()
	two := with(t, address, "host", "localhost,127.0.0.1", "port", server.Port+","+server.Port)
	t.Run("without TLS", func(t *testing.T) { withoutTLS(t, address, two) })
	server.Secure(ca, "hostssl all certified 127.0.0.1/32 cert", "host all reader 127.0.0.1/32 scram-sha-256")
	exec(t, connected(t, address), "CREATE ROLE certified LOGIN SUPERUSER; CREATE ROLE reader LOGIN SUPERUSER PASSWORD 'a-secret'")
	t.Run("TLS", func(t *testing.T) { withTLS(t, address, two, ca) })
	t.Run("passfile", func(t *testing.T) { withPassfile(t, strings.Replace(address, postgrestest.User+"@", "reader@", 1)) })
}

// What an operator learns that a connection to another machine lacks.
const plain, unverified = "not encrypted", "certificate of the database server is not verified"

// withoutTLS: what an address demands is not dropped, and hosts are asked as it allows.
func withoutTLS(t *testing.T, address, two string) {
	t.Helper()
	notOpened(t, with(t, address, "sslmode", "require"), "refused TLS")
	for _, mode := range []string{"", "disable", "allow", "prefer"} {
		if n := noted(t, with(t, address, "sslmode", mode), dialFar); !strings.Contains(n, plain) {
			t.Errorf("%q without TLS: %q", mode, n)
		}
		if !asked(t, with(t, two, "sslmode", mode)) {
			t.Errorf("%q: no host without TLS is asked", mode)
		}
	}
	if n := noted(t, address, nil); n != "" {
		t.Errorf("on the same machine: %q", n)
	}
}

// withTLS: a certificate is verified as the address says, on every host.
func withTLS(t *testing.T, address, two string, ca *postgrestest.CA) {
	t.Helper()
	full := with(t, address, "sslmode", "verify-full", "sslrootcert", ca.File)
	for _, c := range []struct{ address, want string }{
		{address, plain}, {with(t, address, "sslmode", "allow"), plain}, {with(t, address, "sslmode", ""), unverified},
		{with(t, address, "sslmode", "require"), unverified}, {with(t, full, "sslmode", "require"), ""},
		{with(t, full, "sslmode", "verify-ca"), ""}, {full, ""},
	} {
		if n := noted(t, c.address, dialFar); !strings.Contains(n, c.want) || c.want == "" && n != "" {
			t.Errorf("%s: %q, want %q", c.address, n, c.want)
		}
	}
	notOpened(t, with(t, full, "sslrootcert", postgrestest.NewCA(t).File), "x509: certificate signed by unknown authority")
	notOpened(t, with(t, full, "host", "localhost"), "x509: certificate")

	s := opened(t, with(t, two, "sslmode", "verify-full", "sslrootcert", ca.File), Options{})
	c, err := s.pool.Acquire(t.Context())
	check(t, err)
	defer c.Release()
	var encrypted bool
	check(t, c.QueryRow(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted))
	if conn, ok := c.Conn().PgConn().Conn().(*tls.Conn); !ok || !encrypted || len(conn.ConnectionState().VerifiedChains) == 0 {
		t.Error("of two hosts, the certificate of the one that was used is not verified")
	}
	cert, key := ca.Issue("certified")
	if !asked(t, with(t, two, "user", "certified", "sslmode", "verify-full", "sslrootcert", ca.File, "sslcert", cert, "sslkey", key)) {
		t.Error("no host is asked with the certificate of the client")
	}
}

// withPassfile: the password can be in a file, and no error shows one.
func withPassfile(t *testing.T, address string) {
	t.Helper()
	file := func(password string) string {
		path := filepath.Join(t.TempDir(), "passfile")
		check(t, os.WriteFile(path, []byte("127.0.0.1:*:*:reader:"+password+"\n"), 0o600))
		return path
	}
	const failed = "password authentication failed"
	t.Setenv("PGPASSFILE", filepath.Join(t.TempDir(), "none"))
	notOpened(t, address, failed)
	notOpened(t, with(t, address, "passfile", file("another-secret")), failed)
	notOpened(t, with(t, address, "password", "another-secret"), failed)
	notOpened(t, strings.Replace(address, "@", ":another-secret@", 1), failed)
	opened(t, with(t, address, "passfile", file("a-secret")), Options{})
	opened(t, with(t, address, "password", "a-secret"), Options{})
	t.Setenv("PGPASSFILE", file("a-secret"))
	opened(t, address, Options{})
}
