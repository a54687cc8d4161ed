package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/coder/websocket"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
)

// frame is any frame of the server.
type frame struct {
	Op        string          `json:"op"`
	ID        string          `json:"id"`
	Stream    gotong.Stream   `json:"stream"`
	Cursor    string          `json:"cursor"`
	Session   string          `json:"session"`
	Epoch     string          `json:"epoch"`
	Heartbeat int64           `json:"heartbeat_ms"`
	Head      uint64          `json:"head"`
	From      uint64          `json:"from"`
	To        uint64          `json:"to"`
	Events    []event         `json:"events"`
	Receipt   receipt         `json:"receipt"`
	Problem   problemView     `json:"problem"`
	Reason    string          `json:"reason"`
	Retry     int64           `json:"retry_after_ms"`
	Type      string          `json:"type"`
	Actor     map[string]any  `json:"actor"`
	Data      json.RawMessage `json:"data"`
	raw       string
}

type event struct {
	Seq  uint64 `json:"seq"`
	Type string `json:"type"`
	Data struct {
		Body string `json:"body"`
	} `json:"data"`
}

type receipt struct {
	Stream   gotong.Stream `json:"stream"`
	Seq      []uint64      `json:"seq"`
	EventIDs []string      `json:"event_ids"`
	Replayed bool          `json:"replayed"`
}

type problemView struct {
	Code   gotong.Code         `json:"code"`
	Status int                 `json:"status"`
	Detail string              `json:"detail"`
	Trace  string              `json:"trace_id"`
	Retry  int64               `json:"retry_after_ms"`
	Errors []gotong.FieldError `json:"errors"`
}

func parseFrame(tb testing.TB, b []byte) frame {
	tb.Helper()
	theContract().check(tb, fromServer, b)
	f := frame{raw: string(b)}
	if err := json.Unmarshal(b, &f); err != nil {
		tb.Fatalf("%v: %s", err, b)
	}
	if f.Op == "error" && f.Problem.Trace == "" {
		tb.Errorf("nothing to quote: %s", b)
	}
	return f
}

// socket is a client's end of a WebSocket.
type socket struct {
	t  testing.TB
	ws *websocket.Conn
	n  int
}

// dial opens a WebSocket without a word about who it is.
func (w *world) dial(query string, headers ...string) *socket {
	w.t.Helper()
	s, status, err := w.tryDial(query, headers...)
	if err != nil {
		w.t.Fatal(status, err)
	}
	return s
}

