package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

type tailCmd struct {
	login
	Thread string `arg:"" help:"Id of a thread, or the name of a stream such as group/ent-…."`
	From   string `name:"from" help:"Where to begin: start, now, or a cursor; by default a little before now." placeholder:"WHERE"`
	Last   uint64 `name:"last" help:"Without --from: how many events before now." default:"10"`
	Zone   string `name:"zone" help:"Time zone of the times." default:"Local"`
	JSON   bool   `name:"json" help:"Print each event as a line of JSON."`
}

func (c *tailCmd) Validate() error {
	switch c.From {
	case "", "start", "now":
		return nil
	}
	if _, err := gotong.ParseCursor(c.From); err != nil {
		return fmt.Errorf("--from: %q is neither start, now nor a cursor that --json printed", c.From)
	}
	return nil
}

func (*tailCmd) Help() string {
	return `It follows over WebSocket, and over server-sent events or polling where that is all that works; after a cut
it goes on where it was.

Examples:

    gotong tail 0192f0c1-2345-8abc-9def-0123456789ab
    gotong tail group/ent-0192f0c1-2345-8abc-9def-0123456789ab --from start
    gotong tail 0192f0c1-2345-8abc-9def-0123456789ab --json | jq .data.body`
}

func (c *tailCmd) Run(ctx context.Context, std *stdio) error {
	stream, err := c.stream()
	if err != nil {
		return err
	}
	zone, err := zoneOf(c.Zone)
	if err != nil {
		return err
	}
	remote, err := c.client(ctx)
	if err != nil {
		return err
	}
	from, err := c.from(ctx, remote, stream)
	if err != nil {
		return err
	}
	show := newTailLines(std, zone)
	show.learn(ctx, remote, stream)
	handle := show.event
	if c.JSON {
		out := json.NewEncoder(std.out)
		out.SetEscapeHTML(false)
		handle = func(e client.Event) error { return out.Encode(tailed{e.Stream, e.Cursor().String(), e}) }
	}
	conn := remote.NewConn(client.ConnOptions{Handle: handle, OnState: stateTo(std)})
	if err := conn.Subscribe(stream, from); err != nil {
		return err
	}
	err = conn.Run(ctx)
	if ctx.Err() != nil {
		err = nil // Ctrl-C is the normal end
	}
	return err
}

func zoneOf(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, misuse("--zone Asia/Jakarta", "%q is not a time zone", name)
	}
	return zone, nil
}

// tailed is one line of JSON: an event, its stream and the cursor after it.
type tailed struct {
	Stream gotong.Stream `json:"stream"`
	Cursor string        `json:"cursor"`
	client.Event
}

// stream parses the argument: an id without a kind is that of a thread.
func (c *tailCmd) stream() (gotong.Stream, error) {
	name := c.Thread
	if !strings.Contains(name, "/") {
		name = "thread/" + name
	}
	stream, err := gotong.ParseStream(name)
	if err != nil {
		return "", misuse("gotong tail with the id of a thread", "%q is not a thread", c.Thread)
	}
	return stream, nil
}

func (c *tailCmd) from(ctx context.Context, remote *client.Client, stream gotong.Stream) (client.From, error) {
	switch c.From {
	case "start":
		return client.Start, nil
	case "now":
		return client.Now, nil
	case "":
		return c.before(ctx, remote, stream)
	}
	return client.From(c.From), nil // which Validate has read
}

// before returns the cursor --last events before the stream's end.
func (c *tailCmd) before(ctx context.Context, remote *client.Client, stream gotong.Stream) (client.From, error) {
	var asOf client.From
	var err error
	switch stream.Kind() {
	case "thread":
		var t client.Thread
		t, err = remote.Thread(ctx, stream.ID())
		asOf = t.AsOf
	case "group":
		var g client.Group
		g, err = remote.Group(ctx, stream.ID())
		asOf = g.AsOf
	default:
		return client.Now, nil
	}
	if err != nil {
		return "", notThere(err, stream)
	}
	cursor, err := gotong.ParseCursor(string(asOf))
	if err != nil {
		return "", err
	}
	cursor.Seq -= min(cursor.Seq, c.Last)
	return client.At(cursor), nil
}

func notThere(err error, stream gotong.Stream) error {
	var problem *client.Problem
	if errors.As(err, &problem) && problem.Status == 404 {
		return &client.Ended{Stream: stream, Err: client.ErrAccessRevoked}
	}
	return err
}

// stateTo returns a function that reports lost and restored connections.
func stateTo(std *stdio) func(client.State) {
	lost := false
	return func(s client.State) {
		switch {
		case s.Err != nil && !lost:
			lost = true
			_, _ = fmt.Fprintln(std.err, std.paint(dim, "The connection is lost; reconnecting."))
		case s.Transport != "" && lost:
			lost = false
			_, _ = fmt.Fprintln(std.err, std.paint(dim, "Reconnected, over "+string(s.Transport)+"."))
		}
	}
}
