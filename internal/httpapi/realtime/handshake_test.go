package realtime

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
)

const someKey = "dGhlIHNhbXBsZSBub25jZQ=="

func TestHandshakeRefused(t *testing.T) {
	w := newWorld(t)
	good := map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": someKey,
		"Sec-WebSocket-Protocol": subprotocol, "Authorization": "Bearer t-ann",
	}
	for _, tc := range []struct {
		name, query string
		change      map[string]string // "" removes
		status      int
		code        gotong.Code
	}{
		{"no upgrade", "", map[string]string{"Upgrade": "", "Connection": ""}, 426, httpapi.CodeUpgrade},
		{"another protocol", "", map[string]string{"Upgrade": "h2c"}, 426, httpapi.CodeUpgrade},
		{"another version", "", map[string]string{"Sec-WebSocket-Version": "8"}, 426, httpapi.CodeUpgrade},
		{"no key", "", map[string]string{"Sec-WebSocket-Key": ""}, 400, httpapi.CodeBadRequest},
		{"a short key", "", map[string]string{"Sec-WebSocket-Key": "YWJj"}, 400, httpapi.CodeBadRequest},
		{"no subprotocol", "", map[string]string{"Sec-WebSocket-Protocol": ""}, 400, httpapi.CodeBadRequest},
		{"another subprotocol", "", map[string]string{"Sec-WebSocket-Protocol": "gotong.v2, chat"}, 400, httpapi.CodeBadRequest},
		{"a page of others", "", map[string]string{"Origin": "https://evil.example"}, 403, gotong.CodeForbidden},
		{"a page of nowhere", "", map[string]string{"Origin": "null"}, 403, gotong.CodeForbidden},
		{"a bad token", "", map[string]string{"Authorization": "Bearer nobody"}, 401, gotong.CodeUnauthorized},
		{"a basic password", "", map[string]string{"Authorization": "Basic dTpw"}, 401, gotong.CodeUnauthorized},
		{"a bad ticket", "?ticket=nobody", map[string]string{"Authorization": ""}, 401, gotong.CodeUnauthorized},
		{"a token in the address", "?token=t-ann", nil, 400, httpapi.CodeBadRequest},
		{"an access token in the address", "?access_token=t-ann", nil, 400, httpapi.CodeBadRequest},
		{"an unknown parameter", "?stream=thread/1", nil, 422, gotong.CodeInvalid},
		{"two tickets", "?ticket=a&ticket=b", nil, 422, gotong.CodeInvalid},
		{"a broken query", "?ticket=%zz", nil, 400, httpapi.CodeBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var headers []string
			for name, value := range good {
				if changed, ok := tc.change[name]; ok {
					value = changed
				}
				if value != "" {
					headers = append(headers, name, value)
				}
			}
			if origin := tc.change["Origin"]; origin != "" {
				headers = append(headers, "Origin", origin)
			}
			res := w.get("/v1/realtime/ws"+tc.query, headers...)
			refused(t, res, tc.status, tc.code)
			if tc.status == 426 && (res.header.Get("Upgrade") != "websocket" || res.header.Get("Sec-WebSocket-Version") != "13") {
				t.Errorf("a refusal without what would do: %v", res.header)
			}
		})
	}
	if ws, _ := w.server.Open(); ws != 0 {
		t.Errorf("%d connections", ws)
	}
}

func TestMethods(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"ws", "sse", "poll"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			res := w.request(method, "/v1/realtime/"+path, "Authorization", "Bearer t-ann")
			refused(t, res, http.StatusMethodNotAllowed, httpapi.CodeMethod)
			if got := res.header.Get("Allow"); got != "GET" {
				t.Errorf("%s %s: Allow %q", method, path, got)
			}
		}
		if res := w.request("OPTIONS", "/v1/realtime/"+path); res.status != http.StatusNoContent || res.header.Get("Allow") != "GET" {
			t.Errorf("OPTIONS %s: %d, Allow %q", path, res.status, res.header.Get("Allow"))
		}
		if res := w.request("HEAD", "/v1/realtime/"+path, "Authorization", "Bearer t-ann"); res.status != http.StatusMethodNotAllowed {
			t.Errorf("HEAD %s: %d", path, res.status)
		}
	}
	refused(t, w.get("/v1/realtime/other"), http.StatusNotFound, gotong.CodeNotFound)
}

