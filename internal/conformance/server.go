package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/netfault"
)

// The kinds of requests.
const (
	ws     = "websocket"
	sse    = "sse"
	poll   = "poll"
	ticket = "ticket"
)

// attempt is one request of the client, which waits for its answer.
type attempt struct {
	server *server
	n      int
	at     time.Time
	kind   string
	token  string // in the header, or behind the ticket; "" if the first frame has to bring it
	w      http.ResponseWriter
	r      *http.Request
	conn   net.Conn
	once   sync.Once
	done   chan struct{} // closed when the script has finished with it
}

// finish ends the request.
func (a *attempt) finish() { a.once.Do(func() { close(a.done) }) }

// cut closes the connection under the request.
func (a *attempt) cut() {
	a.server.note("%s #%d: the server closes the connection without a word", a.kind, a.n)
	_ = a.conn.Close()
	a.finish()
}

// refusal is an answer that is not a success of the protocol.
type refusal struct {
	status int
	header []string // names and values in turn
	body   string
}

// problem returns the refusal that the server of this protocol sends.
func problem(status int, code string, header ...string) refusal {
	header = append(header, "Content-Type", "application/problem+json")
	return refusal{status, header, problemJSON(status, code)}
}

func problemJSON(status int, code string) string {
	return fmt.Sprintf(`{"type":"/problems/%s","title":"%s","status":%d,"code":"%s","detail":"By the script of this case.","trace_id":"c0"}`,
		code, code, status, code)
}

// refuse answers an attempt. Status 0 closes the connection without a byte.
func (a *attempt) refuse(f refusal) {
	if f.status == 0 {
		a.cut()
		return
	}
	a.server.note("%s #%d: ← %d %.120s", a.kind, a.n, f.status, strings.Join(append(f.header, f.body), " "))
	for i := 0; i+1 < len(f.header); i += 2 {
		a.w.Header().Set(f.header[i], f.header[i+1])
	}
	a.w.WriteHeader(f.status)
	_, _ = io.WriteString(a.w, f.body)
	a.finish()
}

// server is the HTTP server of one case. It has a log of events for each stream.
type server struct {
	ctx   context.Context //nolint:containedctx // of the case, which the server is for
	proxy *netfault.Proxy
	http  *http.Server
	group sync.WaitGroup
	mail  chan item
	notes *transcript
	epoch string

	mu       sync.Mutex
	attempts int
	tickets  map[string]string // to tokens
	standing func(*attempt) *refusal
	honest   string // kinds that are served without the script
	logs     map[string][]string
	grown    chan struct{} // closed when a log grows
}

func serve(ctx context.Context, mail chan item, notes *transcript) (*server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{
		ctx: ctx, mail: mail, notes: notes, epoch: "k3f9", tickets: map[string]string{},
		logs: map[string][]string{}, grown: make(chan struct{}),
	}
	type key struct{}
	s.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _ := r.Context().Value(key{}).(net.Conn)
			s.handle(&attempt{server: s, w: w, r: r, conn: conn, done: make(chan struct{})})
		}),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) },
		ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	s.group.Go(func() { _ = s.http.Serve(listener) })
	if s.proxy, err = netfault.Start(ctx, listener.Addr().String()); err != nil {
		_ = s.http.Close()
		s.group.Wait()
		return nil, err
	}
	return s, nil
}

// close ends every connection and waits for what serves them.
func (s *server) close() {
	s.proxy.Close()
	_ = s.http.Close()
	s.group.Wait()
}

func (s *server) note(format string, args ...any) { s.notes.add(format, args...) }

// handle receives a request and waits until it is answered.
func (s *server) handle(a *attempt) {
	s.group.Add(1)
	defer s.group.Done()
	s.identify(a)
	s.mu.Lock()
	var refused *refusal
	if s.standing != nil {
		refused = s.standing(a)
	}
	honest := strings.Contains(s.honest, a.kind)
	s.mu.Unlock()
	switch {
	case refused != nil:
		s.deliver(item{refused: a})
		a.refuse(*refused)
	case a.kind == ticket:
		s.issue(a)
	case a.kind == poll && (honest || a.r.URL.Query().Get("wait") == "0s" || a.r.URL.Query().Get("wait") == "0"):
		a.serve()
	case a.kind == sse && honest:
		a.serve()
	case a.kind == "":
		a.refuse(problem(http.StatusNotFound, "not_found"))
	default:
		s.deliver(item{attempt: a})
		select {
		case <-a.done:
		case <-s.ctx.Done():
		}
	}
}

