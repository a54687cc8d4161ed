package gotong

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// Epoch names one history of the log: 4 to 32 of a-z0-9.
type Epoch string

// Cursor means "everything of one stream after this". Its text is "epoch:seq".
type Cursor struct {
	Epoch Epoch
	Seq   uint64
}

// MaxCursors is the number of streams that one request may follow.
const MaxCursors = 32

// String returns "epoch:seq".
func (c Cursor) String() string { return string(c.Epoch) + ":" + strconv.FormatUint(c.Seq, 10) }

// ParseCursor parses "epoch:seq". The error of anything else has
// [CodeCursorInvalid].
func ParseCursor(s string) (Cursor, error) {
	epoch, seq, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(seq, 10, 63)
	c := Cursor{Epoch(epoch), n}
	if !ok || err != nil || len(epoch) < 4 || !within(epoch, 32, isEpochByte) || c.String() != s {
		return Cursor{}, cursorInvalid()
	}
	return c, nil
}

// Check returns nil if the cursor can be used on a stream of this epoch with
// this head, and otherwise an error with [CodeEpochChanged] or
// [CodeCursorAhead].
func (c Cursor) Check(epoch Epoch, head uint64) error {
	switch {
	case c.Epoch != epoch:
		return NewError(CodeEpochChanged, "The history was restored or rolled back since this cursor was issued; read the state again.")
	case c.Seq > head:
		return NewError(CodeCursorAhead, "The cursor is ahead of the stream.")
	default:
		return nil
	}
}

// StreamCursor is one entry of the cursor of a request over several streams.
type StreamCursor struct {
	Stream Stream
	Cursor Cursor
}

// FormatCursors returns the cursor of several streams: base64url of lines
// "stream=epoch:seq".
func FormatCursors(list []StreamCursor) string {
	lines := make([]string, len(list))
	for i, c := range list {
		lines[i] = string(c.Stream) + "=" + c.Cursor.String()
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(lines, "\n")))
}

// ParseCursors parses the result of [FormatCursors]: 1 to [MaxCursors]
// different streams. The error of anything else has [CodeCursorInvalid].
func ParseCursors(s string) ([]StreamCursor, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) == 0 {
		return nil, cursorInvalid()
	}
	lines := strings.Split(string(raw), "\n")
	if len(lines) > MaxCursors {
		return nil, cursorInvalid()
	}
	list := make([]StreamCursor, 0, len(lines))
	seen := make(map[Stream]bool, len(lines))
	for _, line := range lines {
		name, text, _ := strings.Cut(line, "=")
		stream, err := ParseStream(name)
		if err != nil || seen[stream] {
			return nil, cursorInvalid()
		}
		cursor, err := ParseCursor(text)
		if err != nil {
			return nil, err
		}
		seen[stream] = true
		list = append(list, StreamCursor{stream, cursor})
	}
	return list, nil
}

func isEpochByte(c byte) bool { return c != '_' && isKindByte(c) }

func cursorInvalid() *Error { return NewError(CodeCursorInvalid, "The cursor is malformed.") }