func TestOrigins(t *testing.T) {
	for _, tc := range []struct {
		allowed []string
		origin  string
		ok      bool
	}{
		{nil, "", true},
		{nil, "http://SELF", true},
		{nil, "https://gotong.example", false},
		{[]string{"https://gotong.example"}, "https://gotong.example", true},
		{[]string{"https://gotong.example"}, "https://gotong.example.evil.example", false},
		{[]string{"https://gotong.example"}, "http://gotong.example", false},
		{[]string{"*"}, "https://anywhere.example", true},
	} {
		t.Run(tc.origin, func(t *testing.T) {
			w := newWorld(t, with(func(o *Options) { o.Origins = tc.allowed }))
			headers := []string{"Authorization", "Bearer t-ann"}
			if tc.origin != "" {
				headers = append(headers, "Origin", strings.ReplaceAll(tc.origin, "SELF", w.addr))
			}
			s, _, err := w.tryDial("", headers...)
			if (err == nil) != tc.ok {
				t.Fatalf("got %v", err)
			}
			if tc.ok {
				s.want("welcome")
			}
		})
	}
}

func with(f func(*Options)) func(*setting) {
	return func(s *setting) { s.options = append(s.options, f) }
}

func timed(f func(*times)) func(*setting) {
	return func(s *setting) { s.times = append(s.times, f) }
}

func TestAuthentication(t *testing.T) {
	w := newWorld(t)
	w.door.tickets["once"] = "bob"

	byHeader := w.dial("", "Authorization", "bearer t-ann").want("welcome")
	if byHeader.Session == "" || byHeader.Epoch != "test" || byHeader.Heartbeat != 25000 {
		t.Errorf("got %s", byHeader.raw)
	}
	w.dial("?ticket=once").want("welcome")
	if _, status, err := w.tryDial("?ticket=once"); err == nil || status != http.StatusUnauthorized {
		t.Errorf("a ticket was good twice: %v", err)
	}
	s := w.dial("")
	s.send("op", "auth", "token", "t-ann")
	s.want("welcome")

	s = w.dial("")
	s.send("op", "auth", "token", "nobody")
	s.closed(4401)

	s = w.dial("")
	s.send("op", "ping")
	s.closed(4401)

	s = w.dial("")
	s.raw("{")
	s.closed(4401)
}

func TestAuthFrameComesLate(t *testing.T) {
	w := newWorld(t)
	s := w.dial("")
	w.until("the connection is known", func() bool { ws, _ := w.server.Open(); return ws == 1 })
	w.pass(4 * time.Second)
	w.server.sweep()
	if c := w.server.all()[0]; c.closing.Load() {
		t.Fatal("closed too early")
	}
	// Neither a ping nor a pong buys more time.
	if err := s.ws.Write(context.Background(), 1, nil); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Second)
	w.server.sweep()
	s.closed(4401)
	w.ended("ws unauthorized")
}