// identify finds out what a request wants, and who sends it.
func (s *server) identify(a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	a.n, a.at = s.attempts, time.Now()
	a.kind = map[string]string{
		"GET /v1/realtime/ws": ws, "GET /v1/realtime/sse": sse, "GET /v1/realtime/poll": poll, "POST /v1/realtime/tickets": ticket,
	}[a.r.Method+" "+a.r.URL.Path]
	a.token = strings.TrimPrefix(a.r.Header.Get("Authorization"), "Bearer ")
	if spent := a.r.URL.Query().Get("ticket"); a.token == "" && spent != "" {
		a.token = s.tickets[spent]
		delete(s.tickets, spent)
	}
	s.note("%s #%d: → %s %s token=%s Last-Event-ID=%s", a.kind, a.n, a.r.Method, a.r.URL, a.token, a.r.Header.Get("Last-Event-ID"))
}

// issue answers a request for a ticket.
func (s *server) issue(a *attempt) {
	s.mu.Lock()
	name := "ticket-" + strconv.Itoa(a.n)
	s.tickets[name] = a.token
	s.mu.Unlock()
	a.refuse(refusal{http.StatusCreated, []string{"Content-Type", "application/json"},
		fmt.Sprintf(`{"ticket":%q,"expires_at_ms":%d}`, name, time.Now().Add(time.Minute).UnixMilli())})
}

// deliver puts something into the script's mail.
func (s *server) deliver(i item) {
	select {
	case s.mail <- i:
	case <-s.ctx.Done():
	}
}

// write appends n messages to the log of a stream.
func (s *server) write(stream string, n int) {
	for range n {
		s.writeData(stream, fmt.Sprintf(`{"n":%d,"body":"message"}`, s.head(stream)+1))
	}
}

// writeData appends one message with this data.
func (s *server) writeData(stream, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq := len(s.logs[stream]) + 1
	s.logs[stream] = append(s.logs[stream], fmt.Sprintf(`{"seq":%d,"id":"01a20890-80c6-7618-bf0e-%012x","type":"message.posted",`+
		`"at":"2026-11-23T13:20:17.606381Z","actor":{"user_id":"9f106dba-f250-8cd2-a773-9cffeca8166f","name":"Pak.Joko","role":"user"},`+
		`"data":%s,"chain":"%064x"}`, seq, seq, data, seq))
	close(s.grown)
	s.grown = make(chan struct{})
}

func (s *server) head(stream string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.logs[stream])
}

// frame returns the events frame with from < seq <= to.
func (s *server) frame(stream string, from, to int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf(`{"op":"events","stream":%q,"from":%d,"to":%d,"events":[%s]}`, stream, from, to, strings.Join(s.logs[stream][from:to], ","))
}

// position is a stream of an SSE or poll request, and where the request continues.
type position struct {
	stream string
	from   int
	epoch  string
}

// positions returns the streams of a request: those in the cursor, then those
// named. The error is a fault of the client.
func (a *attempt) positions() ([]*position, error) {
	q := a.r.URL.Query()
	text := q.Get("cursor")
	if last := a.r.Header.Get("Last-Event-ID"); last != "" && a.kind == sse {
		text = last
	}
	var list []*position
	if text != "" && text != "start" {
		cursors, err := gotong.ParseCursors(text)
		if err != nil {
			return nil, fmt.Errorf("the cursor %q of an %s request is malformed", text, a.kind)
		}
		for _, c := range cursors {
			list = append(list, &position{string(c.Stream), int(c.Cursor.Seq), string(c.Cursor.Epoch)}) //nolint:gosec // the script's own, or wrong
		}
	}
named:
	for _, name := range q["stream"] {
		for _, p := range list {
			if p.stream == name {
				continue named
			}
		}
		p := &position{name, a.server.head(name), a.server.epoch}
		if text == "start" {
			p.from = 0
		}
		list = append(list, p)
	}
	return list, nil
}

