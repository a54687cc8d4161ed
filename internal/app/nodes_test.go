package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/bus/redistest"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

var web = &http.Client{Timeout: patience, Transport: &http.Transport{}}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kept is the store of one node of a town; it outlives the nodes.
type kept struct {
	store.Whole
	town *town
	node int
}

func (kept) Close() error { return nil }

func (k kept) Positions(ctx context.Context) ([gotong.Partitions]uint64, error) {
	k.town.polls[k.node].Add(1)
	return k.Whole.Positions(ctx)
}

func (k kept) FindRegisters(ctx context.Context, r store.KeyRange) ([]store.Register, error) {
	if r.Collection == "auth_ended" && k.town.loginsAway.Load() {
		return nil, errors.New("the list of ended logins is away")
	}
	return k.Whole.FindRegisters(ctx, r)
}

// town is some nodes on one store.
type town struct {
	t     *testing.T
	nodes []*app.App
	stop  []func() // each ends a node, and returns when it has ended
	ann   client.Auth
	bob   client.Auth
	path  string // of a thread that both are in
	topic gotong.Stream

	clock      *clocktest.Clock // of all nodes
	loginsAway atomic.Bool      // those that ended cannot be listed
	polls      [2]atomic.Int64  // how often each node asked for the positions of the log
}

// startTown runs so many nodes until the test ends. Redis is the address of
// one, or of nothing that answers.
func startTown(t *testing.T, n int, redis string, change ...func(*config.Config)) *town {
	t.Helper()
	w := &town{t: t, clock: clocktest.Running()}
	t.Cleanup(web.CloseIdleConnections)
	db := memory.New("", memory.Options{Now: func() gotong.Instant { return gotong.InstantOf(time.Now()) }})
	t.Cleanup(func() { _ = db.Close() })
	key := auth.NewSigningKey()
	for node := range n {
		cfg := config.Config{
			Env: config.Development, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Data: t.TempDir(), Store: "memory:",
			SigningKey: key, Redis: redis, AccessTokenLife: time.Hour, RefreshLife: time.Hour, PasswordHashes: 2, MaxSessions: 1000,
			UserRate: 1000, UserBurst: 1000, CommandRate: 1000, CommandBurst: 1000, AddressRate: 1000, AddressBurst: 1000,
			ShutdownGrace: 5 * time.Second, OTelSample: 1,
			FileSize: 1, FilesPerUser: 8, FilesPerGroup: 16,
		}
		for _, f := range change {
			f(&cfg)
		}
		opts := app.Options{Config: cfg, Clock: w.clock, Log: slog.New(slog.DiscardHandler)}
		if cfg.Store == "memory:" {
			opts.Wrap = func(own store.Whole) store.Whole { _ = own.Close(); return kept{db, w, node} }
		}
		a, err := app.New(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		stop := sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(stop)
		w.stop = append(w.stop, stop)
		w.nodes = append(w.nodes, a)
	}
	w.settle()
	return w
}

// settle makes a thread with two members.
func (w *town) settle() {
	w.t.Helper()
	sign := func(name string) (a client.Auth) {
		w.call(0, "", http.MethodPost, "/v1/auth/signup", map[string]any{
			"email": name + "@example.org", "pass": "selokan bersih", "username": name, "community_id": "rt05",
		}, &a)
		return a
	}
	w.ann, w.bob = sign("ann"), sign("bob")
	var th client.Thread
	w.call(0, w.ann.AccessToken, http.MethodPost, "/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "public"}, &th)
	w.path, w.topic = "/v1/chat/threads/"+th.ThreadID, gotong.NewStream("thread", th.ThreadID)
	w.call(0, w.bob.AccessToken, http.MethodPost, w.path+"/join", map[string]any{}, nil)
}

// ask is one request to a node, and its status.
func (w *town) ask(node int, token, method, path string, body any) (int, []byte) {
	w.t.Helper()
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		content = bytes.NewReader(b)
	}
	base := w.nodes[node].URL()
	if token == "admin" {
		base = w.nodes[node].AdminURL()
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, base+path, content)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := web.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, text
}

// call is one that must succeed.
func (w *town) call(node int, token, method, path string, body, out any) {
	w.t.Helper()
	status, text := w.ask(node, token, method, path, body)
	if status >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			w.t.Fatal(err)
		}
	}
}

