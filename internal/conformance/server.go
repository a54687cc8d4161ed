package conformance

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

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
	a.server.notef("%s #%d: the server closes the connection", a.kind, a.n)
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
	return fmt.Sprintf(`{"type":"/problems/%s","title":%q,"status":%d,"code":%q,"detail":"By the script of this case."}`,
		code, code, status, code)
}

// refuse answers an attempt. Status 0 closes the connection without a byte, 101
// after an upgrade.
func (a *attempt) refuse(f refusal) {
	if f.status == http.StatusSwitchingProtocols {
		_, _ = websocket.Accept(a.w, a.r, &websocket.AcceptOptions{Subprotocols: []string{"gotong.v1"}, InsecureSkipVerify: true})
	}
	if f.status == 0 || f.status == http.StatusSwitchingProtocols {
		a.cut()
		return
	}
	a.server.notef("%s #%d ← %d %.120s", a.kind, a.n, f.status, strings.Join(append(f.header, f.body), " "))
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
	mail  *mail
	over  chan struct{} // closed when the script is over
	notes *transcript
	epoch string

	mu       sync.Mutex
	attempts int
	tickets  map[string]string // to tokens
	standing func(*attempt) *refusal
	honest   []string // kinds that are served without the script
	logs     map[string][]string
	shown    map[string]int // the seq up to which the script has sent events
	grown    chan struct{}  // closed when a log grows
}

func serve(ctx context.Context, mail *mail, notes *transcript) (*server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{ctx: ctx, mail: mail, notes: notes, over: make(chan struct{}), tickets: map[string]string{}, grown: make(chan struct{})}
	s.begin("k3f9")
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
	close(s.over)
	s.proxy.Close()
	_ = s.http.Close()
	s.group.Wait()
}

// begin begins a history of this epoch without events.
func (s *server) begin(epoch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch, s.logs, s.shown = epoch, map[string][]string{}, map[string]int{}
}

// era returns the epoch.
func (s *server) era() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// stand sets the refusals that need no script; nil is none.
func (s *server) stand(refuse func(*attempt) *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standing = refuse
}

// trust serves these kinds of requests without the script.
func (s *server) trust(kinds []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.honest = kinds
}

func (s *server) notef(format string, args ...any) { s.notes.addf(format, args...) }

// handle receives a request and waits until it is answered. Tickets, polls that do
// not wait, and honest kinds are served without the script.
func (s *server) handle(a *attempt) {
	s.identify(a)
	wait, err := time.ParseDuration(a.r.URL.Query().Get("wait"))
	s.mu.Lock()
	standing := s.standing
	honest := slices.Contains(s.honest, a.kind) || a.kind == poll && err == nil && wait == 0
	s.mu.Unlock()
	var refused *refusal
	if standing != nil {
		refused = standing(a)
	}
	switch {
	case refused != nil:
		s.mail.put(item{refused: a})
		a.refuse(*refused)
	case a.kind == ticket:
		s.issue(a)
	case honest, a.missed():
		a.serve()
	case a.r.URL.Path == "/elsewhere":
		a.refuse(oddities["redirect"])
	case a.kind == "":
		a.refuse(problem(http.StatusNotFound, "not_found"))
	default:
		s.mail.put(item{attempt: a})
		select {
		case <-a.done:
		case <-s.over: // not the end of the context: the script may be writing
		}
	}
}

