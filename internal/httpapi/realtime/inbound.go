package realtime

import (
	"encoding/binary"
	"unicode/utf8"
)

// The opcodes of frames (RFC 6455, section 5.2).
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa

	finalBit   = 0x80 // in the first byte
	maskedBit  = 0x80 // in the second byte
	maxControl = 125  // bytes in a control frame
)

// inbound turns the bytes of one client into messages (RFC 6455, section 5).
// Between two frames it is empty.
type inbound struct {
	part     []byte // of a frame of which the rest has not arrived
	text     []byte // of a message of which fragments have not arrived
	fragment byte   // the opcode of that message; 0: there is none
}

func (in *inbound) empty() bool { return in.part == nil && in.fragment == 0 }

// ending is why a connection ends, with the close frame that answers the
// client: its code, where 0 is a frame without a code.
type ending struct {
	code   int
	reason string
	word   string // the metric's label
}

func (e *ending) Error() string { return "realtime: " + e.reason }

// violation is the ending for a client that breaks RFC 6455.
func violation(code int, reason string) *ending { return &ending{code, reason, "protocol"} }

// feed passes the messages that b completes to handle: texts, binaries and
// control frames. It changes b, and their payloads are only valid during the
// call. An error, its own or that of handle, ends the connection.
func (in *inbound) feed(b []byte, handle func(opcode byte, payload []byte) error) error {
	waiting := in.part != nil
	if waiting {
		in.part = append(in.part, b...)
		b = in.part
	}
	whole := len(b)
	for {
		first, payload, size, err := nextFrame(b)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		b = b[size:]
		if err := in.frame(first, payload, handle); err != nil {
			return err
		}
	}
	switch {
	case len(b) == 0:
		in.part = nil
	case !waiting || len(b) < whole:
		in.part = append([]byte(nil), b...)
	}
	return nil
}

// nextFrame returns the first byte, the unmasked payload and the size of the
// frame at the beginning of b; size is 0 if a part of it is missing.
func nextFrame(b []byte) (first byte, payload []byte, size int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	const mask = 4
	length, head := uint64(b[1]&^maskedBit), 2
	switch {
	case length == 126 && len(b) >= 4:
		length, head = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case length == 127 && len(b) >= 10:
		length, head = binary.BigEndian.Uint64(b[2:]), 10
	case length > maxControl:
		return 0, nil, 0, nil
	}
	if err := checkFrame(b[0], b[1], length); err != nil {
		return 0, nil, 0, err
	}
	size = head + mask + int(length) //nolint:gosec // checked: at most maxFrame
	if len(b) < size {
		return 0, nil, 0, nil
	}
	payload = b[head+mask : size]
	unmask(payload, binary.LittleEndian.Uint32(b[head:]))
	return b[0], payload, size, nil
}

func checkFrame(first, second byte, length uint64) error {
	opcode := first & 0x0f
	switch {
	case length > maxFrame && length>>63 == 0:
		return violation(closeTooBig, "the frame is too big")
	case length > maxFrame:
		return violation(closeProtocol, "the length is negative")
	case first&0x70 != 0:
		return violation(closeProtocol, "a reserved bit is set")
	case second&maskedBit == 0:
		return violation(closeProtocol, "the frame is not masked")
	case opcode > opBinary && opcode < opClose || opcode > opPong:
		return violation(closeProtocol, "the opcode is unknown")
	case opcode >= opClose && (first&finalBit == 0 || length > maxControl):
		return violation(closeProtocol, "the control frame is in fragments or too long")
	}
	return nil
}

func unmask(b []byte, mask uint32) {
	key := uint64(mask)<<32 | uint64(mask)
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^key)
	}
	for i := range b {
		b[i] ^= byte(key >> (8 * i)) //nolint:gosec // one byte after the other
	}
}

// frame passes a control frame or a message that this frame completes to
// handle, and keeps the fragments of others.
func (in *inbound) frame(first byte, payload []byte, handle func(byte, []byte) error) error {
	opcode, final := first&0x0f, first&finalBit != 0
	if opcode >= opClose {
		return handle(opcode, payload)
	}
	if (opcode == 0) != (in.fragment != 0) {
		return violation(closeProtocol, "a fragment is out of order")
	}
	if opcode == 0 || !final {
		if opcode != 0 {
			in.fragment = opcode
		}
		if len(in.text)+len(payload) > maxFrame {
			return violation(closeTooBig, "the message is too big")
		}
		in.text = append(in.text, payload...)
		if !final {
			return nil
		}
		opcode, payload = in.fragment, in.text
		in.fragment, in.text = 0, nil
	}
	if opcode == opText && !utf8.Valid(payload) {
		return violation(closeBadText, "the text is not UTF-8")
	}
	return handle(opcode, payload)
}

// goodbye returns the ending for a close frame of the client.
func goodbye(payload []byte) *ending {
	if len(payload) == 0 {
		return &ending{word: "left"}
	}
	code := 0
	if len(payload) > 1 {
		code = int(binary.BigEndian.Uint16(payload))
	}
	switch {
	case code < 1000, code >= 1004 && code <= 1006, code >= 1014 && code < 3000, code >= 5000: // RFC 6455, section 7.4
		return &ending{closeProtocol, "the close code is not valid", "left"}
	case !utf8.Valid(payload[2:]):
		return &ending{closeBadText, "the reason is not UTF-8", "left"}
	}
	return &ending{code: code, word: "left"}
}

// closeFrame returns a close frame; code 0 makes one without a code.
func closeFrame(code int, reason string) []byte {
	if code == 0 {
		return []byte{closeOpcode, 0}
	}
	reason = reason[:min(len(reason), maxControl-2)]
	b := append(make([]byte, 0, 4+len(reason)), closeOpcode, byte(2+len(reason))) //nolint:gosec // at most 125
	b = binary.BigEndian.AppendUint16(b, uint16(code))                            //nolint:gosec // close codes fit
	return append(b, reason...)
}
