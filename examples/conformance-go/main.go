// Command conformance-go is the adapter of the Go client for `gotong
// conformance`: it follows streams and sends commands as the lines on its stdin
// ask for, and prints what the client does. docs/conformance.md describes the
// lines; an adapter for another client has the same shape.
//
// # Dependencies
//
// The root package and the client.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// command is a line of the runner.
type command struct {
	Cmd        string             `json:"cmd"`
	Ref        string             `json:"ref"`
	URL        string             `json:"url"`
	Tokens     []string           `json:"tokens"`
	Transports []client.Transport `json:"transports"`
	Scale      float64            `json:"scale"`
	OpenMS     int                `json:"open_ms"`
	Streams    []place            `json:"streams"`
	Stream     gotong.Stream      `json:"stream"`
	From       client.From        `json:"from"`
	Type       string             `json:"type"`
	Data       json.RawMessage    `json:"data"`
	MessageID  gotong.EventID     `json:"message_id"`
	Name       string             `json:"name"`
	Text       string             `json:"text"`
}

type place struct {
	Stream gotong.Stream `json:"stream"`
	From   client.From   `json:"from"`
}

// fields are those of a line that the adapter prints.
type fields map[string]any

// adapter prints what one Conn does.
type adapter struct {
	mu   sync.Mutex // of out
	out  io.Writer
	made *client.Client
	conn *client.Conn
	work sync.WaitGroup
	end  context.CancelFunc
}

// run reads commands until in ends or the context does.
func run(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	a := &adapter{out: out, end: cancel}
	defer a.work.Wait()
	defer cancel()
	a.print("hello", fields{"client": "gotong-go", "can": []string{"websocket", "sse", "poll", "send", "rest"}})
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("a command that is not JSON: %w", err)
		}
		if err := a.do(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.Cmd, err)
		}
	}
	return lines.Err()
}

func (a *adapter) print(event string, f fields) {
	f["event"] = event
	b, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = a.out.Write(append(b, '\n')) // if nobody reads it, stdin ends too
}

func (a *adapter) do(ctx context.Context, c command) error {
	switch c.Cmd {
	case "connect":
		return a.connect(ctx, c)
	case "follow":
		return a.conn.Subscribe(c.Stream, c.From)
	case "unfollow":
		a.conn.Unsubscribe(c.Stream)
	case "send":
		return a.send(ctx, c)
	case "cursors":
		cursors := map[gotong.Stream]string{}
		for stream, cursor := range a.conn.Cursors() {
			cursors[stream] = cursor.String()
		}
		a.print("cursors", fields{"ref": c.Ref, "cursors": cursors})
	case "sync":
		a.print("synced", fields{"ref": c.Ref})
	case "replies", "pins", "pin", "upload":
		a.work.Go(func() {
			ids, err := a.task(ctx, c)
			a.answer(c.Ref, err, ids)
		})
	case "close":
		a.end()
	}
	return nil
}

// connect runs a Conn until the context ends, the client gives up or the runner
// closes it.
func (a *adapter) connect(ctx context.Context, c command) error {
	made, err := client.New(client.Options{
		BaseURL: c.URL, Token: &tokens{list: c.Tokens}, Transports: c.Transports, Scale: c.Scale,
		OpenWithin: time.Duration(c.OpenMS) * time.Millisecond,
	})
	if err != nil {
		return err
	}
	a.made, a.conn = made, made.NewConn(client.ConnOptions{Handle: a.handle, OnEnded: a.ended, OnState: a.state})
	for _, s := range c.Streams {
		if err := a.conn.Subscribe(s.Stream, s.From); err != nil {
			return err
		}
	}
	a.work.Go(func() {
		defer made.Close()
		a.print("ended", fields{"reason": a.conn.Run(ctx).Error()})
	})
	return nil
}

// handle is called for each event.
func (a *adapter) handle(e client.Event) error {
	f := fields{"stream": e.Stream, "seq": e.Seq, "data": e.Data}
	if cursor, ok := a.conn.Cursors()[e.Stream]; ok {
		f["cursor"] = cursor.String()
	}
	a.print("event", f)
	return nil
}

// ended is called when a stream is no longer followed. After a reset, an
// application reads the stream again from its start.
func (a *adapter) ended(e *client.Ended) error {
	code := e.Reason
	if p, ok := errors.AsType[*client.Problem](e); ok {
		code = string(p.Err.Code)
	}
	switch {
	case errors.Is(e, client.ErrResyncRequired):
		a.print("reset", fields{"stream": e.Stream, "reason": code})
		return a.conn.Subscribe(e.Stream, client.Start)
	case errors.Is(e, client.ErrAccessRevoked):
		a.print("revoked", fields{"stream": e.Stream, "code": code})
	default:
		a.print("failed", fields{"stream": e.Stream, "code": code})
	}
	return nil
}

// state is called when a connection is established or lost.
func (a *adapter) state(s client.State) {
	if s.Err == nil {
		a.print("online", fields{"transport": s.Transport})
		return
	}
	a.print("waiting", fields{"wait_ms": float64(s.Wait.Microseconds()) / 1000, "reason": s.Err.Error()})
}

// send sends a command and prints its answer.
func (a *adapter) send(ctx context.Context, c command) error {
	call, err := a.conn.Submit(ctx, c.Stream, c.Type, c.Data)
	if err != nil {
		return err
	}
	a.work.Go(func() {
		_, err := call.Wait(ctx)
		a.answer(c.Ref, err, nil)
	})
	return nil
}

func (a *adapter) answer(ref string, err error, ids []string) {
	f := fields{"ref": ref, "ok": err == nil, "ids": ids}
	if err != nil {
		f["code"] = "unknown"
		if p, ok := errors.AsType[*client.Problem](err); ok {
			f["code"] = p.Err.Code
		}
	}
	a.print("answer", f)
}

// task performs a task of REST and returns the ids of what came back.
func (a *adapter) task(ctx context.Context, c command) (ids []string, err error) {
	var list []client.Message
	switch id := c.Stream.ID(); c.Cmd {
	case "replies":
		for page := (client.Messages{More: true}); page.More && err == nil; {
			page, err = a.made.Replies(ctx, id, c.MessageID, page.Next, 0)
			list = append(list, page.Items...)
		}
	case "pins":
		var page client.Messages
		page, err = a.made.Pins(ctx, id)
		list = page.Items
	case "pin":
		list = make([]client.Message, 1)
		list[0], err = a.made.Pin(ctx, id, c.MessageID, true)
	case "upload":
		var file client.File
		file, err = a.made.Upload(ctx, id, client.NewFile{Name: c.Name, Size: int64(len(c.Text)), From: strings.NewReader(c.Text)})
		ids = []string{file.ID}
	}
	for i := range list {
		ids = append(ids, list[i].MessageID.String())
	}
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// tokens returns the first token that was not rejected.
type tokens struct {
	mu   sync.Mutex
	list []string
}

// Token implements [client.TokenSource].
func (t *tokens) Token(_ context.Context, refused string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) > 0 && refused != "" && t.list[0] == refused {
		t.list = t.list[1:]
	}
	if len(t.list) == 0 {
		return "", client.ErrTokenRefused
	}
	return t.list[0], nil
}
