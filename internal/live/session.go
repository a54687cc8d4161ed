package live

import (
	"context"

	"gotong.dev/gotong"
)

// SessionOptions are a transport's side of a session.
type SessionOptions struct {
	// Wake is called at least once after something became takeable since the
	// last Take that returned more == false, from any goroutine and with locks
	// of the hub held: it must not block and must not call the hub or the
	// session; it notes that there is work and returns. Nil where the transport
	// uses Next only.
	Wake func()

	// Kill cuts the connection at once, whatever a write is doing. It is called
	// at most once, from its own goroutine. Nil: nothing is cut.
	Kill func()
}

// Closing is a request to close the connection.
type Closing struct {
	Code   int // a WebSocket close code of the protocol page
	Reason string
}

// Start says where a subscription begins; the zero Start is [Now].
type Start struct {
	cursor gotong.Cursor
	mode   startMode
}

type startMode uint8

const (
	fromNow startMode = iota
	fromFirst
	fromCursor
)

// Now begins after the newest event.
func Now() Start { return Start{} }

// First begins at the first event that the reader may see.
func First() Start { return Start{mode: fromFirst} }

// At begins after a cursor.
func At(c gotong.Cursor) Start { return Start{cursor: c, mode: fromCursor} }

// Subscription is a wish to follow a stream.
type Subscription struct {
	ID     string // of the frame that asks; echoed in its answer, may be empty
	Stream gotong.Stream
	Start  Start

	// Resumed makes a refusal an access_revoked frame instead of an error
	// frame: for the entries of a cursor over several streams (contract D9).
	Resumed bool
}

// Session is one client connection with its subscriptions.
type Session struct{}

// ID names the session: random, no secret.
func (s *Session) ID() string { return "" }

// Reader is who reads.
func (s *Session) Reader() gotong.Reader { return gotong.Reader{} }

// Subscribe begins to follow a stream. It answers at once; whether the stream
// may be read comes as a frame: subscribed, or error. A stream that is not
// there and one that may not be read give the same error. Returned errors are
// CodeConflict (followed already) and CodeTooLarge (too many); they put no
// frame.
func (s *Session) Subscribe(sub Subscription) error { return nil }

// Unsubscribe ends a subscription; false where there is none.
func (s *Session) Unsubscribe(stream gotong.Stream) bool { return false }

// Outcome waits until it is known whether a subscription was accepted: nil, or
// the error of its error frame. For transports that answer with a status
// before their first frame.
func (s *Session) Outcome(ctx context.Context, stream gotong.Stream) error { return nil }

// Signal sends an ephemeral sign to the other subscribers of a followed
// stream: CodeNotFound where it is not followed with a permission that holds
// now, CodeInvalid where the kind has no such signal.
func (s *Session) Signal(stream gotong.Stream, typ string) error { return nil }

// Put queues a control frame of the transport: acks, errors, pong, welcome.
// They go before events. False says that enough wait: the transport must read
// no more from its client until a Take. The frame is queued even then; at four
// times the limit the session is asked to close with 1013.
func (s *Session) Put(f Frame) bool { return false }

// Room reports whether Put would still say true.
func (s *Session) Room() bool { return false }

// Take appends the frames that may be written now to dst, up to about maxBytes
// (at least one frame, if there is one): control frames, then events by
// subscription, then signals. It never blocks. more says that there is more to
// take at once; Wake is then not called before another Take. After Take has
// returned frames, Written must be called once they were written or given up.
func (s *Session) Take(dst []Frame, maxBytes int) (frames []Frame, more bool) { return dst, false }

// Written says that the frames of the last Take are out of the transport's
// hands: written to the socket, or never to be written.
func (s *Session) Written() {}

// Next waits until Take gives frames, and returns them as Take does; ctx's
// error or ErrClosed where nothing will come.
func (s *Session) Next(ctx context.Context, dst []Frame, maxBytes int) ([]Frame, bool, error) {
	return dst, false, nil
}

// Cursors are the cursors of the accepted subscriptions after the frames taken
// so far, in the order of subscribing.
func (s *Session) Cursors() []gotong.StreamCursor { return nil }

// Closing tells whether and how the transport is asked to close. It writes
// what Take still gives, finishes commands in flight, then closes. Wake is
// called when the request comes.
func (s *Session) Closing() (Closing, bool) { return Closing{}, false }

// Close ends the session and all its subscriptions; it may be called more than
// once.
func (s *Session) Close() {}
