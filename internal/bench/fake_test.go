package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a server that keeps threads in memory and misbehaves on request. Its
// connections are pipes, so it works in a bubble of synctest.
type fake struct {
	deliver func(viewer int, seq uint64, send func(seq uint64))    // nil sends each event once, in order
	answer  func(post int, ack func(seq uint64), no func(problem)) // nil acknowledges each post
	stall   func(post int) time.Duration

	mu      sync.Mutex
	posts   int
	conns   int
	threads map[string]*fakeThread
}

type problem struct {
	Status       int   `json:"status"`
	RetryAfterMS int64 `json:"retry_after_ms,omitempty"`
}

type fakeThread struct {
	events  []string // what stands in the place of a seq
	viewers []*fakeConn
}

// fakeConn is the server's end of a connection.
type fakeConn struct {
	net.Conn
	number int
	queue  chan string
}

func (f *fake) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	f.mu.Lock()
	c := &fakeConn{Conn: ours, number: f.conns, queue: make(chan string, 1<<14)}
	f.conns++
	f.mu.Unlock()
	go f.serve(c)
	return theirs, nil
}

func (f *fake) serve(c *fakeConn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	if _, err := http.ReadRequest(in); err != nil {
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	done := make(chan struct{})
	defer close(done)
	go c.write(done)
	c.queue <- `{"op":"welcome","session":"s"}`
	for {
		frame, err := clientFrame(in)
		if err != nil {
			return
		}
		f.handle(c, frame)
	}
}

func (c *fakeConn) write(done chan struct{}) {
	for {
		select {
		case <-done:
			return
		case text := <-c.queue:
			b := []byte{0x81, 127}
			b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
			if _, err := c.Write(append(b, text...)); err != nil {
				return
			}
		}
	}
}

// clientFrame reads one masked frame.
func clientFrame(in *bufio.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:2]); err != nil {
		return nil, err
	}
	n := int(head[1] & 127)
	if n == 126 {
		if _, err := io.ReadFull(in, head[:2]); err != nil {
			return nil, err
		}
		n = int(binary.BigEndian.Uint16(head[:2]))
	}
	b := make([]byte, n+4)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, err
	}
	for i := range b[4:] {
		b[4+i] ^= b[i&3]
	}
	return b[4:], nil
}

type clientMessage struct {
	Op     string  `json:"op"`
	ID     string  `json:"id"`
	Stream string  `json:"stream"`
	Type   string  `json:"type"`
	Cursor *string `json:"cursor"`
	Data   struct {
		Body string `json:"body"`
	} `json:"data"`
}

func (f *fake) handle(c *fakeConn, frame []byte) {
	var m clientMessage
	if err := json.Unmarshal(frame, &m); err != nil {
		panic(err)
	}
	switch m.Op + m.Type {
	case "commandthread.create":
		f.mu.Lock()
		m.Stream = fmt.Sprintf("thread/%d", len(f.threads))
		f.threads[m.Stream] = &fakeThread{events: []string{"thread.created"}}
		f.mu.Unlock()
		c.ack(m, 1)
	case "commandthread.join":
		c.ack(m, 1)
	case "subscribe":
		f.subscribe(c, m)
	case "commandmessage.post":
		f.mu.Lock()
		f.posts++
		post := f.posts
		f.mu.Unlock()
		if f.stall != nil {
			<-time.After(f.stall(post)) // in the time of the bubble
		}
		f.post(c, m, post)
	}
}

func (c *fakeConn) ack(m clientMessage, seq uint64) {
	c.queue <- fmt.Sprintf(`{"op":"ack","id":%q,"receipt":{"stream":%q,"seq":[%d,%d]}}`, m.ID, m.Stream, seq, seq)
}

func (f *fake) post(c *fakeConn, m clientMessage, post int) {
	ack := func(seq uint64) { c.ack(m, seq) }
	no := func(p problem) {
		b, _ := json.Marshal(p)
		c.queue <- fmt.Sprintf(`{"op":"error","id":%q,"problem":%s}`, m.ID, b)
	}
	commit := func() uint64 {
		f.mu.Lock()
		defer f.mu.Unlock()
		th := f.threads[m.Stream]
		th.events = append(th.events, m.Data.Body)
		seq := uint64(len(th.events))
		for i, v := range th.viewers {
			f.show(v, i, m.Stream, th, seq)
		}
		return seq
	}
	if f.answer == nil {
		ack(commit())
		return
	}
	f.answer(post, func(seq uint64) {
		if seq == 0 {
			seq = commit()
		}
		ack(seq)
	}, no)
}

func (f *fake) show(c *fakeConn, viewer int, stream string, th *fakeThread, seq uint64) {
	send := func(seq uint64) {
		c.queue <- fmt.Sprintf(`{"op":"events","stream":%q,"from":%d,"to":%d,"events":[{"seq":%d,"data":{"body":%q}}]}`,
			stream, seq-1, seq, seq, th.events[seq-1])
	}
	if f.deliver != nil {
		f.deliver(viewer, seq, send)
		return
	}
	send(seq)
}

func (f *fake) subscribe(c *fakeConn, m clientMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	th := f.threads[m.Stream]
	after := uint64(len(th.events))
	if m.Cursor != nil {
		after = leadingNumber([]byte(strings.TrimPrefix(*m.Cursor, "e:")), 10)
	}
	c.queue <- fmt.Sprintf(`{"op":"subscribed","id":%q,"stream":%q,"cursor":"e:%d"}`, m.ID, m.Stream, after)
	th.viewers = append(th.viewers, c)
	for seq := after + 1; seq <= uint64(len(th.events)); seq++ {
		f.show(c, len(th.viewers)-1, m.Stream, th, seq)
	}
}

// measure runs a scenario against the fake.
func (f *fake) measure(t *testing.T, s Scenario, length time.Duration) *Result {
	t.Helper()
	f.threads = map[string]*fakeThread{}
	o := Options{URL: "http://bench.invalid", Users: &Issuer{Key: []byte("k")}, For: length, Dial: f.dial}
	o.fill()
	server, err := newTarget(o.URL, o.Dial)
	if err != nil {
		t.Fatal(err)
	}
	if s.run == nil {
		s.run = (*trial).traffic
	}
	trial := newTrial(&o, server, s, Progress{})
	if err := trial.run(t.Context()); err != nil {
		trial.result.Error = err.Error()
	}
	return trial.result
}
