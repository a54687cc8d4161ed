package gotong

import (
	"hash/fnv"
	"strings"
)

// Stream is the name of the ordered events of one entity: "kind/id".
type Stream string

// Partitions is the number of parts of a log. It belongs to the log, not to an
// adapter: a copy between databases keeps every event in its part.
const Partitions = 16

// Partition is a part of the log with one commit order.
type Partition uint8

const (
	maxKindLen = 32
	maxIDLen   = 128
)

// NewStream joins a kind and an id. It does not validate; see [ParseStream].
func NewStream(kind, id string) Stream { return Stream(kind + "/" + id) }

// ParseStream reads "kind/id": the kind is 1 to 32 of a-z0-9_, the id 1 to 128
// of A-Za-z0-9._:-. Anything else is an error with code [CodeInvalid].
func ParseStream(s string) (Stream, error) {
	kind, id, ok := strings.Cut(s, "/")
	if !ok || !within(kind, maxKindLen, isKindByte) || !within(id, maxIDLen, isNameByte) {
		return "", Invalid("stream", "must be kind/id, as in thread/0192…")
	}
	return Stream(s), nil
}

// Kind returns the part before the slash.
func (s Stream) Kind() string { kind, _, _ := strings.Cut(string(s), "/"); return kind }

// ID returns the part after the slash.
func (s Stream) ID() string { _, id, _ := strings.Cut(string(s), "/"); return id }

// PartitionOf returns the partition of all streams of this home. The hash
// (FNV-1a, 32 bit) is part of the log's format and never changes.
func PartitionOf(home Stream) Partition {
	h := fnv.New32a()
	_, _ = h.Write([]byte(home))
	return Partition(h.Sum32() % Partitions)
}

// RequestKey is the primary id of an idempotency record.
type RequestKey struct {
	Stream    Stream
	Actor     string
	RequestID string
}

// ValidRequestID reports whether id is 1 to 128 of A-Za-z0-9._:-.
func ValidRequestID(id string) bool { return within(id, maxIDLen, isNameByte) }

func within(s string, limit int, ok func(byte) bool) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isKindByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' }

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '.' || c == '_' || c == ':' || c == '-'
}
