package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
)

// streaming follows streams over server-sent events, one response per 32.
type streaming struct {
	conn      *Conn
	token     string
	groups    [][]gotong.Stream
	responses []*http.Response
	cancel    context.CancelFunc // ends the requests
}

func (c *Conn) dialSSE(ctx context.Context, token string) (link, error) {
	groups, err := c.placed(ctx, token)
	if err != nil {
		return nil, err
	}
	// The requests must outlive the context of the dial.
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	l := &streaming{conn: c, token: token, groups: groups, cancel: cancel}
	for _, group := range groups {
		res, err := c.get(lasting, "/v1/realtime/sse", "text/event-stream", token, nil,
			gotong.FormatCursors(c.cursorsOf(group)), url.Values{})
		if err == nil && !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
			_ = res.Body.Close()
			err = protocolError("no event stream")
		}
		if err != nil {
			l.close()
			return nil, c.isolate(ctx, token, group, err)
		}
		l.responses = append(l.responses, res) //nolint:bodyclose // the link closes it
	}
	if !stop() {
		l.close()
		return nil, ctx.Err()
	}
	return l, nil
}

func (l *streaming) close() {
	l.cancel()
	for _, res := range l.responses {
		_ = res.Body.Close()
	}
}

func (l *streaming) serve(ctx context.Context) error {
	defer l.close()
	return l.conn.together(ctx, len(l.groups), func(ctx context.Context, i int) error {
		body := &watchedBody{Reader: l.responses[i].Body}
		inner, cancel := context.WithCancelCause(ctx)
		var watching sync.WaitGroup
		watching.Go(func() { body.watch(inner, l.conn.client.scaled(sseSilence), cancel) })
		stop := context.AfterFunc(inner, l.cancel)
		defer stop()
		err := l.read(inner, body, cancel)
		cancel(err)
		watching.Wait()
		return context.Cause(inner)
	})
}

// read processes one response. It ignores the ids and the retry times of the
// format: frames carry the range that they cover, and the waits are the same
// for every transport.
func (l *streaming) read(ctx context.Context, body io.Reader, cancel context.CancelCauseFunc) error {
	in := newEventReader(body)
	var gone *awayError
	for {
		data, err := in.next()
		var f *frame
		if err == nil {
			f, err = decodeFrame(data)
		}
		switch {
		case err == nil && f.Op == "going_away":
			if gone == nil {
				gone = away(f.retryAfter(), cancel)
			}
		case err == nil:
			if !l.conn.inbox.room(ctx) {
				return ctx.Err()
			}
			err = l.conn.receive(f, len(data), false)
		}
		if err != nil {
			if gone != nil {
				return gone
			}
			return fmt.Errorf("client: event stream: %w", err)
		}
	}
}

// watchedBody records whether bytes arrived.
type watchedBody struct {
	io.Reader
	received atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if n > 0 {
		b.received.Store(true)
	}
	return n, err
}

// watch ends a request whose response stays silent: the server sends at least a
// comment every 20 s. A slow handler keeps the response from being read and may
// also cause this end; it costs no more than a new request.
func (b *watchedBody) watch(ctx context.Context, limit time.Duration, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(limit)
	defer tick.Stop()
	for silent := 0; silent < 2; silent++ {
		if b.received.Swap(false) {
			silent = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	cancel(errSilent)
}

// eventReader reads the data of server-sent events (WHATWG HTML, section
// 9.2.6). This package needs no more of the format and, being public, should
// not bring a second dependency along. A test compares it with go-sse.
type eventReader struct {
	in    *bufio.Reader
	begun bool
	data  []byte
	line  []byte
	cr    bool // the last line ended with CR: a LF belongs to it
}

func newEventReader(r io.Reader) *eventReader {
	return &eventReader{in: bufio.NewReaderSize(r, 32<<10)}
}

var errEventTooLong = errors.New("an event of more than 16 MiB")

// next returns the data of the next event, valid until the next call. An event
// without its final blank line is dropped.
func (e *eventReader) next() ([]byte, error) {
	e.data = e.data[:0]
	some := false
	for {
		line, err := e.readLine()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			if some {
				return e.data[:len(e.data)-1], nil
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) == "data" {
			some = true
			e.data = append(append(e.data, bytes.TrimPrefix(value, []byte(" "))...), '\n')
			if len(e.data) > maxFrameIn {
				return nil, errEventTooLong
			}
		}
	}
}

// readLine reads up to CR, LF or both.
func (e *eventReader) readLine() ([]byte, error) {
	e.line = e.line[:0]
	if !e.begun {
		e.begun = true
		if bom, err := e.in.Peek(3); err == nil && string(bom) == "\ufeff" {
			_, _ = e.in.Discard(3)
		}
	}
	for {
		c, err := e.in.ReadByte()
		if err != nil {
			return nil, err
		}
		skip := e.cr && c == '\n'
		e.cr = c == '\r'
		switch {
		case skip:
		case c == '\n' || c == '\r':
			return e.line, nil
		default:
			if e.line = append(e.line, c); len(e.line) > maxFrameIn {
				return nil, errEventTooLong
			}
		}
	}
}
