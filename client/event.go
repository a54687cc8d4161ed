package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gotong.dev/gotong"
)

// Event is one event of a stream as the server shows it to this reader.
type Event struct {
	Stream        gotong.Stream   `json:"-"`
	Epoch         gotong.Epoch    `json:"-"`
	Seq           uint64          `json:"seq"`
	ID            gotong.EventID  `json:"id"`
	Type          string          `json:"type"` // message.posted and the like
	At            gotong.Instant  `json:"at"`
	Actor         Actor           `json:"actor"`
	Data          json.RawMessage `json:"data"` // an object; its fields depend on Type
	RequestID     string          `json:"request_id"`
	CorrelationID string          `json:"correlation_id"`
	Chain         gotong.Hash     `json:"chain"`
}

// Actor is who did it. Name is empty where the server shows none.
type Actor struct {
	UserID string      `json:"user_id"`
	Name   string      `json:"name"`
	Role   gotong.Role `json:"role"`
}

// Cursor says "everything up to this event": where to go on after it.
func (e Event) Cursor() gotong.Cursor { return gotong.Cursor{Epoch: e.Epoch, Seq: e.Seq} }

// Decode reads the event's data into a value.
func (e Event) Decode(into any) error { return json.Unmarshal(e.Data, into) }

// Signal is ephemeral: somebody types, somebody is here.
type Signal struct {
	Stream gotong.Stream
	Type   string
	Actor  Actor
	Data   json.RawMessage // nil where there is none
}

// From says where a subscription begins: [Now], [Start], or a cursor's text.
type From string

// The two beginnings that need no cursor.
const (
	Now   From = ""
	Start From = "start" // the first event that this reader may see
)

// At begins after a cursor.
func At(c gotong.Cursor) From { return From(c.String()) }

// Ended says that a stream is followed no longer. It wraps [ErrAccessRevoked]
// or [ErrResyncRequired], and the server's [Problem] where there was one.
type Ended struct { //nolint:errname // a stream that ended is news first, and an error where nobody asked for the news
	Stream gotong.Stream
	Reason string // the server's word for it; empty where it gave none
	Err    error
}

// Why a stream ends.
var (
	// ErrAccessRevoked: this reader may not read the stream, or no longer.
	ErrAccessRevoked = errors.New("client: no access")

	// ErrResyncRequired: the cursor is good for nothing any more, because the
	// log has another history or another end. Read the state anew and follow
	// from the cursor that came with it.
	ErrResyncRequired = errors.New("client: resync required")

	// ErrUnserved: the server has the next event and cannot serve it, because it
	// is damaged or of a newer version of the server. What lies beyond it can be
	// asked for.
	ErrUnserved = errors.New("client: the next event cannot be served")
)

// errUnread ends a request of which a stream could not be read.
var errUnread = errors.New("client: the server could not read a stream")

// Error implements error.
func (e *Ended) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s ended: %v", e.Stream, e.Err)
	}
	return fmt.Sprintf("%s ended: %v (%s)", e.Stream, e.Err, e.Reason)
}

// Unwrap is why.
func (e *Ended) Unwrap() error { return e.Err }

// cursorCodes say that the cursor is of no use, and not who may read.
var cursorCodes = []gotong.Code{gotong.CodeEpochChanged, gotong.CodeCursorAhead, gotong.CodeCursorInvalid}

// unservedCodes say that the server cannot serve the next event to anybody.
var unservedCodes = []gotong.Code{gotong.CodeCorruptEvent, gotong.CodeUnreadable}

// refused is the end of a stream whose subscription a problem refused.
func refused(stream gotong.Stream, p *Problem) *Ended {
	err := ErrAccessRevoked
	switch {
	case slices.Contains(cursorCodes, p.Err.Code):
		err = ErrResyncRequired
	case slices.Contains(unservedCodes, p.Err.Code):
		err = ErrUnserved
	}
	return &Ended{Stream: stream, Err: fmt.Errorf("%w: %w", err, p)}
}

// frame is every frame that a server may send; Op says which fields belong.
type frame struct {
	Op           string          `json:"op"`
	ID           string          `json:"id"`
	Stream       gotong.Stream   `json:"stream"`
	Cursor       string          `json:"cursor"`
	Session      string          `json:"session"`
	HeartbeatMS  int64           `json:"heartbeat_ms"`
	From         uint64          `json:"from"`
	To           uint64          `json:"to"`
	Events       []Event         `json:"events"`
	Receipt      *wireReceipt    `json:"receipt"`
	Problem      *wireProblem    `json:"problem"`
	Reason       string          `json:"reason"`
	RetryAfterMS int64           `json:"retry_after_ms"`
	Type         string          `json:"type"`
	Actor        Actor           `json:"actor"`
	Data         json.RawMessage `json:"data"`
}

func (f *frame) retryAfter() time.Duration { return time.Duration(f.RetryAfterMS) * time.Millisecond }

// wireReceipt is a receipt as JSON; seq is empty for a no-op.
type wireReceipt struct {
	Stream   gotong.Stream    `json:"stream"`
	Seq      []uint64         `json:"seq"`
	EventIDs []gotong.EventID `json:"event_ids"`
	At       gotong.Instant   `json:"at"`
	Chain    gotong.Hash      `json:"chain"`
	Replayed bool             `json:"replayed"`
}

func (w *wireReceipt) receipt() gotong.Receipt {
	r := gotong.Receipt{
		Stream: w.Stream, EventIDs: w.EventIDs, At: w.At, Chain: w.Chain, Replayed: w.Replayed,
	}
	if len(w.Seq) == 2 {
		r.First, r.Last = w.Seq[0], w.Seq[1]
	}
	return r
}

// protocolError is a server that does not keep the protocol; the connection is
// given up and taken up again.
type protocolError string

func (e protocolError) Error() string { return "client: the server broke the protocol: " + string(e) }

func decodeFrame(b []byte) (*frame, error) {
	f := &frame{}
	if err := json.Unmarshal(b, f); err != nil {
		return nil, protocolError("a frame that cannot be read")
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	return f, nil
}

// check refuses an events frame that contradicts itself: seqs beyond what it
// says it covers, or not ascending.
func (f *frame) check() error {
	if f.Op != "events" {
		return nil
	}
	if f.To < f.From {
		return protocolError("a frame that ends before it begins")
	}
	last := f.From
	for i := range f.Events {
		if f.Events[i].Seq <= last || f.Events[i].Seq > f.To {
			return protocolError("events out of order or out of their frame")
		}
		last = f.Events[i].Seq
		f.Events[i].Stream = f.Stream
	}
	return nil
}
