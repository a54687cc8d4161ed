package realtime

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/jsonx"
	"gotong.dev/gotong/internal/live"
)

// inFrame is any frame that a client may send; op says which fields it has.
type inFrame struct {
	Op            string          `json:"op"`
	ID            string          `json:"id"`
	Token         string          `json:"token"`
	Stream        string          `json:"stream"`
	Cursor        *string         `json:"cursor"`
	RequestID     string          `json:"request_id"`
	CorrelationID string          `json:"correlation_id"`
	Traceparent   string          `json:"traceparent"`
	Type          string          `json:"type"`
	Data          json.RawMessage `json:"data"`
}

// The fields of each op beside op and id.
const (
	fToken = 1 << iota
	fStream
	fCursor
	fRequest // request_id, correlation_id, traceparent
	fType
	fData
)

var ops = map[string]int{
	"auth":        fToken,
	"subscribe":   fStream | fCursor,
	"unsubscribe": fStream,
	"command":     fStream | fRequest | fType | fData,
	"signal":      fStream | fType,
	"active":      fStream,
	"ping":        0,
}

const maxFrameID = 64

// frames are empty ones to read into: they lie on the heap.
var frames = sync.Pool{New: func() any { return new(inFrame) }}

// decodeFrame reads one client frame strictly: a field of another op is
// rejected like an unknown one.
func decodeFrame(b []byte) (inFrame, error) {
	room := frames.Get().(*inFrame) //nolint:forcetypeassert // the pool holds nothing else
	if err := jsonx.Unmarshal(b, room); err != nil {
		return inFrame{ID: idOf(b)}, err
	}
	f := *room
	*room = inFrame{}
	frames.Put(room)
	allowed, ok := ops[f.Op]
	if !ok {
		return f, gotong.Invalid("op", "must be auth, subscribe, unsubscribe, command, signal, active or ping")
	}
	if len(f.ID) > maxFrameID {
		f.ID = ""
		return f, gotong.Invalid("id", "is longer than 64 bytes")
	}
	for _, field := range [...]struct {
		bit  int
		set  bool
		name string
	}{
		{fToken, f.Token != "", "token"}, {fStream, f.Stream != "", "stream"}, {fCursor, f.Cursor != nil, "cursor"},
		{fRequest, f.RequestID != "", "request_id"}, {fRequest, f.CorrelationID != "", "correlation_id"},
		{fRequest, f.Traceparent != "", "traceparent"}, {fType, f.Type != "", "type"}, {fData, f.Data != nil, "data"},
	} {
		if field.set && allowed&field.bit == 0 {
			return f, gotong.Invalid(field.name, "does not belong to this op")
		}
	}
	return f, nil
}

// idOf finds the id of a frame that cannot be understood, for the answer.
func idOf(b []byte) string {
	var f struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(b, &f) != nil || len(f.ID) > maxFrameID {
		return ""
	}
	return f.ID
}

// startOf returns where a subscription begins: without a cursor now, with
// "start" at the first visible event. An empty text is an invalid cursor, not
// an absent one.
func startOf(cursor *string) (live.Start, error) {
	switch {
	case cursor == nil:
		return live.Now(), nil
	case *cursor == "start":
		return live.First(), nil
	}
	c, err := gotong.ParseCursor(*cursor)
	return live.At(c), err
}

func (s *Server) welcome(session string) live.Frame {
	return encode(struct {
		Op        string       `json:"op"`
		Session   string       `json:"session"`
		Epoch     gotong.Epoch `json:"epoch"`
		Heartbeat int64        `json:"heartbeat_ms"`
	}{"welcome", session, s.opts.Hub.Epoch(), s.times.heartbeat.Milliseconds()})
}

func pongFrame(id string) live.Frame {
	return encode(struct {
		Op string `json:"op"`
		ID string `json:"id,omitempty"`
	}{"pong", id})
}

// problem is a problem in a frame. It contains the wait, because a frame has no
// Retry-After header.
type problem struct {
	*httpapi.Problem
	RetryAfter int64 `json:"retry_after_ms,omitempty"`
}

// errorFrame returns the error frame for err in answer to the client's frame
// id. trace is the id that the client may quote.
func errorFrame(id, trace string, err error, retryAfter time.Duration) live.Frame {
	if known := (*gotong.Error)(nil); errors.As(err, &known) && known.RetryAfterS > 0 {
		retryAfter = time.Duration(known.RetryAfterS) * time.Second
	}
	return encode(struct {
		Op      string  `json:"op"`
		ID      string  `json:"id,omitempty"`
		Problem problem `json:"problem"`
	}{"error", id, problem{httpapi.ProblemOf(err, trace), retryAfter.Milliseconds()}})
}

// ackFrame is encoded by hand because every command is answered with one.
func ackFrame(id string, r gotong.Receipt) live.Frame {
	b := make([]byte, 0, 512) // on the stack; the frame is a copy
	b = append(b, `{"op":"ack"`...)
	if id != "" {
		b = append(b, `,"id":`...)
		b = appendString(b, id)
	}
	b = append(b, `,"receipt":{"stream":`...)
	b = appendString(b, string(r.Stream))
	b = append(b, `,"seq":[`...)
	if r.First > 0 {
		b = strconv.AppendUint(b, r.First, 10)
		b = append(b, ',')
		b = strconv.AppendUint(b, r.Last, 10)
	}
	b = append(b, `],"event_ids":[`...)
	for i, id := range r.EventIDs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b, _ = id.AppendText(b)
		b = append(b, '"')
	}
	b = append(b, `],"at":"`...)
	b, _ = r.At.AppendText(b)
	b = append(b, `","chain":"`...)
	b = hex.AppendEncode(b, r.Chain[:])
	b = append(b, `","replayed":`...)
	b = strconv.AppendBool(b, r.Replayed)
	return live.NewFrame(append(b, '}', '}'))
}

func appendString(b []byte, s string) []byte {
	if verbatim(s) {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		return append(b, '"', '"')
	}
	return append(b, quoted...)
}

// verbatim reports whether the JSON form of s is s within quotes, also by the rules
// of encoding/json, which escapes what HTML gives a meaning.
func verbatim(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

func encode(v any) live.Frame {
	b, err := json.Marshal(v)
	if err != nil { // these types always have a JSON form
		b = []byte(`{"op":"error","problem":{"code":"internal","status":500}}`)
	}
	return live.NewFrame(b)
}