// missed reports whether a poll continues before what the script has sent: the
// client gave up the request that was answered with it.
func (a *attempt) missed() bool {
	list, err := a.positions()
	return a.kind == poll && err == nil && slices.ContainsFunc(list, func(at *position) bool {
		return at.epoch == a.server.era() && at.from < a.visible(at.stream)
	})
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
	s.notef("%s #%d → %s %s token=%s Last-Event-ID=%s", a.kind, a.n, a.r.Method, a.r.URL, a.token, a.r.Header.Get("Last-Event-ID"))
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

// write appends a message with this data to the log of a stream.
func (s *server) write(stream, data string) {
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

// events returns the frame with from < seq <= to.
func (s *server) events(stream string, from, to int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := strings.Join(s.logs[stream][from:to], ",")
	return fmt.Sprintf(`{"op":"events","stream":%q,"from":%d,"to":%d,"events":[%s]}`, stream, from, to, list)
}

// position is a stream of an SSE or poll request, and where the request continues.
type position struct {
	stream string
	from   int
	epoch  string
}

// move sets the position of a stream; "" moves none, and a seq of -1 removes it.
func move(list []*position, stream string, seq int) {
	for _, at := range list {
		if at.stream == stream {
			at.from = seq
		}
	}
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
	seen := map[string]bool{}
	if text != "" && text != "start" {
		cursors, err := gotong.ParseCursors(text)
		if err != nil {
			return nil, fmt.Errorf("the cursor %q of a request over %s is malformed", text, a.kind)
		}
		for _, c := range cursors {
			seen[string(c.Stream)] = true
			seq := int(c.Cursor.Seq) //nolint:gosec // the script's own, or wrong
			list = append(list, &position{string(c.Stream), seq, string(c.Cursor.Epoch)})
		}
	}
	for _, name := range q["stream"] {
		at := &position{stream: name, epoch: a.server.era()}
		if text != "start" {
			at.from = a.server.head(name)
		}
		if !seen[name] {
			list = append(list, at)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("a request over %s names no stream", a.kind)
	}
	return list, nil
}

// cursorText returns the cursor of an answer.
func cursorText(list []*position) string {
	var cursors []gotong.StreamCursor
	for _, at := range list {
		if at.from >= 0 {
			cursor := gotong.Cursor{Epoch: gotong.Epoch(at.epoch), Seq: uint64(at.from)}
			cursors = append(cursors, gotong.StreamCursor{Stream: gotong.Stream(at.stream), Cursor: cursor})
		}
	}
	return gotong.FormatCursors(cursors)
}

// show records that the script has sent events up to a seq. Polls that do not wait
// get no later ones, as if these had not happened yet.
func (s *server) show(stream string, from, to int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from <= s.shown[stream] {
		s.shown[stream] = max(s.shown[stream], to)
	}
}

// visible returns the seq up to which a request that needs no script gets events.
func (a *attempt) visible(stream string) int {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	if slices.Contains(a.server.honest, a.kind) {
		return len(a.server.logs[stream])
	}
	return a.server.shown[stream]
}

// fresh returns the frames after the positions, and moves them.
func (a *attempt) fresh(list []*position) []string {
	var frames []string
	for _, at := range list {
		if head := a.visible(at.stream); head > at.from {
			frames = append(frames, a.server.events(at.stream, at.from, head))
			at.from = head
		}
	}
	return frames
}

// comments is the interval of comments of an SSE response that needs no script.
const comments = 200 * time.Millisecond

// serve answers an SSE or poll request as the protocol says.
func (a *attempt) serve() {
	list, err := a.positions()
	if err != nil {
		a.refuse(problem(http.StatusBadRequest, "cursor_invalid"))
		return
	}
	defer a.finish()
	var out *stream
	if a.kind == sse {
		out = a.stream(list)
	}
	wait, _ := time.ParseDuration(a.r.URL.Query().Get("wait"))
	if out != nil {
		wait = comments
	}
	for over := false; ; {
		a.server.mu.Lock()
		grown := a.server.grown
		a.server.mu.Unlock()
		frames := a.fresh(list)
		if out == nil && (len(frames) > 0 || wait == 0 || over) {
			a.refuse(answerJSON(fmt.Sprintf(`{"cursor":%q,"frames":[%s]}`, cursorText(list), strings.Join(frames, ","))))
			return
		}
		if over {
			return
		}
		for _, frame := range frames {
			out.send(frame, "", 0)
		}
		select {
		case <-grown:
		case <-time.After(wait):
			over = out == nil || !out.raw(": still here\n\n")
		case <-a.r.Context().Done():
			return
		case <-a.server.ctx.Done():
			return
		}
	}
}
