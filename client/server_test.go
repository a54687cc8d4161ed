package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// The test server speaks gotong.v1 from a scripted log, over a network in
// memory. It keeps the server's half of the contract except for the faults that
// a test sets.
type server struct {
	epoch gotong.Epoch
	http  *http.Server
	line  *line
	done  chan struct{}

	mu           sync.Mutex
	rand         *rand.Rand
	logs         map[gotong.Stream][]client.Event
	grown        chan struct{} // closed and made anew when a log grows
	acked        map[string]gotong.Receipt
	bodies       map[string]string // of commands, by request id
	subs         map[string]int    // subscribe frames and requests, by transport
	sockets      int
	received     int // commands of this second
	limited      int // commands answered with 429
	second       time.Time
	unsubscribed int
	tokens       map[string]bool // nil: any will do
	revoked      map[gotong.Stream]bool
	hidden       func(seq uint64) bool
	damaged      map[gotong.Stream]uint64 // the seq that cannot be served
	faults       faults
	requests     []string
}

// faults are what goes wrong, each with a chance of one in n; 0 is never.
type faults struct {
	refuse     map[client.Transport]int // answer with this status
	duplicate  int                      // a frame begins before the cursor
	gap        int                      // a frame begins beyond it
	unread     int                      // a stream could not be read and ends
	away       int                      // going_away after a frame
	awayMS     int
	closeCode  int // a close code other than those below after a frame
	closeWith  websocket.StatusCode
	closeText  string
	loseAck    int  // a command commits and its ack is lost with the connection
	noAnswer   bool // commands get no answer
	perSecond  int  // commands beyond so many in a second are answered with 429
	busy       int  // a command is answered with 503
	silentWS   bool
	commandErr map[string]int // status by request id
}

func newServer(seed uint64) *server {
	s := &server{
		epoch: "k3f9", line: newLine(), done: make(chan struct{}),
		rand: rand.New(rand.NewPCG(seed, 1)),
		logs: map[gotong.Stream][]client.Event{}, grown: make(chan struct{}),
		acked: map[string]gotong.Receipt{}, bodies: map[string]string{}, subs: map[string]int{},
		revoked: map[gotong.Stream]bool{}, hidden: func(uint64) bool { return false },
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/realtime/ws", s.serveWS)
	mux.HandleFunc("GET /v1/realtime/sse", s.serveSSE)
	mux.HandleFunc("GET /v1/realtime/poll", s.servePoll)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(s.line)
	}()
	return s
}

func (s *server) stop() {
	s.line.cutAll()
	_ = s.http.Close()
	<-s.done
}

// chance is one in n.
func (s *server) chance(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return n > 0 && s.rand.IntN(n) == 0
}

// append writes n events to a stream.
func (s *server) append(stream gotong.Stream, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		seq := uint64(len(s.logs[stream]) + 1)
		s.logs[stream] = append(s.logs[stream], client.Event{
			Seq: seq, ID: gotong.NewEventID(gotong.Instant(seq)*1e6, seq), Type: "message.posted",
			At: gotong.Instant(seq) * 1e6, Actor: client.Actor{UserID: "u1", Role: "user"},
			Data: json.RawMessage(fmt.Sprintf(`{"body":"%s number %d"}`, stream.ID(), seq)),
		})
	}
	close(s.grown)
	s.grown = make(chan struct{})
}

// errDamaged is the answer where an event cannot be served.
var errDamaged = gotong.NewError(gotong.CodeCorruptEvent, "Damaged.")

func (s *server) revoke(stream gotong.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[stream] = true
	close(s.grown)
	s.grown = make(chan struct{})
}

// position is where one subscription stands.
type position struct {
	stream gotong.Stream
	at     uint64
	over   atomic.Bool // the server ended it
}

// start reads a cursor; a problem is what a server would answer.
func (s *server) start(stream gotong.Stream, cursor string) (uint64, *gotong.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, ok := s.logs[stream]
	switch {
	case !ok || s.revoked[stream]:
		return 0, gotong.NotFound()
	case cursor == "":
		return uint64(len(events)), nil
	case cursor == "start":
		return 0, nil
	}
	c, err := gotong.ParseCursor(cursor)
	if err == nil {
		err = c.Check(s.epoch, uint64(len(events)))
	}
	if err == nil && c.Seq+1 == s.damaged[stream] {
		err = errDamaged
	}
	var problem *gotong.Error
	errors.As(err, &problem)
	return c.Seq, problem
}

