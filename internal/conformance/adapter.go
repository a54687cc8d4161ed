package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Adapter is a running client under test.
type Adapter struct {
	In   io.WriteCloser // its commands, one JSON object per line
	Out  io.Reader      // its log, one JSON object per line
	Wait func() string  // called after In was closed and Out has ended; returns what to show to people, such as the end of its stderr
}

// Start starts the client under test for one case. Ctx ends it.
type Start func(ctx context.Context) (*Adapter, error)

// killAfter is the time that an adapter has to end after its input was closed.
const killAfter = 5 * time.Second

// Command returns a Start that runs a program with its arguments.
func Command(words []string) Start {
	return func(ctx context.Context) (*Adapter, error) {
		cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the user's own command
		cmd.WaitDelay = killAfter
		out, write := io.Pipe()
		errs := &tail{}
		cmd.Stdout, cmd.Stderr = write, errs
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return nil, err
		}
		var running sync.WaitGroup
		running.Go(func() {
			if err := cmd.Wait(); err != nil {
				_, _ = fmt.Fprintf(errs, "\n%v", err)
			}
			_ = write.Close()
		})
		return &Adapter{In: in, Out: out, Wait: func() string {
			running.Wait()
			return errs.String()
		}}, nil
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const maxTail = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-maxTail):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(bytes.ToValidUTF8(t.b, []byte("?"))))
}

// command is a line to the adapter.
type command struct {
	Cmd        string          `json:"cmd"`
	Ref        string          `json:"ref,omitempty"`
	URL        string          `json:"url,omitempty"`
	Tokens     []string        `json:"tokens,omitempty"`
	Transports []string        `json:"transports,omitempty"`
	Scale      float64         `json:"scale,omitempty"`
	OpenMS     int             `json:"open_ms,omitempty"`
	Streams    []place         `json:"streams,omitempty"`
	Stream     string          `json:"stream,omitempty"`
	From       string          `json:"from,omitempty"`
	Type       string          `json:"type,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	Event      string          `json:"event,omitempty"`
	MessageID  string          `json:"message_id,omitempty"`
	Name       string          `json:"name,omitempty"`
	Text       string          `json:"text,omitempty"`
}

// place is a stream to follow, and from where: "start", a cursor, or "" for now.
type place struct {
	Stream string `json:"stream"`
	From   string `json:"from,omitempty"`
}

// line is a line of the adapter's log.
type line struct {
	Event     string            `json:"event"`
	Ref       string            `json:"ref"`
	Client    string            `json:"client"`
	Can       []string          `json:"can"`
	Transport string            `json:"transport"`
	WaitMS    float64           `json:"wait_ms"`
	Reason    string            `json:"reason"`
	Stream    string            `json:"stream"`
	Seq       uint64            `json:"seq"`
	Cursor    string            `json:"cursor"`
	Data      json.RawMessage   `json:"data"`
	OK        bool              `json:"ok"`
	Code      string            `json:"code"`
	Cursors   map[string]string `json:"cursors"`
	IDs       []string          `json:"ids"`
}

// session is a running adapter whose log is read.
type session struct {
	adapter *Adapter
	reading sync.WaitGroup
	over    chan struct{} // closed when the log has ended, or is none
	failed  error         // of the log; set when it has ended
}

// open starts an adapter and calls got for each line of its log.
func open(ctx context.Context, start Start, got func(text string, l *line)) (*session, error) {
	a, err := start(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClient, err)
	}
	s := &session{adapter: a, over: make(chan struct{})}
	s.reading.Go(func() {
		s.failed = readLines(a.Out, got)
		close(s.over)
		_, _ = io.Copy(io.Discard, a.Out)
	})
	return s, nil
}

// send writes a command. An adapter that has ended does not read it; that shows in its log.
func (s *session) send(c command) {
	out := json.NewEncoder(s.adapter.In)
	out.SetEscapeHTML(false)
	_ = out.Encode(c)
}

// end closes the adapter's input and waits for its end. It returns what the
// adapter wrote for people, and the fault of its log.
func (s *session) end() (said string, err error) {
	_ = s.adapter.In.Close()
	s.reading.Wait()
	return s.adapter.Wait(), s.failed
}

// maxLine bounds a line of the adapter in bytes.
const maxLine = 4 << 20

// readLines calls got for each line until the log ends. It returns an error if a
// line is not a JSON object.
func readLines(r io.Reader, got func(text string, l *line)) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	for in.Scan() {
		l := &line{}
		if err := json.Unmarshal(in.Bytes(), l); err != nil {
			return fmt.Errorf("it printed a line that is not a JSON object of the adapter's protocol: %.200q", in.Text())
		}
		got(in.Text(), l)
	}
	return in.Err()
}

// ErrClient is wrapped by the error of a client that cannot be tested: it does not
// start, or does not speak the adapter's protocol.
var ErrClient = errors.New("the client cannot be tested")

// helloWithin is the time that an adapter has to print its first line.
const helloWithin = 30 * time.Second

// hello starts the client once and returns its first line.
func hello(ctx context.Context, start Start) (*line, error) {
	ctx, cancel := context.WithTimeout(ctx, helloWithin)
	defer cancel()
	var first *line
	met := make(chan struct{})
	s, err := open(ctx, start, func(_ string, l *line) {
		if first == nil {
			first = l
			close(met)
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-met:
	case <-s.over:
	case <-ctx.Done():
	}
	said, err := s.end()
	switch {
	case first != nil && first.Event == "hello":
		return first, nil
	case err != nil:
	case first == nil:
		err = errors.New("it printed nothing")
	default:
		err = fmt.Errorf("the event of its first line is %q instead of hello", first.Event)
	}
	if said != "" {
		err = fmt.Errorf("%w. It wrote: %s", err, said)
	}
	return nil, fmt.Errorf("%w: %w", ErrClient, err)
}