// follow opens a WebSocket that follows the thread.
func (w *town) follow(node int, who client.Auth) *follower {
	w.t.Helper()
	ws, resp, err := websocket.Dial(w.t.Context(), strings.Replace(w.nodes[node].URL(), "http", "ws", 1)+"/v1/realtime/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + who.AccessToken}}, Subprotocols: []string{"gotong.v1"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	w.t.Cleanup(func() { _ = ws.CloseNow() })
	f := &follower{t: w.t, ws: ws}
	f.send(`{"op":"subscribe","id":"1","stream":"` + string(w.topic) + `"}`)
	f.until(`"op":"subscribed"`, patience)
	return f
}

type follower struct {
	t  *testing.T
	ws *websocket.Conn
}

func (f *follower) send(text string) {
	f.t.Helper()
	if err := f.ws.Write(f.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		f.t.Fatal(err)
	}
}

// until reads until a frame has all of these parts, and tells how long it took.
func (f *follower) until(parts string, within time.Duration) time.Duration {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), within)
	defer cancel()
	began := time.Now()
	for {
		_, b, err := f.ws.Read(ctx)
		if err != nil {
			f.t.Fatalf("no %s within %s: %v", parts, within, err)
		}
		all := true
		for p := range strings.SplitSeq(parts, " ") {
			all = all && bytes.Contains(b, []byte(p))
		}
		if all {
			return time.Since(began)
		}
	}
}

// closed reads until the server closes, which it must do with 4401.
func (f *follower) closed() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for {
		_, _, err := f.ws.Read(ctx)
		if err == nil {
			continue
		}
		if code := websocket.CloseStatus(err); code != 4401 {
			f.t.Errorf("closed with %d within %s: %v", code, patience, err)
		}
		return
	}
}

// connected waits until every node is well, or degraded, for lack of Redis.
func (w *town) connected(want string) {
	w.t.Helper()
	for node := range w.nodes {
		w.until("Redis is "+want, func() bool {
			status, b := w.ask(node, "admin", http.MethodGet, "/readyz", nil)
			if status != http.StatusOK {
				w.t.Fatalf("a node is not ready: %s", b)
			}
			return strings.Contains(string(b), `"redis":"`+want)
		})
	}
}

func (w *town) until(what string, ok func() bool) {
	w.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-again.C:
		case <-limit:
			w.t.Fatalf("not so within %s: %s", patience, what)
		}
	}
}

// TestNodesOverRedis: what nodes tell each other, and what becomes of it when
// Redis goes away: the same, later; of signals nothing.
func TestNodesOverRedis(t *testing.T) {
	s := redistest.Start(t)
	w := startTown(t, 2, s.URL())
	w.connected("ok")
	a, b := w.follow(0, w.ann), w.follow(1, w.bob)
	again := w.follow(1, w.ann)

	say := func(text string) (m client.Message) {
		w.call(0, w.ann.AccessToken, http.MethodPost, w.path+"/messages/send", map[string]any{"body": text}, &m)
		return m
	}
	m := say("one")
	b.until("one", patience)
	a.send(`{"op":"signal","stream":"` + string(w.topic) + `","type":"typing"}`)
	b.until(`"type":"typing" `+w.ann.UserID, patience)
	w.call(0, w.ann.AccessToken, http.MethodPost, w.path+"/read-cursor", map[string]any{"message_id": m.MessageID}, nil)
	again.until(`"type":"read" `+m.MessageID.String(), patience)
	for node := range w.nodes {
		w.until("both are present", func() bool {
			_, text := w.ask(node, w.ann.AccessToken, http.MethodGet, w.path+"/presence", nil)
			return strings.Count(string(text), w.ann.UserID) == 1 && strings.Count(string(text), w.bob.UserID) == 1
		})
	}

	w.inbox(b)

	s.Kill()
	w.connected("degraded")
	say("two")
	b.until("two", patience) // found by polling
	s.Restart()
	w.connected("ok")
	s.Do("FLUSHALL")
	say("three")
	b.until("three", patience)
}