// next is the next frame of a subscription, or "", and whether it ended; wait
// is closed when there may be more.
func (s *server) next(p *position) (frame string, ended bool, wait chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.logs[p.stream]
	head := uint64(len(events))
	if s.revoked[p.stream] {
		return fmt.Sprintf(`{"op":"access_revoked","stream":%q}`, p.stream), true, s.grown
	}
	if p.at >= head {
		return "", false, s.grown
	}
	if n := s.faults.unread; n > 0 && s.rand.IntN(n) == 0 {
		return fmt.Sprintf(`{"op":"resync_required","stream":%q,"reason":"read_failed"}`, p.stream), true, s.grown
	}
	from, to := p.at, min(head, p.at+1+s.rand.Uint64N(4))
	if bad := s.damaged[p.stream]; bad == p.at+1 {
		return fmt.Sprintf(`{"op":"error","stream":%q,"problem":%s}`, p.stream, problemJSON(500, errDamaged)), true, s.grown
	} else if bad > from {
		to = min(to, bad-1)
	}
	if n := s.faults.duplicate; n > 0 && s.rand.IntN(n) == 0 {
		from -= min(from, s.rand.Uint64N(5))
	}
	if n := s.faults.gap; n > 0 && s.rand.IntN(n) == 0 && to < head {
		from, to = from+1, to+1
	}
	p.at = to
	return s.frame(p.stream, from, to), false, s.grown
}

func (s *server) frame(stream gotong.Stream, from, to uint64) string {
	list := []client.Event{}
	for _, e := range s.logs[stream][from:to] {
		if !s.hidden(e.Seq) {
			list = append(list, e)
		}
	}
	b, err := json.Marshal(struct {
		Op     string         `json:"op"`
		Stream gotong.Stream  `json:"stream"`
		From   uint64         `json:"from"`
		To     uint64         `json:"to"`
		Events []client.Event `json:"events"`
	}{"events", stream, from, to, list})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// admit answers a request that is to fail; true where it did.
func (s *server) admit(w http.ResponseWriter, r *http.Request, t client.Transport) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs[string(t)]++
	s.requests = append(s.requests, string(t)+" "+r.URL.RawQuery)
	if status := s.faults.refuse[t]; status != 0 {
		w.WriteHeader(status)
		return true
	}
	if s.tokens != nil && !s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] {
		refuse(w, 401, gotong.NewError(gotong.CodeUnauthorized, "No."))
		return true
	}
	return false
}

func refuse(w http.ResponseWriter, status int, e *gotong.Error) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, problemJSON(status, e))
}

func problemJSON(status int, e *gotong.Error) string {
	return fmt.Sprintf(`{"status":%d,"code":%q,"title":"x","detail":%q}`, status, e.Code, e.Detail)
}

func statusOf(e *gotong.Error) int {
	switch e.Code {
	case gotong.CodeNotFound:
		return 404
	case gotong.CodeCursorInvalid:
		return 400
	case gotong.CodeCorruptEvent:
		return 500
	default:
		return 409
	}
}

// positions reads the streams of an SSE or poll request.
func (s *server) positions(w http.ResponseWriter, r *http.Request) ([]*position, bool) {
	cursor := r.URL.Query().Get("cursor")
	fresh, known := "", []gotong.StreamCursor(nil)
	if cursor == "start" {
		fresh = "start"
	} else if cursor != "" {
		var err error
		if known, err = gotong.ParseCursors(cursor); err != nil {
			refuse(w, 400, gotong.NewError(gotong.CodeCursorInvalid, "No."))
			return nil, false
		}
	}
	var list []*position
	add := func(stream gotong.Stream, cursor string) bool {
		at, problem := s.start(stream, cursor)
		if problem != nil {
			refuse(w, statusOf(problem), problem)
			return false
		}
		list = append(list, &position{stream: stream, at: at})
		return true
	}
	for _, k := range known {
		if !add(k.Stream, k.Cursor.String()) {
			return nil, false
		}
	}
	for _, name := range r.URL.Query()["stream"] {
		if !strings.Contains(fmt.Sprint(known), name) && !add(gotong.Stream(name), fresh) {
			return nil, false
		}
	}
	return list, true
}

