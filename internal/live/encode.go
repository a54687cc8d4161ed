package live

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// appendEventsHead is an events frame up to its first event.
func appendEventsHead(b []byte, stream gotong.Stream, from, to uint64) []byte {
	b = append(b, `{"op":"events","stream":"`...)
	b = append(b, stream...)
	b = append(b, `","from":`...)
	b = strconv.AppendUint(b, from, 10)
	b = append(b, `,"to":`...)
	b = strconv.AppendUint(b, to, 10)
	return append(b, `,"events":[`...)
}

// covering is a frame that accounts for events the reader may not see.
func covering(stream gotong.Stream, from, to uint64) Frame {
	b := appendEventsHead(startFrame(96+len(stream)), stream, from, to)
	return endFrame(append(b, `]}`...), Events, 0)
}

// appendEvent adds an event as the wire has it; data is its data and content, and name
// returns the name of a user.
func appendEvent(
	b []byte, e *gotong.Event, link gotong.Hash, data []byte, name func(userID string) string, erased bool,
) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = append(b, `,"id":"`...)
	b, _ = e.ID.AppendText(b)
	b = append(b, `","type":`...)
	b = appendString(b, e.Type)
	b = append(b, `,"at":"`...)
	b, _ = e.At.AppendText(b)
	b = append(b, `","actor":`...)
	b = appendActor(b, e.Actor, name(e.Actor.UserID))
	b = append(b, `,"data":`...)
	b = append(b, data...)
	b = appendNames(b, e.Data, name)
	if erased {
		b = append(b, `,"erased":true`...)
	}
	b = append(b, `,"request_id":`...)
	b = appendString(b, e.RequestID)
	b = append(b, `,"correlation_id":`...)
	b = appendString(b, e.CorrelationID)
	b = append(b, `,"chain":"`...)
	chain, _ := link.MarshalText()
	b = append(b, chain...)
	return append(b, `"}`...)
}