// inbox checks that both nodes send a signal to bob's sessions when his inbox changes,
// and that both return the same count.
func (w *town) inbox(b *follower) {
	w.t.Helper()
	both := []*follower{w.follow(0, w.bob), b}
	for _, f := range both {
		f.send(`{"op":"subscribe","id":"own","stream":"user/` + w.bob.UserID + `"}`)
		f.until(`"op":"subscribed" "id":"own"`, patience)
	}
	want := func(n int) {
		w.t.Helper()
		for node, f := range both {
			f.until(`"op":"signal" "type":"inbox" user/`+w.bob.UserID, patience)
			var got struct {
				N int `json:"unread_count"`
			}
			w.call(node, w.bob.AccessToken, http.MethodGet, "/v1/notifications/unread-count", nil, &got)
			if got.N != n {
				w.t.Errorf("node %d counts %d, want %d", node, got.N, n)
			}
		}
	}
	w.call(0, w.ann.AccessToken, http.MethodPost, w.path+"/messages/send", map[string]any{"body": "Halo @bob"}, nil)
	want(1)
	w.call(1, w.bob.AccessToken, http.MethodPost, "/v1/notifications/read", map[string]any{}, nil)
	want(0)
	th := w.wide()
	w.call(1, w.ann.AccessToken, http.MethodPost, th+"/messages/send", map[string]any{"body": "Halo @here"}, nil)
	want(1)
	for _, set := range []struct {
		method, path string
		body         any
		n            int
	}{
		{http.MethodPut, "/v1/blocks/" + w.ann.UserID, nil, 0},
		{http.MethodDelete, "/v1/blocks/" + w.ann.UserID, nil, 1},
		{http.MethodPatch, "/v1/notifications/preferences", map[string]any{"kinds": map[string]bool{"mention": false}}, 0},
		{http.MethodPatch, "/v1/notifications/preferences", map[string]any{"kinds": map[string]bool{"mention": true}}, 1},
		{http.MethodPut, th + "/mute", nil, 0},
		{http.MethodDelete, th + "/mute", nil, 1},
	} {
		w.call(1, w.bob.AccessToken, set.method, set.path, set.body, nil)
		want(set.n)
	}
}

// wide makes a group with bob and more members than have an item of their own, and
// returns the path of a thread of all of them.
func (w *town) wide() string {
	w.t.Helper()
	var g struct {
		ID string `json:"group_id"`
	}
	w.call(0, w.ann.AccessToken, http.MethodPost, "/v1/groups", map[string]any{"name": "RT", "entity_type": "kelompok", "join_policy": "terbuka"}, &g)
	for n := range 201 {
		who := gotong.Actor{UserID: fmt.Sprint("u", n), Role: gotong.RoleUser}
		if n == 200 {
			who.UserID = w.bob.UserID
		}
		if err := w.nodes[n%2].Execute(w.t.Context(), gotong.Command{
			Stream: gotong.NewStream(group.Name, g.ID), Type: group.CmdJoin, Actor: who, Raw: []byte("{}"), Data: group.Join{},
			RequestID: "join", CorrelationID: "join",
		}); err != nil {
			w.t.Fatal(err)
		}
	}
	var th client.Thread
	w.call(0, w.ann.AccessToken, http.MethodPost, "/v1/chat/threads", map[string]any{
		"scope_id": g.ID, "members": "home", "privacy_level": "public",
	}, &th)
	return "/v1/chat/threads/" + th.ThreadID
}

