package realtime

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

// TestDrainBesideTheDeaf: clients that follow a thread and read nothing, more than there are
// workers, delay nobody. On every other one, over each transport, the drain has its usual end, and
// the deaf are cut when the grace is over.
func TestDrainBesideTheDeaf(t *testing.T) {
	const grace = 4 * time.Second // less than any other limit that cuts them
	onPipes(t, func(w *world, ask func(string) (net.Conn, *bufio.Reader, *http.Response)) {
		t := w.t // of the bubble
		stream, quiet := w.thread("ann"), w.thread("ann")
		get := func(path string) *http.Response {
			_, _, res := ask("GET /v1/realtime/" + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t-ann\r\n\r\n")
			return res
		}
		socket := func(follow gotong.Stream) *bufio.Reader {
			conn, br, _ := ask(upgradeOfAnn) //nolint:bodyclose // the pipe is closed
			readServerFrame(t, br)           // welcome
			_, err := conn.Write(clientFrame(0x81, fmt.Appendf(nil, `{"op":"subscribe","id":"1","stream":%q,"cursor":"start"}`, follow)))
			if err != nil {
				t.Fatal(err)
			}
			return br
		}
		type end struct {
			text string
			at   time.Time
		}
		hears := func(read func() []byte) <-chan end {
			c := make(chan end, 1)
			go func() { text := string(read()); c <- end{text, time.Now()} }()
			return c
		}
		all := func(path string) []byte {
			res := get(path)
			defer res.Body.Close() //nolint:errcheck // only read
			b, _ := io.ReadAll(res.Body)
			return b
		}
		heard := map[string]<-chan end{
			"poll": hears(func() []byte { return all("poll?wait=50s&cursor=" + cursorOf(quiet, 1)) }),
			"sse":  hears(func() []byte { return all("sse?cursor=" + cursorOf(quiet, 1)) }),
			"ws":   hears(func() []byte { return framesToTheEnd(t, socket(quiet)) }),
		}
		synctest.Wait()
		deaf := 2 * runtime.GOMAXPROCS(0)
		for range deaf {
			get("sse?cursor=start&stream=" + string(stream)) //nolint:bodyclose // nothing of it is read
			socket(stream)
		}
		synctest.Wait() // each of them has a write that waits
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), grace)
		defer cancel()
		drained := make(chan error, 1)
		go func() { drained <- w.hub.Drain(ctx) }()
		for over, want := range map[string]string{"poll": cursorOf(quiet, 1), "sse": "going_away", "ws": "going_away"} {
			if e := <-heard[over]; e.at != began || !strings.Contains(e.text, want) {
				t.Errorf("%s ended after %s with %q", over, e.at.Sub(began), e.text)
			}
		}
		if err := <-drained; !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != grace {
			t.Errorf("the drain ended with %v after %s", err, time.Since(began))
		}
		synctest.Wait()
		if ws, sse := w.server.Open(); ws+sse != 0 {
			t.Errorf("%d sockets and %d streams are open after the grace", ws, sse)
		}
	})
}

// framesToTheEnd returns the text of all frames up to the close frame, which has to say that the server restarts.
func framesToTheEnd(tb testing.TB, br *bufio.Reader) (text []byte) {
	tb.Helper()
	for {
		op, b := readServerFrame(tb, br)
		if op != 0x88 {
			text = append(text, b...)
			continue
		}
		if len(b) < 2 || binary.BigEndian.Uint16(b) != 1012 {
			tb.Errorf("closed with %q", b)
		}
		return text
	}
}
