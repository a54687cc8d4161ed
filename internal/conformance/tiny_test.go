package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"gotong.dev/gotong"
)

// tiny is the smallest client that follows the rules, with its adapter, unless it
// has a defect. All its state belongs to one loop; everything else sends it
// functions, and what an earlier connection sends is dropped.
type tiny struct {
	ctx    context.Context //nolint:containedctx // of the client
	defect string
	work   sync.WaitGroup
	loop   chan func()
	out    io.Writer
	outMu  sync.Mutex

	cfg     command
	over    bool
	level   int // the one that is tried
	tries   int
	streams map[string]*followed
	calls   []*sent
	ids     int

	conn   int // the number of the connection
	end    context.CancelFunc
	socket *websocket.Conn
	beat   time.Duration
	alive  bool // something arrived since the last look
	asked  bool
	away   time.Time // not to be back before
	lost   bool      // the connection was lost, and the next attempt is due
}

type followed struct {
	from string // "", "start" or a cursor
	id   string // of the subscription, if it was answered
	live bool
}

type sent struct {
	ref, stream, kind, requestID, id string
	data                             json.RawMessage
	held                             bool
}

// startTiny runs the client in this process.
func startTiny(defect string) Start {
	return func(ctx context.Context) (*Adapter, error) {
		in, commands := io.Pipe()
		lines, out := io.Pipe()
		ctx, cancel := context.WithCancel(ctx)
		t := &tiny{ctx: ctx, defect: defect, loop: make(chan func()), out: out, streams: map[string]*followed{}, end: func() {}}
		t.work.Go(func() {
			defer cancel()
			t.print("hello", map[string]any{"client": "tiny", "can": []string{ws, sse, poll, "send", "page", rest}})
			for read := bufio.NewReader(in); ; {
				line, err := read.ReadBytes('\n')
				if err != nil {
					return
				}
				var c command
				if err := json.Unmarshal(line, &c); err != nil {
					panic(err)
				}
				t.do(func() { t.command(c) })
			}
		})
		var ending sync.WaitGroup
		ending.Go(func() {
			for ctx.Err() == nil {
				select {
				case f := <-t.loop:
					f()
				case <-ctx.Done():
				}
			}
			t.end()
			_ = in.Close()
			t.work.Wait()
			_ = out.Close()
		})
		return &Adapter{In: commands, Out: lines, Wait: func() string { ending.Wait(); return "" }}, nil
	}
}

// do runs f in the loop.
func (t *tiny) do(f func()) {
	select {
	case t.loop <- f:
	case <-t.ctx.Done():
	}
}

// later runs f in the loop, unless the connection is another one by then.
func (t *tiny) later(d time.Duration, f func()) {
	n := t.conn
	t.work.Go(func() {
		select {
		case <-time.After(d):
			t.of(n, f)
		case <-t.ctx.Done():
		}
	})
}

func (t *tiny) of(n int, f func()) {
	t.do(func() {
		if n == t.conn && !t.over {
			f()
		}
	})
}

func (t *tiny) print(event string, fields map[string]any) {
	fields["event"] = event
	b, _ := json.Marshal(fields)
	t.outMu.Lock()
	defer t.outMu.Unlock()
	_, _ = t.out.Write(append(b, '\n'))
}

func (t *tiny) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * t.cfg.Scale)
}

func (t *tiny) id() string { t.ids++; return strconv.Itoa(t.ids) }

func (t *tiny) command(c command) {
	switch c.Cmd {
	case "connect":
		t.cfg = c
		for _, s := range c.Streams {
			t.streams[s.Stream] = &followed{from: s.From}
		}
		t.attempt()
	case "follow":
		t.streams[c.Stream] = &followed{from: c.From}
		t.changed(c.Stream)
	case "unfollow":
		delete(t.streams, c.Stream)
		t.changed(c.Stream)
	case "send":
		call := &sent{ref: c.Ref, stream: c.Stream, kind: c.Type, data: c.Data, id: t.id(), requestID: "r-" + t.id()}
		t.calls = append(t.calls, call)
		t.submit(call)
	case "replies", "pins", "pin", "upload":
		t.work.Go(func() { t.task(c) })
	case "cursors":
		list := map[string]string{}
		for name, s := range t.streams {
			if strings.Contains(s.from, ":") {
				list[name] = s.from
			}
		}
		t.print("cursors", map[string]any{"ref": c.Ref, "cursors": list})
	case "sync":
		t.print("synced", map[string]any{"ref": c.Ref})
	case "page":
		if c.Event == "pageshow" && t.defect == "second socket" && !t.over {
			t.conn-- // the close of the first connection is answered too
			t.attempt()
			t.conn++
		}
	case "close":
		t.stop("closed")
	}
}