// TestLoginsEndOnAllNodes: with Redis, nodes need not list the logins that ended. The
// tests of internal/auth measure by when a node ends a login (contract D13).
func TestLoginsEndOnAllNodes(t *testing.T) {
	s := redistest.Start(t)
	for name, url := range map[string]string{"with Redis": s.URL(), "with Redis away": "redis://127.0.0.1:" + redistest.FreePort(t)} {
		t.Run(name, func(t *testing.T) {
			w := startTown(t, 2, url)
			if url == s.URL() {
				w.connected("ok")
				w.loginsAway.Store(true)
			} else {
				w.connected("degraded")
			}
			bob := w.follow(1, w.bob)
			ann := w.follow(1, w.ann)
			w.call(0, w.bob.AccessToken, http.MethodPost, "/v1/auth/logout", nil, nil)
			bob.closed()

			var next struct {
				Refresh string `json:"refresh_token"`
			}
			w.call(0, "", http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh": w.ann.RefreshToken}, &next)
			w.call(0, "", http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh": next.Refresh}, nil)
			if status, _ := w.ask(0, "", http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh": w.ann.RefreshToken}); status != http.StatusUnauthorized {
				t.Errorf("a spent refresh token is answered %d", status)
			}
			ann.closed()
		})
	}
}

// Once Run has returned nothing of a server runs: not for a client that follows,
// nor for one that never authenticated, nor for one that does not read its
// close frame.
func TestNothingRunsAfterRun(t *testing.T) {
	web.CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	t.Run("server", func(t *testing.T) {
		w := startTown(t, 1, "", func(c *config.Config) { c.Store = "" })
		ann := w.follow(0, w.ann)
		ann.send(`{"op":"command","id":"2","stream":"` + string(w.topic) + `","type":"message.post","request_id":"r1","data":{"body":"here"}}`)
		ann.until(`"op":"ack"`, patience)
		ws, resp, err := websocket.Dial(t.Context(), strings.Replace(w.nodes[0].URL(), "http", "ws", 1)+"/v1/realtime/ws",
			&websocket.DialOptions{Subprotocols: []string{"gotong.v1"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ws.CloseNow() })
		if resp.Body != nil {
			_ = resp.Body.Close()
		}
		w.stop[0]() // before the clients leave
	})
	web.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// A node that cannot read which logins ended on other nodes writes nothing live
// after five seconds, although it reads the log, and goes on when it can.
func TestSilenceWithoutLogins(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for three polls of the log")
	}
	w := startTown(t, 1, "redis://127.0.0.1:"+redistest.FreePort(t))
	bob := w.follow(0, w.bob)
	say := func(text string) {
		w.call(0, w.ann.AccessToken, http.MethodPost, w.path+"/messages/send", map[string]any{"body": text}, nil)
	}
	say("early")
	bob.until("early", patience)
	silent := func() string {
		_, text := w.ask(0, "admin", http.MethodGet, "/metrics", nil)
		return regexp.MustCompile(`(?m)^gotong_live_silent_partitions \d+$`).FindString(string(text))
	}
	const all = "gotong_live_silent_partitions 16"
	w.loginsAway.Store(true)
	w.clock.Pass(6 * time.Second)
	said := w.polls[0].Load()
	w.until("the log was read again", func() bool { return w.polls[0].Load() >= said+3 })
	if got := silent(); got != all {
		t.Errorf("%q, want %q", got, all)
	}
	say("late")
	w.loginsAway.Store(false)
	bob.until("late", patience)
	w.until("no partition is silent", func() bool { return silent() == "gotong_live_silent_partitions 0" })
}

// TestNodesByLiveQuery: without Redis the database notifies nodes of commits, and each
// node looks for logins that ended.
func TestNodesByLiveQuery(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) { //nolint:thelper // the test itself, once per engine
		address := surrealtest.URL(t, e)
		w := startTown(t, 2, "", func(c *config.Config) { c.Store = address })
		w.until("the live query is there", func() bool {
			_, b := w.ask(1, "admin", http.MethodGet, "/readyz", nil)
			return strings.Contains(string(b), `"livequery":"ok"`)
		})
		bob := w.follow(1, w.bob)
		times := make([]time.Duration, 0, 9)
		for range cap(times) {
			w.call(0, w.ann.AccessToken, http.MethodPost, w.path+"/messages/send", map[string]any{"body": "here"}, nil)
			times = append(times, bob.until("here", patience))
		}
		slices.Sort(times)
		t.Logf("from the acknowledgement on one node to the frame on the other: %s in the middle, %s at most", times[4], times[8])
		w.until("the database has notified the node", func() bool {
			_, b := w.ask(1, "admin", http.MethodGet, "/metrics", nil)
			return regexp.MustCompile(`(?m)^gotong_bus_messages_total\{direction="in"\} [1-9]`).Match(b)
		})
		w.call(0, w.bob.AccessToken, http.MethodPost, "/v1/auth/logout", nil, nil)
		bob.closed()
	})
}

// TestLimitsOfAllNodes: a user's requests count together; while Redis is away
// each node counts its own.
func TestLimitsOfAllNodes(t *testing.T) {
	few := func(c *config.Config) { c.UserRate, c.UserBurst = 0.001, 10 }
	spend := func(w *town, who client.Auth) (ok int) {
		for i := range 30 {
			if status, _ := w.ask(i%2, who.AccessToken, http.MethodGet, "/v1/auth/me", nil); status == http.StatusOK {
				ok++
			}
		}
		return ok
	}
	t.Run("together", func(t *testing.T) {
		app.AskPatiently(t)
		w := startTown(t, 2, redistest.Start(t).URL(), few)
		w.connected("ok")
		if ok := spend(w, w.bob); ok > 10 || ok < 9 { // joining was counted, unless Redis was still being connected
			t.Errorf("%d requests were let in, of 10", ok)
		}
	})
	t.Run("alone", func(t *testing.T) {
		s := redistest.Start(t)
		w := startTown(t, 2, s.URL(), few)
		w.connected("ok")
		s.Freeze()
		defer s.Thaw()
		if ok := spend(w, w.bob); ok > 20 || ok < 19 { // joining was counted by one node
			t.Errorf("%d requests were let in, of 10 on each node", ok)
		}
	})
}
