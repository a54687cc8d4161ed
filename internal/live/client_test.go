package live_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/signal"
)

// client takes frames as a client sees them and checks what must hold always.
type client struct {
	t       tb
	s       *live.Session
	cursor  map[gotong.Stream]uint64
	got     map[gotong.Stream][]uint64
	text    map[gotong.Stream]map[uint64]string
	name    map[gotong.Stream]map[uint64]string // of the actor
	ops     []string                            // all but events
	revoked map[gotong.Stream]bool
}

func open(t tb, h *live.Hub, user string, opt live.SessionOptions) *client {
	t.Helper()
	s, err := h.Open(reader(user), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &client{
		t: t, s: s, cursor: map[gotong.Stream]uint64{}, got: map[gotong.Stream][]uint64{},
		text: map[gotong.Stream]map[uint64]string{}, name: map[gotong.Stream]map[uint64]string{}, revoked: map[gotong.Stream]bool{},
	}
}

func (c *client) subscribe(s gotong.Stream, start live.Start) {
	c.t.Helper()
	if err := c.s.Subscribe(live.Subscription{ID: "1", Stream: s, Start: start}); err != nil {
		c.t.Fatal(err)
	}
}

type wireEvent struct {
	Seq   uint64         `json:"seq"`
	Type  string         `json:"type"`
	Data  map[string]any `json:"data"`
	Actor struct {
		Name string `json:"name"`
	} `json:"actor"`
}

type wireFrame struct {
	Op      string        `json:"op"`
	Stream  gotong.Stream `json:"stream"`
	From    uint64        `json:"from"`
	To      uint64        `json:"to"`
	Cursor  string        `json:"cursor"`
	Events  []wireEvent   `json:"events"`
	Problem struct {
		Code string `json:"code"`
	} `json:"problem"`
	Reason string         `json:"reason"`
	Type   string         `json:"type"`
	Actor  map[string]any `json:"actor"`
	Data   map[string]any `json:"data"`
}

// take takes up to most bytes; more as Take says.
func (c *client) take(most int) (n int, more bool) {
	c.t.Helper()
	frames, more := c.s.Take(nil, most)
	for _, f := range frames {
		c.handle(f)
	}
	if len(frames) > 0 {
		c.s.Written()
	}
	return len(frames), more
}

// drain takes until there is nothing at once.
func (c *client) drain() {
	c.t.Helper()
	for more := true; more; {
		_, more = c.take(1 << 20)
	}
}

func (c *client) handle(f live.Frame) {
	c.t.Helper()
	var w wireFrame
	if err := json.Unmarshal(f.JSON(), &w); err != nil {
		c.t.Fatalf("%v: %s", err, f.JSON())
	}
	if w.Op != "events" {
		c.control(w)
		return
	}
	if c.revoked[w.Stream] {
		c.t.Errorf("events after access_revoked: %s", f.JSON())
	}
	if w.From != c.cursor[w.Stream] || w.To <= w.From {
		c.t.Errorf("frame from %d to %d, cursor %d", w.From, w.To, c.cursor[w.Stream])
	}
	last := w.From
	for _, e := range w.Events {
		if e.Seq <= last || e.Seq > w.To {
			c.t.Errorf("event %d after %d in (%d, %d]", e.Seq, last, w.From, w.To)
		}
		last = e.Seq
		c.got[w.Stream] = append(c.got[w.Stream], e.Seq)
		if c.text[w.Stream] == nil {
			c.text[w.Stream], c.name[w.Stream] = map[uint64]string{}, map[uint64]string{}
		}
		c.text[w.Stream][e.Seq], _ = e.Data["Text"].(string)
		c.name[w.Stream][e.Seq] = e.Actor.Name
	}
	c.cursor[w.Stream] = w.To
}

func (c *client) control(w wireFrame) {
	c.t.Helper()
	op := w.Op
	switch w.Op {
	case "subscribed":
		at, err := gotong.ParseCursor(w.Cursor)
		if err != nil {
			c.t.Error(err)
		}
		c.cursor[w.Stream], c.revoked[w.Stream] = at.Seq, false
	case "error":
		op += " " + w.Problem.Code
	case "access_revoked":
		c.revoked[w.Stream] = true
	case "signal":
		op = fmt.Sprint("signal ", w.Type, " ", w.Actor["user_id"])
		switch w.Type {
		case signal.Presence:
			op = fmt.Sprint("signal presence ", w.Data["present"], " ", w.Data["users"])
		case signal.Read:
			op += fmt.Sprint(" ", w.Data["n"])
		}
	case "resync_required":
		op += " " + w.Reason
	}
	c.ops = append(c.ops, op)
}

func (c *client) sees(s gotong.Stream, want ...uint64) {
	c.t.Helper()
	if !slices.Equal(c.got[s], want) {
		c.t.Errorf("%s got %v of %s, want %v", c.s.Viewer().UserID, c.got[s], s, want)
	}
}

func (c *client) heard(want ...string) {
	c.t.Helper()
	ops := slices.Clone(c.ops)
	presence := func(op string) bool { return strings.HasPrefix(op, "signal presence") }
	if !slices.ContainsFunc(want, presence) {
		ops = slices.DeleteFunc(ops, presence) // not what the test is about
	}
	if !slices.Equal(ops, want) {
		c.t.Errorf("%s heard %q, want %q", c.s.Viewer().UserID, ops, want)
	}
}