func (t *tiny) stop(reason string) {
	t.over = true
	t.end()
	t.print("ended", map[string]any{"reason": reason})
}

// changed follows another set of streams.
func (t *tiny) changed(name string) {
	switch s := t.streams[name]; {
	case t.cfg.Transports[t.level] != ws:
		t.attempt()
	case t.socket != nil && s != nil:
		t.subscribe(name, s)
	case t.socket != nil:
		t.write(map[string]any{"op": "unsubscribe", "id": t.id(), "stream": name})
	}
}

// attempt begins a new connection over the transport of this level.
func (t *tiny) attempt() {
	t.end()
	t.conn++
	t.socket, t.alive, t.asked, t.lost = nil, false, false, false
	ctx, cancel := context.WithCancel(t.ctx)
	t.end = cancel
	n, kind := t.conn, t.cfg.Transports[t.level]
	if t.level > 0 && t.defect != "fallback kept" {
		t.later(t.scaled(30*time.Second), func() { t.level = 0; t.attempt() })
	}
	if len(t.cfg.Tokens) == 0 {
		t.stop("no token")
		return
	}
	open := 10 * time.Second
	if t.cfg.OpenMS > 0 {
		open = time.Duration(t.cfg.OpenMS) * time.Millisecond
	}
	if kind != poll {
		t.later(open, func() {
			if !t.alive {
				t.ended(fault{err: errors.New("not opened in time")})
			}
		})
	}
	token := t.cfg.Tokens[0]
	t.work.Go(func() {
		defer cancel()
		var f fault
		switch kind {
		case ws:
			f = t.ws(ctx, n, token)
		case sse:
			f = t.sse(ctx, n, token)
		default:
			f = t.poll(ctx, n, token)
		}
		t.of(n, func() { t.ended(f) })
	})
}

// fault is why a connection ended.
type fault struct {
	err    error
	status int
	code   string
	named  time.Duration
}

// ended decides what follows the end of a connection.
func (t *tiny) ended(f fault) {
	if t.lost {
		return
	}
	t.lost = true
	worked := t.alive
	t.end()
	t.socket = nil
	unauthorized := f.status == 401 || f.status == 4401
	switch {
	case unauthorized && t.defect == "401 loops":
	case unauthorized:
		t.cfg.Tokens = t.cfg.Tokens[1:]
		t.attempt()
		return
	case f.status == 4400:
		t.stop("4400")
		return
	case f.status == 1002 || f.status == 1003 || f.status == 1007 || f.status == 1009:
		for _, call := range t.calls {
			t.print("answer", map[string]any{"ref": call.ref, "ok": false, "code": "unknown"})
		}
		t.calls = nil
	case f.code == "epoch_changed":
		for name, s := range t.streams {
			t.reset(name, s, f.code)
		}
	case f.status >= 400 && f.status < 500 && f.status != 429:
		for name := range t.streams {
			t.print("revoked", map[string]any{"stream": name})
		}
		clear(t.streams)
		return
	}
	if !worked && t.level+1 < len(t.cfg.Transports) {
		t.level++
		t.attempt()
		return
	}
	t.level = 0
	wait := t.backoff()
	if f.named > 0 {
		wait = f.named
	}
	wait = max(wait, time.Until(t.away))
	if unauthorized || t.defect == "no wait" && f.named == 0 {
		wait = time.Until(t.away)
	} else {
		t.print("waiting", map[string]any{"wait_ms": float64(wait.Microseconds()) / 1000, "reason": fmt.Sprint(f)})
	}
	t.later(wait, t.attempt)
}

func (t *tiny) backoff() time.Duration {
	ceiling := t.scaled(min(30*time.Second, 500*time.Millisecond<<min(t.tries, 10)))
	t.tries++
	if t.defect == "no jitter" {
		return ceiling
	}
	return rand.N(ceiling + 1)
}

func (t *tiny) reset(name string, s *followed, reason string) {
	if t.defect == "epoch ignored" && reason == "epoch_changed" {
		return
	}
	s.from = "start"
	t.print("reset", map[string]any{"stream": name, "reason": reason})
}

