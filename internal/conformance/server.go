package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
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
	token  string                // in the header, or behind the ticket; "" if the first frame has to bring it
	list   []gotong.StreamCursor // of SSE and polls: the streams, and where each continues
	fault  error                 // of the client, if list cannot be read
	w      http.ResponseWriter
	r      *http.Request
	conn   net.Conn
	once   sync.Once
	done   chan struct{} // closed when the script has finished with it
}

func (a *attempt) request() *attempt { return a }

// finish ends the request.
func (a *attempt) finish() { a.once.Do(func() { close(a.done) }) }

// cut closes the connection under the request.
func (a *attempt) cut() {
	a.server.notef("%s #%d: the server closes the connection", a.kind, a.n)
	_ = a.conn.Close()
	a.finish()
}

// server is the HTTP server of one case. It has a log of events for each stream.
type server struct {
	*transcript
	ctx   context.Context //nolint:containedctx // of the case, which the server is for
	proxy *netfault.Proxy
	http  *http.Server
	group sync.WaitGroup
	mail  mail
	over  chan struct{} // closed when the script is over
	epoch string        // written by the script alone

	mu       sync.Mutex
	attempts int
	tickets  map[string]string // to tokens
	standing func(*attempt) *refusal
	honest   []string // kinds that are served without the script
	calls    bool     // the script waits for requests of REST; others get 404
	logs     map[string][]string
	shown    map[string]int // the seq up to which the script has sent events
	files    *files         // nil: none are served
	grown    chan struct{}  // closed when a log grows
}

