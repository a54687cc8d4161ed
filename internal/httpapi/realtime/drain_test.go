package realtime

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
)

var drained = flag.Int("drained", 100, "how many sessions are drained under load; make soak takes 500")

// TestDrainUnderLoad: many sessions follow a thread, 20 of them post all the time, and the
// server drains. Each session receives going_away once, no event after it, and close code
// 1012.
func TestDrainUnderLoad(t *testing.T) {
	const posters = 20
	w := newWorld(t)
	stream := w.thread("owner")
	sockets := make([]*socket, *drained)
	for i := range sockets {
		id := fmt.Sprint("u", i)
		w.do("owner", stream, thread.CmdAdd, thread.Add{UserID: id})
		sockets[i] = w.connect(id)
		sockets[i].subscribe(stream, "")
	}
	var posting, reading sync.WaitGroup
	posting.Add(posters)
	for i, s := range sockets {
		reading.Go(func() { s.readToTheEnd(i < posters, stream, posting.Done) })
	}
	posting.Wait() // each has an answer, and has sent the next post
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.hub.Drain(ctx); err != nil {
		t.Error(err)
	}
	reading.Wait()
}

// readToTheEnd checks what a session receives until it is closed. A poster sends its next post when
// one was answered; answered is called after the first.
func (s *socket) readToTheEnd(posts bool, stream gotong.Stream, answered func()) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	post := func(n int) {
		if posts { // an error means that the server is leaving, which the reads show
			_ = s.ws.Write(ctx, websocket.MessageText, fmt.Appendf(nil,
				`{"op":"command","id":"p%d","request_id":"p%d","stream":%q,"type":"message.post","data":{"body":"halo"}}`, n, n, stream))
		}
	}
	post(0)
	away := 0
	for n := 1; ; {
		_, b, err := s.ws.Read(ctx)
		switch {
		case err != nil && (websocket.CloseStatus(err) != 1012 || away != 1):
			s.t.Errorf("closed with %v after %d going_away", err, away)
			return
		case err != nil:
			return
		case bytes.HasPrefix(b, []byte(`{"op":"going_away"`)):
			away++
		case away > 0 && bytes.HasPrefix(b, []byte(`{"op":"events"`)):
			s.t.Errorf("after going_away: %s", b)
		case bytes.HasPrefix(b, []byte(`{"op":"ack"`)):
			post(n)
			if n == 1 {
				answered()
			}
			n++
		}
	}
}

// TestLinesNameTheUser: so do the lines of every transport.
func TestLinesNameTheUser(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann")
	w.poll("ann", "?wait=0"+streams(stream))
	sse := w.sse("ann", "?cursor="+cursorOf(stream, 1), "")
	sse.want("subscribed")
	s := w.dial("")
	s.send("op", "auth", "token", "t-ann") // after the request that opened the connection
	s.want("welcome")
	if err := w.hub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	for _, line := range []string{`/v1/realtime/poll" `, `/v1/realtime/sse" `, `msg="session ended" transport=ws `} {
		w.until(line, func() bool {
			for text := range strings.Lines(w.log.String()) {
				if strings.Contains(text, line) && strings.Contains(text, "user_id=ann") && strings.Contains(text, "took_ms=") {
					return true
				}
			}
			return false
		})
	}
}