// opened notes a sign of life.
func (t *tiny) opened(n int) {
	t.of(n, func() {
		if !t.alive {
			t.print("online", map[string]any{"transport": t.cfg.Transports[t.level]})
		}
		t.alive, t.asked = true, false
	})
}

func (t *tiny) ws(ctx context.Context, n int, token string) fault {
	c, res, err := websocket.Dial( //nolint:bodyclose // never needed
		ctx, t.cfg.URL+"/v1/realtime/ws", &websocket.DialOptions{
			HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}, Subprotocols: []string{"gotong.v1"}, HTTPClient: httpClient,
		})
	if err != nil {
		if res != nil {
			return failed(res)
		}
		return fault{err: err}
	}
	defer c.CloseNow() //nolint:errcheck // over
	c.SetReadLimit(16 << 20)
	for first := true; ; first = false {
		_, b, err := c.Read(ctx)
		if closed, ok := errors.AsType[websocket.CloseError](err); ok {
			_, ms, _ := strings.Cut(closed.Reason, "retry_after_ms ")
			named, _ := strconv.Atoi(ms)
			return fault{err: err, status: int(closed.Code), named: time.Duration(named) * time.Millisecond}
		}
		if err != nil {
			return fault{err: err}
		}
		t.opened(n)
		t.of(n, func() {
			if first {
				t.welcome(c, b)
				return
			}
			t.frame(b)
		})
	}
}

func (t *tiny) welcome(c *websocket.Conn, b []byte) {
	var f wire
	_ = json.Unmarshal(b, &f)
	t.socket, t.beat = c, time.Duration(f.HeartbeatMS)*time.Millisecond
	for name, s := range t.streams {
		t.subscribe(name, s)
	}
	for _, call := range t.calls {
		if t.defect == "request id renewed" && call.held {
			call.requestID = "r-" + t.id()
		}
		if t.defect == "data rewritten" && call.held {
			var v any
			_ = json.Unmarshal(call.data, &v)
			call.data, _ = json.Marshal(v)
		}
		t.submit(call)
	}
	t.watch()
}

// watch asks a silent server for a sign of life, and replaces the connection if
// none comes.
func (t *tiny) watch() {
	t.alive = false
	if t.defect == "silence unnoticed" {
		t.alive = true
		return
	}
	t.later(t.beat, func() {
		switch {
		case t.alive:
		case t.asked:
			t.ended(fault{err: errors.New("silent")})
			return
		default:
			t.write(map[string]any{"op": "ping", "id": "p"})
			t.watch()
			t.asked = true
			return
		}
		t.watch()
	})
}

func (t *tiny) write(f map[string]any) {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	_ = out.Encode(f)
	_ = t.socket.Write(t.ctx, websocket.MessageText, bytes.TrimSpace(b.Bytes()))
}

func (t *tiny) subscribe(name string, s *followed) {
	s.id, s.live = t.id(), false
	f := map[string]any{"op": "subscribe", "id": s.id, "stream": name}
	if s.from != "" {
		f["cursor"] = s.from
	}
	t.write(f)
}

func (t *tiny) submit(call *sent) {
	if call.held = true; t.socket != nil {
		t.write(map[string]any{"op": "command", "id": call.id, "request_id": call.requestID, "stream": call.stream, "type": call.kind, "data": call.data})
	}
}

// wire is a frame of the server.
type wire struct {
	Op           string `json:"op"`
	ID           string `json:"id"`
	Stream       string `json:"stream"`
	Cursor       string `json:"cursor"`
	From         uint64 `json:"from"`
	To           uint64 `json:"to"`
	Reason       string `json:"reason"`
	HeartbeatMS  int64  `json:"heartbeat_ms"`
	RetryAfterMS int64  `json:"retry_after_ms"`
	Problem      struct {
		Status       int    `json:"status"`
		Code         string `json:"code"`
		RetryAfterMS int64  `json:"retry_after_ms"`
	} `json:"problem"`
	Events []struct {
		Seq  uint64          `json:"seq"`
		Data json.RawMessage `json:"data"`
	} `json:"events"`
}