// cursorText returns the cursor of an answer.
func (a *attempt) cursorText(list []*position) string {
	var cursors []gotong.StreamCursor
	for _, p := range list {
		//nolint:gosec // the script's own numbers
		cursors = append(cursors, gotong.StreamCursor{Stream: gotong.Stream(p.stream), Cursor: gotong.Cursor{Epoch: gotong.Epoch(p.epoch), Seq: uint64(p.from)}})
	}
	return gotong.FormatCursors(cursors)
}

// fresh returns the frames after the positions, and moves them.
func (a *attempt) fresh(list []*position) []string {
	var frames []string
	for _, p := range list {
		if head := a.server.head(p.stream); head > p.from {
			frames = append(frames, a.server.frame(p.stream, p.from, head))
			p.from = head
		}
	}
	return frames
}

// serve answers an SSE or poll request as the protocol says.
func (a *attempt) serve() {
	defer a.finish()
	list, err := a.positions()
	if err != nil || len(list) == 0 {
		a.refuse(problem(http.StatusBadRequest, "cursor_invalid"))
		return
	}
	if a.kind == sse {
		out := a.stream(list)
		for out.subscribed() && out.waits() {
		}
		return
	}
	a.server.mu.Lock()
	grown := a.server.grown
	a.server.mu.Unlock()
	frames := a.fresh(list)
	if wait, _ := time.ParseDuration(a.r.URL.Query().Get("wait")); len(frames) == 0 && wait > 0 {
		select {
		case <-grown:
		case <-a.r.Context().Done():
		case <-a.server.ctx.Done():
		case <-time.After(pollHold):
		}
		frames = a.fresh(list)
	}
	a.answer(list, frames...)
}

// pollHold is the time after which an honest poll is answered without a frame.
const pollHold = 500 * time.Millisecond

// answer answers a poll.
func (a *attempt) answer(list []*position, frames ...string) {
	text, _ := json.Marshal(a.cursorText(list))
	a.refuse(refusal{http.StatusOK, []string{"Content-Type", "application/json"},
		fmt.Sprintf(`{"cursor":%s,"frames":[%s]}`, text, strings.Join(frames, ","))})
}

// stream is the answer to an SSE request.
type stream struct {
	*attempt
	list []*position
}

// stream begins the answer to an SSE request.
func (a *attempt) stream(list []*position) *stream {
	a.w.Header().Set("Content-Type", "text/event-stream")
	a.w.WriteHeader(http.StatusOK)
	out := &stream{a, list}
	out.raw("retry: 1000\n\n")
	for _, p := range list {
		out.frame(fmt.Sprintf(`{"op":"subscribed","stream":%q,"cursor":"%s:%d","head":%d}`, p.stream, p.epoch, p.from, a.server.head(p.stream)))
	}
	return out
}

// raw writes bytes of the response. It returns false if the client has left.
func (o *stream) raw(text string) bool {
	o.server.note("sse #%d: ← %.300q", o.n, text)
	_, err := io.WriteString(o.w, text)
	return err == nil && http.NewResponseController(o.w).Flush() == nil
}

// frame sends a frame with the cursor after it.
func (o *stream) frame(frame string) bool {
	return o.raw(o.event(frame))
}

func (o *stream) event(frame string) string {
	return "id: " + o.cursorText(o.list) + "\ndata: " + frame + "\n\n"
}

// subscribed sends the events after the positions.
func (o *stream) subscribed() bool {
	for _, frame := range o.fresh(o.list) {
		if !o.frame(frame) {
			return false
		}
	}
	return true
}

// waits waits until there may be more events.
func (o *stream) waits() bool {
	o.server.mu.Lock()
	grown := o.server.grown
	o.server.mu.Unlock()
	for _, p := range o.list {
		if o.server.head(p.stream) > p.from {
			return true
		}
	}
	select {
	case <-grown:
		return true
	case <-o.r.Context().Done():
	case <-o.server.ctx.Done():
	}
	return false
}
