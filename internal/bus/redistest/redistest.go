// Package redistest starts real Redis servers for tests.
//
// # Caveats
//
// It needs redis-server in the path (Debian's package, 7.0 or newer). Without
// it, tests are skipped with a message; if CI is true, they fail.
package redistest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// Server is the redis-server of a test, on a free loopback port and in a
// directory of its own. It ends with the test.
type Server struct {
	Addr string      // host:port
	TLS  *tls.Config // trusts the server; nil: no TLS
	Pass string      // of the default user; a test that sets one on the server also sets it here

	tb   testing.TB
	port string
	args []string
	cmd  *exec.Cmd
	gone chan struct{}
	log  *bytes.Buffer
}

// Start starts a server with these arguments.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return begin(tb, &Server{args: args})
}

// StartSecure starts a server that uses TLS and requires a password.
func StartSecure(tb testing.TB, pass string) *Server {
	tb.Helper()
	args, trusting := secure(tb)
	return begin(tb, &Server{args: append(args, "--requirepass", pass), TLS: trusting, Pass: pass})
}

func begin(tb testing.TB, s *Server) *Server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal("redis-server is not installed, and CI must test with Redis")
		}
		tb.Skip("NOT TESTED: needs Redis, and redis-server is not installed (apt-get install redis-server)")
	}
	s.tb, s.port = tb, FreePort(tb)
	s.Addr = "127.0.0.1:" + s.port
	s.Restart()
	tb.Cleanup(s.Kill)
	return s
}

// FreePort returns a free loopback port.
func FreePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// Restart starts the server again after Kill, without data.
func (s *Server) Restart() {
	s.tb.Helper()
	port := []string{"--port", s.port}
	if s.TLS != nil {
		port = []string{"--port", "0", "--tls-port", s.port}
	}
	s.log = &bytes.Buffer{}
	s.cmd = exec.Command("redis-server", append(append([]string{
		"--bind", "127.0.0.1", "--dir", s.tb.TempDir(), "--save", "", "--appendonly", "no",
	}, port...), s.args...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	gone := make(chan struct{})
	s.gone = gone
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(gone)
	}(s.cmd)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.After(time.Minute) // far above what a busy machine needs
	for {
		if c, err := s.client(); err == nil {
			c.Close()
			return
		}
		select {
		case <-again.C:
		case <-gone:
			s.tb.Fatalf("redis-server ended:\n%s", s.log)
		case <-limit:
			s.tb.Fatal("redis-server does not answer")
		}
	}
}

// client returns a connection of the test itself.
func (s *Server) client() (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{"127.0.0.1:" + s.port}, TLSConfig: s.TLS, Password: s.Pass,
		DisableCache: true, DisableRetry: true, ForceSingleClient: true, Dialer: net.Dialer{Timeout: time.Second},
	})
}

// Do runs one command.
func (s *Server) Do(words ...string) rueidis.RedisMessage {
	s.tb.Helper()
	c, err := s.client()
	if err != nil {
		s.tb.Fatal(err)
	}
	defer c.Close()
	m, err := c.Do(context.Background(), c.B().Arbitrary(words...).Build()).ToMessage()
	if err != nil && !rueidis.IsRedisNil(err) {
		s.tb.Fatalf("%s: %v", words[0], err)
	}
	return m
}

// URL returns the address, with the password.
func (s *Server) URL() string {
	scheme, pass := "redis", ""
	if s.TLS != nil {
		scheme = "rediss"
	}
	if s.Pass != "" {
		pass = ":" + s.Pass + "@"
	}
	return scheme + "://" + pass + s.Addr
}

// Kill kills the process.
func (s *Server) Kill() {
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Kill()
	<-s.gone
}

// Freeze stops the process without closing its connections.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

// secure makes a certificate for loopback and a client configuration that
// trusts it.
func secure(tb testing.TB) (args []string, client *tls.Config) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	certFile, keyFile := filepath.Join(tb.TempDir(), "cert"), filepath.Join(tb.TempDir(), "key")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	for name, b := range map[string][]byte{
		certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return []string{"--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile, "--tls-auth-clients", "no"},
		&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
