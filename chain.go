package gotong

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// Salt blinds a commitment, so that erased content cannot be guessed from it.
type Salt [32]byte

// String returns lower-case hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns lower-case hex.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads hex.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(h)) {
		return Invalid("hash", "must be 64 hex digits")
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// Domain separation: no hash of one kind is valid as one of another.
const (
	tagHeader  = 0x10
	tagData    = 0x20
	tagContent = 0x21
)

// HeaderVersion is the first byte of every encoded header. Every store and
// every exported file records it. Another version is rejected: a hashed log
// cannot be migrated.
const HeaderVersion = 2

// Header is what one link of a stream's hash chain covers.
type Header struct {
	Epoch     Epoch
	Partition Partition
	Stream    Stream
	Seq       uint64
	ID        EventID
	Type      string
	At        Instant
	Audience  Audience
	Count     uint64
	Prev      Hash // the chain of the previous event; zero for the first
	Data      Hash // CommitData
	Content   Hash // CommitContent
}

// Append encodes the header: version byte, then epoch, partition, stream, seq,
// id, type, at, audience, count, previous chain and the two commitments, each
// preceded by its big-endian 32-bit length; numbers are 8 bytes, big-endian.
// The layout never changes; golden vectors in testdata fix it.
func (h Header) Append(b []byte) []byte {
	b = append(b, HeaderVersion)
	b = appendField(b, string(h.Epoch))
	b = appendNumber(b, uint64(h.Partition))
	b = appendField(b, string(h.Stream))
	b = appendNumber(b, h.Seq)
	b = appendField(b, string(h.ID[:]))
	b = appendField(b, h.Type)
	b = appendNumber(b, uint64(h.At)) //nolint:gosec // two's complement on purpose: a fixed layout
	b = appendField(b, string(h.Audience))
	b = appendNumber(b, h.Count)
	b = appendField(b, string(h.Prev[:]))
	b = appendField(b, string(h.Data[:]))
	return appendField(b, string(h.Content[:]))
}

// Chain returns the link: SHA-256(0x10 || header).
func (h Header) Chain() Hash {
	b := make([]byte, 1, 448)
	b[0] = tagHeader
	return sha256.Sum256(h.Append(b))
}

// CommitData returns the commitment to an event's data: SHA-256(0x20 || salt ||
// data).
func CommitData(salt Salt, data []byte) Hash { return commit(tagData, salt, data) }

// CommitContent returns the commitment to an event's content: SHA-256(0x21 ||
// salt || content).
func CommitContent(salt Salt, content []byte) Hash { return commit(tagContent, salt, content) }

func commit(tag byte, salt Salt, body []byte) Hash {
	b := make([]byte, 0, 512) // on the stack; a longer body moves to the heap
	b = append(b, tag)
	b = append(b, salt[:]...)
	return sha256.Sum256(append(b, body...))
}

func appendField(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s))) //nolint:gosec // the edge bounds the fields
	return append(b, s...)
}

func appendNumber(b []byte, n uint64) []byte {
	b = binary.BigEndian.AppendUint32(b, 8)
	return binary.BigEndian.AppendUint64(b, n)
}
