// Package filestest starts a real S3-compatible server for tests, behind a proxy that
// makes faults.
//
// # Caveats
//
// Only tests import it. Without the program that make install builds, they are skipped
// with a message; if CI is true, they fail.
package filestest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"gotong.dev/gotong/internal/logtest"
)

// The key and the secret of the servers. The secret has a slash, as many have.
const (
	Key    = "gotong-test"
	Secret = "not-really/a+secret"
)

// Server is a server with buckets.
type Server struct {
	front   *httptest.Server
	buckets atomic.Int32
	fault   atomic.Pointer[func(http.ResponseWriter, *http.Request, http.Handler)]
}

// Start starts a server, which ends with the test.
func Start(t *testing.T) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "s3-") //nolint:usetesting // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	run(t, dir, socket)
	back := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}, DisableCompression: true}
	proxy := &httputil.ReverseProxy{Transport: back, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: "s3"})
		r.Out.Host = r.In.Host // it is signed
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	s := &Server{}
	s.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := s.fault.Load(); fault != nil {
			(*fault)(w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.front.CloseClientConnections(); s.front.Close(); back.CloseIdleConnections() })
	return s
}

// Fault sends each request to a function in place of the server, from now on; nil: to
// the server.
func (s *Server) Fault(by func(w http.ResponseWriter, r *http.Request, server http.Handler)) {
	if by == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&by)
}

// Bucket makes a bucket and returns its address.
func (s *Server) Bucket(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", s.buckets.Add(1))
	c, err := minio.New(strings.TrimPrefix(s.front.URL, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(Key, Secret, ""), Region: "us-east-1", Transport: s.front.Client().Transport,
	})
	if err == nil {
		err = c.MakeBucket(t.Context(), name, minio.MakeBucketOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s.Address(Key, Secret, name)
}

// Address is that of a bucket, which need not exist, with a key, which need not be
// right.
func (s *Server) Address(key, secret, bucket string) string {
	u := url.URL{Scheme: "s3+http", Host: strings.TrimPrefix(s.front.URL, "http://"), Path: "/" + bucket}
	return u.Scheme + "://" + key + ":" + strings.ReplaceAll(url.QueryEscape(secret), "+", "%20") + "@" + u.Host + u.Path
}

// program returns the path of the server's program.
func program(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) { // up to the root of the repository
		if _, failed := os.Stat(filepath.Join(dir, "go.mod")); failed == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(dir, "bin", "versitygw")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI must test with a real S3 server: %v", err)
		}
		t.Skipf("NOT TESTED: needs an S3 server (make install): %v", err)
	}
	return path
}

// run starts the program and waits until it accepts connections at the socket. Its
// data needs no extended attributes of the file system.
func run(t *testing.T, dir, socket string) {
	t.Helper()
	data, side := filepath.Join(dir, "data"), filepath.Join(dir, "side")
	for _, d := range []string{data, side} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	log := &logtest.Lines{}
	cmd := exec.CommandContext(t.Context(), program(t), "--port", socket, "--quiet", "--keep-alive", "posix", "--sidecar", side, data)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+Key, "ROOT_SECRET_KEY="+Secret)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-gone })
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.After(time.Minute)
	for {
		if c, err := new(net.Dialer).DialContext(t.Context(), "unix", socket); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-again.C:
		case <-gone:
			t.Fatalf("the S3 server ended:\n%s", log)
		case <-limit:
			t.Fatalf("the S3 server does not answer:\n%s", log)
		}
	}
}