func TestRenewedToken(t *testing.T) {
	w := newWorld(t)
	w.door.tokens["short"] = w.door.principal("ann")
	p := w.door.tokens["short"]
	p.Expires = w.now().Add(time.Minute)
	w.door.tokens["short"] = p
	moderator := w.door.principal("ann")
	moderator.Role = gotong.RoleModerator
	w.door.tokens["moderator"] = moderator

	s := w.dial("", "Authorization", "Bearer short")
	first := s.want("welcome")
	s.send("op", "auth", "token", "t-ann")
	if again := s.want("welcome"); again.Session != first.Session {
		t.Errorf("another session: %s", again.raw)
	}
	s.send("op", "ping") // counts as a sign of life
	s.want("pong")
	w.pass(50 * time.Second)
	s.send("op", "ping")
	s.want("pong")
	w.pass(20 * time.Second)
	w.server.sweep()
	s.send("op", "ping", "id", "still")
	s.want("pong")

	for _, token := range []string{"t-bob", "moderator", "nobody"} {
		s := w.connect("ann")
		s.send("op", "auth", "token", token)
		s.closed(4401)
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	p := w.door.principal("ann")
	p.Expires = w.now().Add(30 * time.Second)
	w.door.tokens["short"] = p
	s := w.dial("", "Authorization", "Bearer short")
	s.want("welcome")
	w.pass(31 * time.Second)
	w.server.sweep()
	s.closed(4401)
}

// A login that ends while its connection is being opened is not missed.
func TestLoginEndedDuringTheHandshakeIsNoticed(t *testing.T) {
	w := newWorld(t)
	var before func()
	w.server.opts.Auth = authFunc(func(ctx context.Context, token string) (httpapi.Principal, error) {
		p, err := w.door.Authenticate(ctx, token)
		if before != nil {
			before()
		}
		return p, err
	})
	s := w.thread("ann")
	before = func() { w.door.revoke("t-ann") }
	w.dial("", "Authorization", "Bearer t-ann").closed(4401)
	w.door.revoked = map[string]bool{}
	refused(t, w.get("/v1/realtime/poll?wait=0&stream="+string(s), "Authorization", "Bearer t-ann"), 401, gotong.CodeUnauthorized)
}

type authFunc func(context.Context, string) (httpapi.Principal, error)

func (f authFunc) Authenticate(ctx context.Context, token string) (httpapi.Principal, error) {
	return f(ctx, token)
}

func TestLogoutEndsAll(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann", "bob")
	ann, bob := w.connect("ann"), w.connect("bob")
	ann.subscribe(stream, "")
	sse := w.sse("ann", "?stream="+string(stream), "")
	sse.want("subscribed")
	poll := w.polling("ann", "?wait=50s&stream="+string(stream))
	w.until("all are open", func() bool { return w.hub.Stats().Subscriptions == 3 })
	var logins []string
	for _, p := range w.server.Logins() {
		logins = append(logins, p.LoginID)
	}
	if slices.Sort(logins); !slices.Equal(logins, []string{"s-ann", "s-bob"}) {
		t.Errorf("logins %q", logins)
	}
	w.server.EndLogin("s-ann")
	ann.closed(4401)
	sse.over()
	if a := <-poll; a.status != 401 && a.status != 200 || len(a.Frames) != 0 {
		t.Errorf("got %d %v", a.status, a.Frames)
	}
	bob.send("op", "ping")
	bob.want("pong")
}

// TestLogoutBesideATicket: a login that ends between the use of its ticket and
// the opening of the connection is not missed.
func TestLogoutBesideATicket(t *testing.T) {
	recheck := func(o *Options) {
		o.Recheck = func(_ context.Context, p auth.Principal) error {
			if p.UserID == "ann" {
				return gotong.NewError(gotong.CodeUnauthorized, "The login has ended.")
			}
			return nil
		}
	}
	w := newWorld(t, func(s *setting) { s.options = append(s.options, recheck) })
	w.door.tickets["a"], w.door.tickets["b"] = "ann", "bob"
	w.dial("?ticket=a").closed(4401)
	w.dial("?ticket=b").want("welcome")
}

func TestEndUser(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann", "bob")
	ann := w.connect("ann")
	ann.subscribe(stream, "")
	bob := w.connect("bob")
	w.hub.EndUser("ann", live.Closing{Code: CloseUnauthorized, Reason: "the account was disabled"})
	w.post("bob", stream, "after the end")
	if reason := ann.reason(4401); reason != "the account was disabled" {
		t.Errorf("reason %q", reason)
	}
	bob.send("op", "ping")
	bob.want("pong")
}

// A proxy may say each header in several lines, and may send bytes before the
// answer.
func TestHandshakeOverTCP(t *testing.T) {
	w := newWorld(t)
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ping := string(clientFrame(0x81, []byte(`{"op":"ping","id":"early"}`)))
	_, err = fmt.Fprintf(conn, "GET /v1/realtime/ws HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive\r\nConnection: foo, Upgrade\r\n"+
		"Upgrade: h2c\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"+
		"Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: more, gotong.v1\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99999999999999999999\r\n"+
		"Authorization: Bearer t-ann\r\n\r\n%s", w.addr, someKey, ping)
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-WebSocket-Protocol") != subprotocol || res.Header.Get("Sec-WebSocket-Extensions") != "" ||
		res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("got %d %v", res.StatusCode, res.Header)
	}
	for _, want := range []string{`"op":"welcome"`, `"id":"early"`} {
		if _, text := readServerFrame(t, br); !strings.Contains(string(text), want) {
			t.Errorf("got %s, want %s", text, want)
		}
	}
}