// frame handles one frame of any transport.
func (t *tiny) frame(b []byte) {
	var f wire
	if json.Unmarshal(b, &f) != nil {
		return
	}
	s := t.streams[f.Stream]
	call := slices.IndexFunc(t.calls, func(c *sent) bool { return c.id == f.ID })
	switch {
	case f.Op == "going_away":
		t.away = time.Now().Add(time.Duration(f.RetryAfterMS) * time.Millisecond)
	case call >= 0 && (f.Op == "ack" || f.Op == "error"):
		t.answered(call, f)
	case s == nil:
	case f.Op == "subscribed" && (t.socket == nil || f.ID == s.id):
		s.live, s.from = true, f.Cursor
	case f.Op == "events":
		t.events(f, s)
	case f.Op == "access_revoked":
		t.drop(f.Stream, "revoked", "")
	case f.Op == "resync_required" && f.Reason == "read_failed":
		t.later(t.backoff(), func() { t.changed(f.Stream) })
	case f.Op == "resync_required" || f.Op == "error" && f.Problem.Code == "epoch_changed":
		t.reset(f.Stream, s, f.Problem.Code+f.Reason)
		t.later(t.backoff(), func() { t.changed(f.Stream) })
	case f.Op == "error" && (f.Problem.Status < 500 || f.Problem.Code == "corrupt_event"):
		t.drop(f.Stream, "failed", f.Problem.Code)
	case f.Op == "error":
		t.later(t.backoff(), func() { t.changed(f.Stream) })
	}
}

func (t *tiny) drop(name, event, code string) {
	t.print(event, map[string]any{"stream": name, "code": code})
	delete(t.streams, name)
	if t.socket == nil {
		t.attempt()
	}
}

func (t *tiny) answered(i int, f wire) {
	call := t.calls[i]
	again := f.Problem.Status >= 500 || f.Problem.Status == 429 || f.Problem.Code == "request_in_progress"
	if f.Op == "error" && again {
		if t.defect == "request id renewed" {
			call.requestID = "r-" + t.id()
		}
		t.later(max(t.backoff(), time.Duration(f.Problem.RetryAfterMS)*time.Millisecond), func() { t.submit(call) })
		return
	}
	t.calls = slices.Delete(t.calls, i, i+1)
	t.print("answer", map[string]any{"ref": call.ref, "ok": f.Op == "ack", "code": f.Problem.Code})
}

func (t *tiny) events(f wire, s *followed) {
	at, err := gotong.ParseCursor(s.from)
	if err != nil || t.socket != nil && !s.live {
		return
	}
	if f.From > at.Seq && t.defect != "from ignored" {
		t.changed(f.Stream)
		s.live = false
		return
	}
	t.tries = 0
	for _, e := range f.Events {
		if e.Seq <= at.Seq && t.defect != "duplicates" {
			continue
		}
		before := at.String()
		if at.Seq = e.Seq; t.defect == "cursor before handler" {
			before = at.String()
		}
		t.print("event", map[string]any{"stream": f.Stream, "seq": e.Seq, "cursor": before, "data": e.Data})
	}
	at.Seq = max(at.Seq, f.To)
	s.from = at.String()
}

// httpClient follows no redirect.
var httpClient = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableKeepAlives: true},
}

func failed(res *http.Response) fault {
	f := fault{err: errors.New(res.Status), status: res.StatusCode}
	var p struct {
		Code string `json:"code"`
	}
	b, _ := io.ReadAll(res.Body)
	_ = json.Unmarshal(b, &p)
	f.code = p.Code
	if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		f.named = time.Duration(after) * time.Second
	}
	return f
}

// get sends a request over SSE or long-poll.
func (t *tiny) get(ctx context.Context, path, token string, q url.Values) (*http.Response, fault) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.cfg.URL+path+"?"+q.Encode(), http.NoBody)
	if err != nil {
		return nil, fault{err: err}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := httpClient.Do(req)
	if err != nil {
		return nil, fault{err: err}
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close() //nolint:errcheck // over
		return nil, failed(res)
	}
	return res, fault{}
}

// answer is the answer to a poll.
type answer struct {
	Cursor string            `json:"cursor"`
	Frames []json.RawMessage `json:"frames"`
}

func (t *tiny) ask(ctx context.Context, token string, q url.Values) (a answer, f fault) {
	res, f := t.get(ctx, "/v1/realtime/poll", token, q)
	if f.err != nil {
		return a, f
	}
	defer res.Body.Close() //nolint:errcheck // over
	f.err = json.NewDecoder(res.Body).Decode(&a)
	return a, f
}

