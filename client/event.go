package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/proof"
)

// Event is one event of a stream as the server shows it to this viewer.
type Event struct {
	Stream        gotong.Stream     `json:"-"`
	Epoch         gotong.Epoch      `json:"-"`
	Seq           uint64            `json:"seq"`
	ID            gotong.EventID    `json:"id"`
	Type          string            `json:"type"` // message.posted and the like
	At            gotong.Instant    `json:"at"`
	Actor         Actor             `json:"actor"`
	Data          json.RawMessage   `json:"data"` // an object; its fields depend on Type
	RequestID     string            `json:"request_id"`
	Names         map[string]string `json:"names"` // of the users whom Data names, by id
	CorrelationID string            `json:"correlation_id"`
	Chain         gotong.Hash       `json:"chain"`
}

// Actor is the user who caused the event. Name is empty if the server sends
// none.
type Actor struct {
	UserID string      `json:"user_id"`
	Name   string      `json:"name"`
	Role   gotong.Role `json:"role"`

	Username string `json:"username"` // of the other user in a direct thread
}

// Cursor returns the cursor "everything up to this event", from which a
// subscription continues after it.
func (e Event) Cursor() gotong.Cursor { return gotong.Cursor{Epoch: e.Epoch, Seq: e.Seq} }

// Decode reads the event's data into a value.
func (e Event) Decode(into any) error { return json.Unmarshal(e.Data, into) }

// Signal is an ephemeral notice: a user is typing, users are present, or the
// caller set a read mark on another device.
type Signal struct {
	Stream gotong.Stream
	Type   string
	Actor  Actor           // zero for presence
	Data   json.RawMessage // nil if there is none
}

// Presence is who follows a stream. Each replaces the one before.
type Presence struct {
	Present int      `json:"present"` // the number of users, the caller among them
	Users   []string `json:"users"`   // their ids; nil if they are too many to list
}

// Presence returns what a signal of type "presence" reports; ok is false for any
// other.
func (s Signal) Presence() (p Presence, ok bool) {
	ok = s.Type == "presence" && json.Unmarshal(s.Data, &p) == nil
	return p, ok
}

// From is the place where a subscription begins: [Now], [Start], or a cursor's
// text.
type From string

// The two places that need no cursor.
const (
	Now   From = ""
	Start From = "start" // the first event that the caller may see
)

// At returns the place after a cursor.
func At(c gotong.Cursor) From { return From(c.String()) }

// Ended reports that a stream is no longer followed. It wraps
// [ErrAccessRevoked], [ErrResyncRequired] or [ErrUnserved], and the server's
// [Problem] if there was one.
type Ended struct { //nolint:errname // first of all a notice; an error only if no handler receives it
	Stream gotong.Stream
	Reason string // the server's reason; empty if it gave none
	Err    error
}

// The reasons why a stream ends.
var (
	// ErrAccessRevoked means that the caller may not read the stream, or no
	// longer may.
	ErrAccessRevoked = errors.New("client: no access")

	// ErrResyncRequired means that the cursor is no longer valid, because the
	// log has another history or is shorter. Read the state again and follow
	// from the cursor that comes with it.
	ErrResyncRequired = errors.New("client: resync required")

	// ErrUnserved means that the server has the next event and cannot serve it,
	// because it is damaged or was written by a newer version of the server. A
	// subscription may begin beyond it.
	ErrUnserved = errors.New("client: the next event cannot be served")
)

// errUnread ends a request over several streams if the server could not read one.
var errUnread = errors.New("client: the server could not read a stream")

func (e *Ended) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s ended: %v", e.Stream, e.Err)
	}
	return fmt.Sprintf("%s ended: %v (%s)", e.Stream, e.Err, e.Reason)
}

func (e *Ended) Unwrap() error { return e.Err }

// cursorCodes are problems with the cursor, not with the caller's rights.
var cursorCodes = []gotong.Code{gotong.CodeEpochChanged, gotong.CodeCursorAhead, gotong.CodeCursorInvalid}

// unservedCodes mean that the server cannot serve the next event to anybody.
var unservedCodes = []gotong.Code{gotong.CodeCorruptEvent, gotong.CodeUnreadable}

// refused returns the end of a stream whose subscription was rejected with p.
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

// frame is any frame that a server may send; Op says which fields it has.
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

// protocolError means that the server broke the protocol. The connection is
// closed and established again.
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

// check rejects an events frame that contradicts itself: seqs beyond the range
// that it covers, or not ascending.
func (f *frame) check() error {
	if f.Op != "events" {
		return nil
	}
	if f.To < f.From {
		return protocolError("a frame whose to is less than its from")
	}
	last := f.From
	for i := range f.Events {
		if f.Events[i].Seq <= last || f.Events[i].Seq > f.To {
			return protocolError("events that are out of order or outside the range of their frame")
		}
		last = f.Events[i].Seq
		f.Events[i].Stream = f.Stream
	}
	return nil
}

// Proof fetches the proof of an event and verifies it with keys that the caller
// knows from elsewhere, so that it need not trust the server. It returns the event
// only if all of it was verified; otherwise the error wraps [proof.ErrAltered] or
// [proof.ErrUnverified]. If the trust requires cosignatures, a new
// event may lack them for some seconds. Whether the evidence in the proof gives
// the event is not verified.
func (c *Client) Proof(ctx context.Context, stream gotong.Stream, seq uint64, trust proof.Trust) (proof.Event, proof.Checked, error) {
	path := fmt.Sprintf("/v1/streams/%s/%s/events/%d/proof", url.PathEscape(stream.Kind()), url.PathEscape(stream.ID()), seq)
	e, err := read[proof.Event](ctx, c, path, nil)
	if err != nil {
		return proof.Event{}, proof.Checked{}, err
	}
	if e.Form != proof.EventForm || e.Stream != stream || e.Seq != seq {
		return proof.Event{}, proof.Checked{}, fmt.Errorf("%w: the answer is the proof of event %d of %q, not of event %d of %s",
			proof.ErrAltered, e.Seq, e.Stream, seq, stream)
	}
	checked, err := e.Check(trust)
	if err != nil {
		return proof.Event{}, proof.Checked{}, err
	}
	return e, checked, nil
}
