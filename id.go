package gotong

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// EventID is a UUIDv7 (RFC 9562) built from the event's instant: 48 bits of
// milliseconds, 12 bits of the microsecond within it (method 3, "replace
// leftmost random bits with increased clock precision"), 62 random bits.
// Because instants strictly increase within a stream, order by seq, by (at,
// id) and by id alone are one order.
type EventID [16]byte

// NewEventID returns the id of an event at this instant. Only the lowest 62
// bits of random are used.
func NewEventID(at Instant, random uint64) EventID {
	var id EventID
	milli, micro := splitMilli(at)
	binary.BigEndian.PutUint64(id[0:8], milli<<16|0x7000|micro*4096/1000)
	binary.BigEndian.PutUint64(id[8:16], 0x8000000000000000|random&0x3fffffffffffffff)
	return id
}

func splitMilli(at Instant) (milli, micro uint64) {
	m := at.Milli()
	return uint64(m), uint64(int64(at) - m*1000) //nolint:gosec // instants of a log are after 1970
}

// At returns the instant from which the id was built.
func (id EventID) At() Instant {
	head := binary.BigEndian.Uint64(id[0:8])
	milli, frac := head>>16, head&0x0fff
	return Instant(milli*1000 + (frac*1000+4095)/4096)
}

// Compare compares ids as their bytes, which is the order of their instants.
func (id EventID) Compare(other EventID) int { return bytes.Compare(id[:], other[:]) }

// IsZero reports whether the id is unset.
func (id EventID) IsZero() bool { return id == EventID{} }

// String returns the canonical form, 36 characters in lower case.
func (id EventID) String() string { b, _ := id.AppendText(make([]byte, 0, 36)); return string(b) }

// AppendText appends the canonical form to b; it never fails.
func (id EventID) AppendText(b []byte) ([]byte, error) {
	for i, cut := range [...]int{0, 4, 6, 8, 10} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, id[cut:[...]int{4, 6, 8, 10, 16}[i]])
	}
	return b, nil
}

// MarshalText returns the canonical form.
func (id EventID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText parses the canonical form; see [ParseEventID].
func (id *EventID) UnmarshalText(b []byte) (err error) {
	*id, err = parseEventID(b)
	return err
}

// ParseEventID parses the canonical form of an event's id. Upper case, braces
// and other UUID versions are errors with [CodeInvalid].
func ParseEventID(s string) (EventID, error) { return parseEventID(s) }

func parseEventID[S string | []byte](s S) (id EventID, err error) {
	ok, n := len(s) == 36, 0
	for i := 0; ok && i < len(s); i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			ok = s[i] == '-'
			continue
		}
		var digit byte
		digit, ok = hexDigit(s[i])
		id[n/2] = id[n/2]<<4 | digit
		n++
	}
	if !ok || id[6]>>4 != 7 || id[8]>>6 != 2 {
		return EventID{}, Invalid("id", "must be a UUIDv7 in lower case")
	}
	return id, nil
}

func hexDigit(c byte) (value byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	default:
		return 0, false
	}
}

// DeriveID returns the id of what this request creates: the same actor and
// request id always yield the same id, so a retried create makes no second one.
// The form is a UUIDv8 (RFC 9562) of a SHA-256 over length-prefixed fields.
func DeriveID(kind, actor, requestID string) string {
	b := make([]byte, 0, 512) // on the stack
	b = append(b, "gotong derived id v1"...)
	for _, field := range [...]string{kind, actor, requestID} {
		b = appendField(b, field)
	}
	sum := sha256.Sum256(b)
	id := EventID(sum[:len(EventID{})])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}
