package live

import (
	"encoding/binary"

	"gotong.dev/gotong"
)

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