func (w *world) tryDial(query string, headers ...string) (s *socket, status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	ws, res, err := websocket.Dial(ctx, "ws://"+w.addr+"/v1/realtime/ws"+query, &websocket.DialOptions{
		HTTPHeader: h, Subprotocols: []string{subprotocol}, HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
	if res != nil {
		status = res.StatusCode
		if err != nil && res.Body != nil {
			_ = res.Body.Close() // that of an upgrade is the library's
		}
	}
	if err != nil {
		return nil, status, err
	}
	ws.SetReadLimit(16 << 20)
	w.t.Cleanup(func() { _ = ws.CloseNow() })
	return &socket{t: w.t, ws: ws}, status, nil
}

// connect opens a WebSocket as a user and takes the welcome.
func (w *world) connect(id string) *socket {
	w.t.Helper()
	s := w.dial("", "Authorization", "Bearer t-"+id)
	s.want("welcome")
	return s
}

// raw sends a text as it is.
func (s *socket) raw(text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		s.t.Fatalf("write: %v", err)
	}
}

// send sends a frame that keeps the contract.
func (s *socket) send(fields ...any) {
	s.t.Helper()
	m := map[string]any{}
	for i := 0; i < len(fields); i += 2 {
		m[fields[i].(string)] = fields[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	theContract().check(s.t, fromClient, b)
	s.raw(string(b))
}

func (s *socket) read() (frame, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, b, err := s.ws.Read(ctx)
	if err != nil {
		return frame{}, err
	}
	if kind != websocket.MessageText {
		s.t.Errorf("a frame of type %v", kind)
	}
	return parseFrame(s.t, b), nil
}

func (s *socket) next() frame {
	s.t.Helper()
	for {
		f, err := s.read()
		if err != nil {
			s.t.Fatalf("read: %v", err)
		}
		if !f.presence() {
			return f
		}
	}
}

// presence reports whether a frame is about presence. Few tests expect such
// frames, which arrive at any time.
func (f frame) presence() bool { return f.Op == "signal" && f.Type == "presence" }

// want reads the next frame, which must have this op.
func (s *socket) want(op string) frame {
	s.t.Helper()
	f := s.next()
	if f.Op != op {
		s.t.Fatalf("got %s, want %s", f.raw, op)
	}
	return f
}

// problem reads an error frame that answers id.
func (s *socket) problem(id string, code gotong.Code) frame {
	s.t.Helper()
	f := s.want("error")
	if f.ID != id || f.Problem.Code != code || f.Problem.Status != httpapi.EntryOf(code).Status {
		s.t.Fatalf("got %s, want id %q and code %s", f.raw, id, code)
	}
	return f
}

// closed reads until the server closes, and wants this code.
func (s *socket) closed(code int) {
	s.t.Helper()
	_ = s.reason(code)
}

// reason does so and gives the reason.
func (s *socket) reason(code int) string {
	s.t.Helper()
	for {
		f, err := s.read()
		if err == nil {
			if f.Op == "events" {
				s.t.Errorf("events before the end: %s", f.raw)
			}
			continue
		}
		var end websocket.CloseError
		if got := websocket.CloseStatus(err); int(got) != code {
			s.t.Fatalf("closed with %v (%v), want %d", got, err, code)
		}
		_ = errors.As(err, &end) // it has a code: it is one
		return end.Reason
	}
}

func (s *socket) subscribe(stream gotong.Stream, cursor string) frame {
	s.t.Helper()
	s.n++
	id := fmt.Sprint("sub", s.n)
	if cursor == "" {
		s.send("op", "subscribe", "id", id, "stream", stream)
	} else {
		s.send("op", "subscribe", "id", id, "stream", stream, "cursor", cursor)
	}
	f := s.want("subscribed")
	if f.ID != id || f.Stream != stream {
		s.t.Errorf("got %s", f.raw)
	}
	return f
}

func (s *socket) command(id string, stream gotong.Stream, typ string, data any) {
	s.t.Helper()
	s.send("op", "command", "id", id, "request_id", id, "stream", stream, "type", typ, "data", data)
}

func (s *socket) post(id string, stream gotong.Stream, text string) {
	s.t.Helper()
	s.command(id, stream, thread.CmdPost, map[string]any{"body": text})
}

// bodies reads events frames until one says the last text, and gives all texts.
func (s *socket) bodies(last string) []string {
	s.t.Helper()
	var got []string
	for !slices.Contains(got, last) {
		f := s.next()
		for _, e := range f.Events {
			if e.Type == thread.EvPosted {
				got = append(got, e.Data.Body)
			}
		}
	}
	return got
}

// reply is a whole answer over plain HTTP.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// get asks over plain HTTP.
func (w *world) get(path string, headers ...string) reply {
	w.t.Helper()
	return w.request(http.MethodGet, path, headers...)
}

var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (w *world) request(method, path string, headers ...string) reply {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+w.addr+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := plain.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, b}
}

// refused wants a problem.
func refused(tb testing.TB, res reply, status int, code gotong.Code) {
	tb.Helper()
	var p problemView
	if err := json.Unmarshal(res.body, &p); err != nil {
		tb.Fatalf("%v: %s", err, res.body)
	}
	if res.status != status || p.Code != code || res.header.Get("Content-Type") != "application/problem+json" {
		tb.Errorf("got %d %s %s, want %d %s", res.status, res.header.Get("Content-Type"), res.body, status, code)
	}
}