func serve(ctx context.Context, mail mail, notes *transcript, script ...string) (*server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{transcript: notes, ctx: ctx, mail: mail, tickets: map[string]string{}}
	s.over, s.grown = make(chan struct{}), make(chan struct{})
	s.calls = slices.ContainsFunc(script, func(step string) bool { return strings.HasPrefix(step, "call ") })
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

func (s *server) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// begin begins a history of this epoch without events.
func (s *server) begin(epoch string) {
	s.locked(func() { s.epoch, s.logs, s.shown = epoch, map[string][]string{}, map[string]int{} })
}

// handle receives a request and waits until it is answered. Tickets, polls that do
// not wait, and honest kinds are served without the script.
func (s *server) handle(a *attempt) {
	s.identify(a)
	wait, err := time.ParseDuration(a.r.URL.Query().Get("wait"))
	s.mu.Lock()
	standing := s.standing
	honest := slices.Contains(s.honest, a.kind) || a.kind == poll && (err == nil && wait == 0 || s.missed(a))
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
	case honest:
		a.serve()
	case a.kind == rest && strings.HasPrefix(a.r.URL.Path, filePath):
		s.file(a)
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
func (s *server) missed(a *attempt) bool {
	return slices.ContainsFunc(a.list, func(at gotong.StreamCursor) bool {
		seq := int(at.Cursor.Seq) //nolint:gosec // the script's own, or wrong
		return string(at.Cursor.Epoch) == s.epoch && seq < s.shown[string(at.Stream)]
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
	switch p := a.r.URL.Path; {
	case strings.HasPrefix(p, filePath) && s.files != nil, strings.HasPrefix(p, chatPath) && !strings.HasPrefix(p, filePath) && s.calls:
		a.kind = rest
	}
	a.token = strings.TrimPrefix(a.r.Header.Get("Authorization"), "Bearer ")
	if spent := a.r.URL.Query().Get("ticket"); a.token == "" && spent != "" {
		a.token = s.tickets[spent]
		delete(s.tickets, spent)
	}
	if a.kind == sse || a.kind == poll {
		s.locate(a)
	}
	s.notef("%s #%d → %s %s token=%s Last-Event-ID=%s", a.kind, a.n, a.r.Method, a.r.URL, a.token, a.r.Header.Get("Last-Event-ID"))
}

// locate reads the streams of a request: those in the cursor, then those named.
func (s *server) locate(a *attempt) {
	q := a.r.URL.Query()
	text := q.Get("cursor")
	if last := a.r.Header.Get("Last-Event-ID"); last != "" && a.kind == sse {
		text = last
	}
	if text != "" && text != "start" {
		if a.list, a.fault = gotong.ParseCursors(text); a.fault != nil {
			a.fault = fmt.Errorf("the cursor %q of a request over %s is malformed", text, a.kind)
			return
		}
	}
	for _, name := range q["stream"] {
		at := gotong.StreamCursor{Stream: gotong.Stream(name), Cursor: gotong.Cursor{Epoch: gotong.Epoch(s.epoch)}}
		if text != "start" {
			at.Cursor.Seq = uint64(len(s.logs[name]))
		}
		if !slices.ContainsFunc(a.list, func(c gotong.StreamCursor) bool { return c.Stream == at.Stream }) {
			a.list = append(a.list, at)
		}
	}
	if len(a.list) == 0 {
		a.fault = fmt.Errorf("a request over %s names no stream", a.kind)
	}
}

// move sets the position of a stream and returns the cursor of an answer; "" moves
// none, and a seq of -1 removes the stream.
func (a *attempt) move(stream string, seq int) string {
	for i := range a.list {
		if string(a.list[i].Stream) == stream {
			a.list[i].Cursor.Seq = uint64(max(seq, 0))
		}
	}
	if seq < 0 {
		a.list = slices.DeleteFunc(a.list, func(at gotong.StreamCursor) bool { return string(at.Stream) == stream })
	}
	return gotong.FormatCursors(a.list)
}

// issue answers a request for a ticket.
func (s *server) issue(a *attempt) {
	name := fmt.Sprintf("ticket-%d", a.n)
	s.locked(func() { s.tickets[name] = a.token })
	f := answerJSON(fmt.Sprintf(`{"ticket":%q,"expires_at_ms":%d}`, name, time.Now().Add(time.Minute).UnixMilli()))
	f.status = http.StatusCreated
	a.refuse(f)
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

func (s *server) head(stream string) (head int) {
	s.locked(func() { head = len(s.logs[stream]) })
	return head
}

// body returns the body of a message.
func (s *server) body(stream string, seq int) string {
	var e struct {
		Data json.RawMessage `json:"data"`
	}
	s.locked(func() { _ = json.Unmarshal([]byte(s.logs[stream][seq-1]), &e) })
	return body(e.Data)
}

// events returns the frame with from < seq <= to.
func (s *server) events(stream string, from, to int) (frame string) {
	s.locked(func() {
		list := strings.Join(s.logs[stream][from:to], ",")
		frame = fmt.Sprintf(`{"op":"events","stream":%q,"from":%d,"to":%d,"events":[%s]}`, stream, from, to, list)
	})
	return frame
}

// show records that the script has sent events up to a seq. Polls that do not wait
// get no later ones, as if these had not happened yet.
func (s *server) show(stream string, from, to int) {
	s.locked(func() {
		if from <= s.shown[stream] {
			s.shown[stream] = max(s.shown[stream], to)
		}
	})
}

// fresh returns the frames after the positions, and moves them. It also returns
// what is closed when a log grows.
func (a *attempt) fresh() (frames []string, grown chan struct{}) {
	for _, at := range a.list {
		stream, from, to := string(at.Stream), int(at.Cursor.Seq), 0 //nolint:gosec // the script's own, or wrong
		a.server.locked(func() {
			to, grown = a.server.shown[stream], a.server.grown
			if slices.Contains(a.server.honest, a.kind) {
				to = len(a.server.logs[stream])
			}
		})
		if to > from {
			frames = append(frames, a.server.events(stream, from, to))
			a.move(stream, to)
		}
	}
	return frames, grown
}

// comments is the interval of comments of an SSE response that needs no script.
const comments = 200 * time.Millisecond

// serve answers an SSE or poll request as the protocol says.
func (a *attempt) serve() {
	if a.fault != nil {
		a.refuse(problem(http.StatusBadRequest, "cursor_invalid"))
		return
	}
	defer a.finish()
	wait, _ := time.ParseDuration(a.r.URL.Query().Get("wait"))
	var out *stream
	if a.kind == sse {
		out, wait = a.stream(), comments
	}
	for over := wait == 0; ; {
		frames, grown := a.fresh()
		if out == nil && (len(frames) > 0 || over) {
			a.refuse(answerJSON(pollAnswer(gotong.FormatCursors(a.list), strings.Join(frames, ","))))
			return
		}
		for _, frame := range frames {
			out.raw(string(out.encode(frame, "", 0)))
		}
		select {
		case <-grown:
		case <-time.After(wait):
			if over = out == nil; !over {
				out.raw(": still here\n\n")
			}
		case <-a.r.Context().Done():
			return
		case <-a.server.ctx.Done():
			return
		}
	}
}