// appendNames adds the names of the users whom the data names, each once.
func appendNames(b []byte, data any, name func(userID string) string) []byte {
	naming, ok := data.(gotong.Naming)
	if !ok {
		return b
	}
	var done []string
	for _, id := range naming.Named() {
		shown := name(id)
		if shown == "" || slices.Contains(done, id) {
			continue
		}
		if done = append(done, id); len(done) == 1 {
			b = append(b, `,"names":{`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(append(appendString(b, id), ':'), shown)
	}
	if done != nil {
		b = append(b, '}')
	}
	return b
}

func appendActor(b []byte, a gotong.Actor, name string) []byte {
	b = append(b, `{"user_id":`...)
	b = appendString(b, a.UserID)
	if name != "" {
		b = append(b, `,"name":`...)
		b = appendString(b, name)
	}
	b = append(b, `,"role":`...)
	b = appendString(b, string(a.Role))
	return append(b, '}')
}

// appendString is s as a JSON string.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always has a JSON form
				return append(b, `""`...)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// rawData is payload and content of a row as one object, from their bytes.
func rawData(row *store.Event) ([]byte, error) {
	var env struct {
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(row.Data, &env); err != nil {
		return nil, fmt.Errorf("live: data of %s %d: %w", row.Stream, row.Seq, err)
	}
	return merge(env.Payload, row.Content), nil
}

// overlaidData is the same of an event that an overlay changed.
func overlaidData(e *gotong.Event) ([]byte, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return nil, fmt.Errorf("live: data of %s %d: %w", e.Stream, e.Seq, err)
	}
	if e.Content == nil {
		return data, nil
	}
	content, err := json.Marshal(e.Content)
	if err != nil {
		return nil, fmt.Errorf("live: content of %s %d: %w", e.Stream, e.Seq, err)
	}
	return merge(data, content), nil
}

// merge joins two JSON objects whose names do not overlap.
func merge(a, b []byte) []byte {
	a, b = bytes.TrimSpace(a), bytes.TrimSpace(b)
	switch {
	case len(b) <= 2 || b[0] != '{':
		return a
	case len(a) <= 2 || a[0] != '{':
		return b
	}
	joined := make([]byte, 0, len(a)+len(b))
	joined = append(joined, a[:len(a)-1]...)
	joined = append(joined, ',')
	return append(joined, b[1:]...)
}

// problem is the error as an error frame's object.
func (h *Hub) problem(err error, trace string) []byte {
	if h.opt.Problem != nil {
		return h.opt.Problem(err, trace)
	}
	b := append([]byte(`{"code":`), appendString(nil, string(gotong.CodeOf(err)))...)
	b = append(b, `,"detail":`...)
	detail := "An internal error."
	if coded := (*gotong.Error)(nil); errors.As(err, &coded) {
		detail = coded.Detail
	}
	return append(appendString(b, detail), '}')
}

func (h *Hub) errorFrame(id, trace string, stream gotong.Stream, err error) Frame {
	b := append(startFrame(256), `{"op":"error"`...)
	if id != "" {
		b = appendString(append(b, `,"id":`...), id)
	}
	b = appendString(append(b, `,"stream":`...), string(stream))
	b = append(append(b, `,"problem":`...), h.problem(err, trace)...)
	return endFrame(append(b, '}'), Control, 0)
}

func subscribedFrame(id string, stream gotong.Stream, cursor gotong.Cursor, head uint64) Frame {
	b := append(startFrame(192), `{"op":"subscribed"`...)
	if id != "" {
		b = appendString(append(b, `,"id":`...), id)
	}
	b = appendString(append(b, `,"stream":`...), string(stream))
	b = appendString(append(b, `,"cursor":`...), cursor.String())
	b = strconv.AppendUint(append(b, `,"head":`...), head, 10)
	return endFrame(append(b, '}'), Subscribed, 0)
}

func revokedFrame(stream gotong.Stream) Frame {
	b := append(startFrame(96), `{"op":"access_revoked","stream":`...)
	return endFrame(append(appendString(b, string(stream)), '}'), Control, 0)
}

func resyncFrame(stream gotong.Stream, reason string) Frame {
	b := append(startFrame(128), `{"op":"resync_required","stream":`...)
	b = appendString(b, string(stream))
	b = appendString(append(b, `,"reason":`...), reason)
	return endFrame(append(b, '}'), Control, 0)
}

func goingAwayFrame(retryMilli int64) Frame {
	b := append(startFrame(64), `{"op":"going_away","retry_after_ms":`...)
	return endFrame(append(strconv.AppendInt(b, retryMilli, 10), '}'), Control, 0)
}

func (h *Hub) signalFrame(m *bus.Signal) Frame {
	name, _ := h.known(m.Actor.UserID)
	b := append(startFrame(192+len(m.Data)), `{"op":"signal","stream":`...)
	b = appendString(b, string(m.Stream))
	b = appendString(append(b, `,"type":`...), m.Type)
	b = appendActor(append(b, `,"actor":`...), m.Actor, name)
	if len(m.Data) > 0 {
		b = append(append(b, `,"data":`...), m.Data...)
	}
	return endFrame(append(b, '}'), SignalOp, 0)
}

func presenceFrame(stream gotong.Stream, data []byte) Frame {
	b := append(startFrame(96+len(stream)+len(data)), `{"op":"signal","stream":`...)
	b = appendString(b, string(stream))
	b = append(append(b, `,"type":"presence","data":`...), data...)
	return endFrame(append(b, '}'), SignalOp, 0)
}

// nameLimit bounds how long a page waits for names: a slow answer costs names,
// not events.
const nameLimit = 500 * time.Millisecond

func (h *Hub) named(ctx context.Context, rows []*view.Row) map[string]string {
	if h.opt.Names == nil || len(rows) == 0 {
		return nil
	}
	ids := make([]string, 0, len(rows))
	for _, r := range rows {
		ids = append(ids, r.Event.Actor.UserID)
		if naming, ok := r.Newest().Data.(gotong.Naming); ok {
			ids = append(ids, naming.Named()...)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, nameLimit)
	defer cancel()
	return h.opt.Names.Names(ctx, ids)
}

// knows reports whether the names of an event's users are in memory.
func (h *Hub) knows(e *gotong.Event) bool {
	_, known := h.known(e.Actor.UserID)
	if naming, ok := e.Data.(gotong.Naming); ok && known {
		for _, id := range naming.Named() {
			if _, known = h.known(id); !known {
				return false
			}
		}
	}
	return known
}

func (h *Hub) remembered(id string) string {
	name, _ := h.known(id)
	return name
}

func (h *Hub) known(id string) (name string, known bool) {
	if h.opt.Names == nil {
		return "", true
	}
	return h.opt.Names.Known(id)
}

// Op is the sort of a frame.
type Op uint8

// The sorts of frames. [Control] is every frame that a transport puts, and what
// the hub says of a subscription but its acceptance.
const (
	Control Op = iota
	Subscribed
	Events
	SignalOp
)

// Frame is one message to a client, encoded once and shared by all who get it:
// the JSON text, and in front of it the header of an unmasked WebSocket text
// message (RFC 6455, section 5.2). It must not be written to.
type Frame struct {
	buf  []byte
	at   gotong.Instant
	head uint8
	op   Op
}

// maxHeader is the longest header of an unmasked WebSocket frame.
const maxHeader = 10

// NewFrame makes a control frame of a JSON object, which is copied.
func NewFrame(json []byte) Frame {
	b := startFrame(len(json))
	return endFrame(append(b, json...), Control, 0)
}

// startFrame is an empty frame with room for the header and size bytes.
func startFrame(size int) []byte { return make([]byte, maxHeader, maxHeader+size) }

// endFrame writes the header right before the text of a startFrame.
func endFrame(b []byte, op Op, at gotong.Instant) Frame {
	const finText = 0x81
	n := len(b) - maxHeader
	var head int
	switch {
	case n < 126:
		head = 2
		b[maxHeader-1] = byte(n) //nolint:gosec // n < 126
	case n <= 0xffff:
		head = 4
		b[maxHeader-3] = 126
		binary.BigEndian.PutUint16(b[maxHeader-2:], uint16(n))
	default:
		head = 10
		b[maxHeader-9] = 127
		binary.BigEndian.PutUint64(b[maxHeader-8:], uint64(n))
	}
	b[maxHeader-head] = finText
	return Frame{buf: b[maxHeader-head:], at: at, head: uint8(head), op: op}
}

// JSON is the text of the frame.
func (f Frame) JSON() []byte { return f.buf[f.head:] }

// WebSocket is the whole message as a server sends it: header and text.
func (f Frame) WebSocket() []byte { return f.buf }

// Op is the sort of the frame.
func (f Frame) Op() Op { return f.op }

// At is the instant of the newest event in the frame, to measure the way from
// commit to write; 0 where it holds none.
func (f Frame) At() gotong.Instant { return f.at }