func (s *server) cursors(list []*position) string {
	var cs []gotong.StreamCursor
	for _, p := range list {
		cs = append(cs, gotong.StreamCursor{Stream: p.stream, Cursor: gotong.Cursor{Epoch: s.epoch, Seq: p.at}})
	}
	return gotong.FormatCursors(cs)
}

func (s *server) serveSSE(w http.ResponseWriter, r *http.Request) {
	if s.admit(w, r, client.SSE) {
		return
	}
	list, ok := s.positions(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	flush := http.NewResponseController(w)
	_, _ = io.WriteString(w, "retry: 1000\n\n: hello\n\n")
	_ = flush.Flush()
	s.pump(r.Context(), func() []*position { return list }, func(frame string) bool {
		_, err := fmt.Fprintf(w, "id: %s\ndata: %s\n\n", s.cursors(list), frame)
		return err == nil && flush.Flush() == nil
	}, func() bool {
		_, err := io.WriteString(w, ": still here\n\n")
		return err == nil && flush.Flush() == nil
	})
}

// pump writes frames of subscriptions until ctx ends (false), or a write fails
// or a fault ends the connection (true).
func (s *server) pump(ctx context.Context, list func() []*position, write func(string) bool, idle func() bool) bool {
	beat := time.NewTicker(20 * time.Second)
	defer beat.Stop()
	for {
		wrote := false
		s.mu.Lock()
		wait := s.grown
		s.mu.Unlock()
		for _, p := range list() {
			frame, ended, _ := s.next(p)
			if frame == "" || p.over.Load() {
				continue
			}
			p.over.Store(ended)
			if wrote = true; !write(frame) {
				return true
			}
			if s.chance(s.faults.away) {
				write(fmt.Sprintf(`{"op":"going_away","retry_after_ms":%d}`, s.faults.awayMS))
				return true
			}
		}
		if wrote {
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return false
		case <-beat.C:
			if !idle() {
				return true
			}
		}
	}
}

func (s *server) servePoll(w http.ResponseWriter, r *http.Request) {
	if s.admit(w, r, client.Poll) {
		return
	}
	list, ok := s.positions(w, r)
	if !ok {
		return
	}
	wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
	late := time.NewTimer(wait)
	defer late.Stop()
	var frames []string
	for len(frames) == 0 {
		var grown chan struct{}
		for _, p := range list {
			var frame string
			if frame, _, grown = s.next(p); frame != "" {
				frames = append(frames, frame)
			}
		}
		if len(frames) > 0 || wait == 0 {
			break
		}
		select {
		case <-grown:
			continue
		case <-r.Context().Done():
			return
		case <-late.C:
		}
		break
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"cursor":%q,"frames":[%s]}`, s.cursors(list), strings.Join(frames, ","))
}

// line is a network in memory that cuts connections after so many bytes of the
// server as budget says.
type line struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once

	mu     sync.Mutex
	budget func() int // nil: no cuts
	conns  map[net.Conn]bool
	down   bool
}

func newLine() *line {
	return &line{incoming: make(chan net.Conn), closed: make(chan struct{}), conns: map[net.Conn]bool{}}
}

func (l *line) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *line) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *line) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (l *line) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	l.mu.Lock()
	down, left := l.down, -1
	if l.budget != nil {
		left = l.budget()
	}
	l.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	mine, theirs := net.Pipe()
	c := &cutConn{Conn: theirs, left: left, line: l}
	l.mu.Lock()
	l.conns[c] = true
	l.mu.Unlock()
	select {
	case l.incoming <- c:
		return mine, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// cutAll cuts every connection.
func (l *line) cutAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.(*cutConn).Conn.Close()
	}
	clear(l.conns)
}

// cutConn is the server's end: it takes left bytes and then is gone.
type cutConn struct {
	net.Conn
	line *line
	mu   sync.Mutex
	left int // -1: no limit
}

func (c *cutConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left < 0 {
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(b[:min(len(b), c.left)])
	c.left -= n
	if err == nil && n < len(b) {
		_ = c.Conn.Close()
		err = errors.New("cut")
	}
	return n, err
}

func (c *cutConn) Close() error {
	c.line.mu.Lock()
	delete(c.line.conns, c)
	c.line.mu.Unlock()
	return c.Conn.Close()
}