// place finds the cursors of the streams that have none, and returns all.
func (t *tiny) place(ctx context.Context, n int, token string) (string, fault) {
	for {
		missing, from, cursors := "", "", []gotong.StreamCursor(nil)
		done := make(chan struct{})
		t.do(func() {
			defer close(done)
			for name, s := range t.streams {
				c, err := gotong.ParseCursor(s.from)
				if err != nil {
					missing, from = name, s.from
				}
				cursors = append(cursors, gotong.StreamCursor{Stream: gotong.Stream(name), Cursor: c})
			}
		})
		select {
		case <-done:
		case <-t.ctx.Done():
			return "", fault{err: t.ctx.Err()}
		}
		if len(cursors) == 0 {
			<-ctx.Done()
			return "", fault{err: ctx.Err()}
		}
		if missing == "" {
			return gotong.FormatCursors(cursors), fault{}
		}
		q := url.Values{"stream": {missing}, "wait": {"0s"}}
		if from != "" {
			q.Set("cursor", from)
		}
		a, f := t.ask(ctx, token, q)
		list, err := gotong.ParseCursors(a.Cursor)
		if f.err == nil {
			f.err = err
		}
		if f.err != nil {
			return "", f
		}
		if from == "start" {
			list[0].Cursor.Seq = 0
		}
		t.of(n, func() {
			if s := t.streams[missing]; s != nil {
				s.from = list[0].Cursor.String()
			}
		})
	}
}

func (t *tiny) sse(ctx context.Context, n int, token string) fault {
	cursor, f := t.place(ctx, n, token)
	if f.err != nil {
		return f
	}
	res, f := t.get(ctx, "/v1/realtime/sse", token, url.Values{"cursor": {cursor}})
	if f.err != nil {
		return f
	}
	defer res.Body.Close() //nolint:errcheck // over
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return fault{err: errors.New("no event stream")}
	}
	read := bufio.NewReader(&crlf{r: bufio.NewReader(res.Body)})
	silent := t.scaled(60 * time.Second)
	if t.defect == "silence unnoticed" {
		silent = time.Hour
	}
	watch := time.AfterFunc(silent, func() { _ = res.Body.Close() })
	defer watch.Stop()
	data := ""
	for {
		line, err := read.ReadString('\n')
		if err != nil {
			return fault{err: err}
		}
		watch.Reset(silent)
		line = strings.TrimSuffix(line, "\n")
		if field, value, _ := strings.Cut(line, ":"); field == "data" {
			data += strings.TrimPrefix(value, " ") + "\n"
		}
		if line == "" && data != "" {
			b := []byte(data)
			data = ""
			t.opened(n)
			t.of(n, func() { t.frame(b) })
		}
	}
}

// crlf reads CR and CR LF as LF, each as soon as it is complete.
type crlf struct {
	r  *bufio.Reader
	cr bool
}

func (c *crlf) Read(p []byte) (int, error) {
	for {
		b, err := c.r.ReadByte()
		if err != nil {
			return 0, err
		}
		skip := c.cr && b == '\n'
		if c.cr = b == '\r'; c.cr {
			b = '\n'
		}
		if !skip {
			p[0] = b
			return 1, nil
		}
	}
}

func (t *tiny) poll(ctx context.Context, n int, token string) fault {
	for {
		cursor, f := t.place(ctx, n, token)
		if f.err != nil {
			return f
		}
		wait := t.scaled(25 * time.Second)
		limit := t.scaled(45 * time.Second)
		if t.defect == "silence unnoticed" {
			limit = time.Hour
		}
		limited, cancel := context.WithTimeout(ctx, limit)
		early := time.AfterFunc(wait/2, func() {})
		a, f := t.ask(limited, token, url.Values{"cursor": {cursor}, "wait": {wait.String()}})
		cancel()
		if f.err != nil {
			return f
		}
		if early.Stop() && len(a.Frames) == 0 {
			return fault{err: errors.New("an empty answer too early")}
		}
		t.opened(n)
		done := make(chan struct{})
		t.do(func() {
			defer close(done)
			for _, frame := range a.Frames {
				if n == t.conn {
					t.frame(frame)
				}
			}
			if n == t.conn && time.Until(t.away) > 0 {
				t.ended(fault{err: errors.New("going away")})
			}
		})
		select {
		case <-done:
		case <-ctx.Done():
			return fault{err: ctx.Err()}
		}
	}
}
