package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
)

// node is a whole server in this process, on SQLite or what engineEnv names.
type node struct {
	tb    testing.TB
	url   string
	admin string // the URL of the listener for operators
	dir   string
	stop  context.CancelFunc
	done  chan error
	once  sync.Once
}

// startNode runs a server until the test ends, or end is called. When all of
// the test's cleanups are done, nothing of it may be left running.
func startNode(tb testing.TB, change ...func(*app.Options)) *node {
	tb.Helper()
	before := goleak.IgnoreCurrent()
	tb.Cleanup(func() { goleak.VerifyNone(tb, before) })
	n := &node{tb: tb, dir: tb.TempDir(), done: make(chan error, 1)}
	opts := options(n.dir, tb.Output())
	backendOf(tb, n.dir).on(&opts)
	for _, f := range change {
		f(&opts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.New(ctx, opts)
	if err != nil {
		cancel()
		tb.Fatal(err)
	}
	n.url, n.admin, n.stop = a.URL(), a.AdminURL(), cancel
	go func() { n.done <- a.Run(ctx) }()
	tb.Cleanup(func() {
		if err := n.end(); err != nil {
			tb.Error("the server ended with", err)
		}
	})
	return n
}

// end stops the server and returns what it ended with; the second call does
// nothing.
func (n *node) end() (err error) {
	n.once.Do(func() {
		n.stop()
		err = <-n.done
	})
	return err
}

// child is a server in a process of its own.
type child struct {
	tb  testing.TB
	cmd *exec.Cmd
	url string
	in  io.Writer // moves its clock, see leading
	out *bufio.Reader
}

// startChild runs this binary as a server; env may name another store, and a
// Redis. The address is known once it answers; see ready.
func startChild(tb testing.TB, dir string, env ...string) *child {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	if len(env) == 0 {
		env = backendOf(tb, dir).env()
	}
	c := &child{tb: tb, cmd: exec.Command(self)}
	c.cmd.Env = append(append(os.Environ(), serveEnv+"="+dir), env...)
	c.cmd.Stderr = tb.Output()
	in, err := c.cmd.StdinPipe() // open as long as this process lives
	if err != nil {
		tb.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	tb.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = in.Close() })
	return c
}

// ready waits until the server listens; false where it ended before.
func (c *child) ready() bool {
	line, err := c.out.ReadString('\n')
	c.url = strings.TrimSpace(line)
	return err == nil
}

// host is host:port of a base URL.
func host(url string) string { return strings.TrimPrefix(url, "http://") }

// tokenOf speaks for a user.
func tokenOf(user string) string {
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "role": roleOf(user), "exp": time.Now().Add(time.Hour).Unix(),
	})
	t.Header["kid"] = "e2e"
	text, err := t.SignedString([]byte(secret))
	if err != nil {
		panic(err)
	}
	return text
}

// roleOf is the platform role of a user, which stands in the name.
func roleOf(user string) gotong.Role {
	switch {
	case strings.HasPrefix(user, "mod-"):
		return gotong.RoleModerator
	case strings.HasPrefix(user, "boss-"):
		return gotong.RoleAdmin
	default:
		return gotong.RoleUser
	}
}

// soon is a backoff for a network that is broken on purpose.
func soon(n int) time.Duration {
	return time.Duration(1+rand.IntN(10<<min(n, 5))) * time.Millisecond
}

// dial is a client of a user.
func dial(tb testing.TB, url, user string, transports ...client.Transport) *client.Client {
	tb.Helper()
	c, err := client.New(client.Options{
		BaseURL: url, Token: client.StaticToken(tokenOf(user)), Transports: transports, Backoff: soon,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// connect is a Conn that runs until the test ends.
func connect(tb testing.TB, c *client.Client, opts client.ConnOptions) *client.Conn {
	tb.Helper()
	conn := c.NewConn(opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = conn.Run(ctx) }()
	tb.Cleanup(func() { cancel(); <-done })
	return conn
}

// answer is what REST said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// str is a field of the body, as text.
func (a answer) str(name string) string {
	var m map[string]any
	_ = json.Unmarshal(a.body, &m)
	if m[name] == nil {
		return ""
	}
	return fmt.Sprint(m[name])
}

// rest is one request of a user, as it is; header is pairs of name and value.
func rest(ctx context.Context, c *http.Client, url, user, method, path, body string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+tokenOf(user))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, b}, err
}

// must is a value that has to be there: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// makeThread is a thread of an owner with these members, and its stream.
func makeThread(tb testing.TB, url, owner string, in client.NewThread, members ...string) (client.Thread, gotong.Stream) {
	tb.Helper()
	c := dial(tb, url, owner, client.WebSocket)
	th, err := c.CreateThread(tb.Context(), in)
	if err != nil {
		tb.Fatal(err)
	}
	each(members, func(user string) {
		if _, err := c.AddMember(tb.Context(), th.ThreadID, user, ""); err != nil {
			tb.Error(err)
		}
	})
	return th, th.Stream()
}

// each calls f for all of a list, some at once.
func each[T any](list []T, f func(T)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, v := range list {
		slots <- struct{}{}
		group.Go(func() { defer func() { <-slots }(); f(v) })
	}
	group.Wait()
}

// names is n user ids.
func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s-%03d", prefix, i)
	}
	return list
}
