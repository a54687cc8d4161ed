package engine

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// noise holds the random bytes of one commit, from one read of the system's
// randomness.
type noise struct {
	one  [noisePerCommit + noisePerEvent]byte
	more []byte // of a commit with several events
	used int
}

const (
	noisePerCommit = len(gotong.Salt{})
	noisePerEvent  = 2*len(gotong.Salt{}) + 8
)

func newNoise(events int) (n noise) {
	if events > 1 {
		n.more = make([]byte, noisePerCommit+events*noisePerEvent)
		_, _ = rand.Read(n.more) // never fails (crypto/rand)
		return n
	}
	_, _ = rand.Read(n.one[:])
	return n
}

// read fills b with bytes that no other call returns.
func (n *noise) read(b []byte) {
	from := n.one[:]
	if n.more != nil {
		from = n.more
	}
	n.used += copy(b, from[n.used:n.used+len(b)])
}

// fingerprint is HMAC-SHA-256, keyed with the commit's salt, over the
// operation, the stream, the body as received and each target, each preceded by
// its length (contract I2).
func fingerprint(salt []byte, cmd *gotong.Command) [sha256.Size]byte {
	b := make([]byte, sha256.BlockSize, 1024) // on the stack; a longer message moves to the heap
	b = appendField(b, cmd.Type)
	b = appendField(b, string(cmd.Stream))
	b = binary.BigEndian.AppendUint64(b, uint64(len(cmd.Raw)))
	b = append(b, cmd.Raw...)
	for _, t := range cmd.Targets {
		b = appendField(b, t)
	}
	return mac(salt, b)
}

func appendField(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
}

// same reports whether the command repeats the request of a record that has a
// salt.
func same(record *store.Record, cmd *gotong.Command) bool {
	want := fingerprint(record.Salt, cmd)
	return hmac.Equal(record.Fingerprint, want[:])
}

// mac returns HMAC-SHA-256 (RFC 2104) of what follows the first block of b,
// which it overwrites; the key is at most one block long. It allocates nothing,
// where crypto/hmac makes eight objects for each message.
func mac(key, b []byte) [sha256.Size]byte {
	const inner, outer = 0x36, 0x5c
	pad(b, key, inner)
	sum := sha256.Sum256(b)
	var last [sha256.BlockSize + sha256.Size]byte
	pad(last[:], key, outer)
	copy(last[sha256.BlockSize:], sum[:])
	return sha256.Sum256(last[:])
}

// pad fills the first block of b with the key, padded with zeros and XORed with a
// constant.
func pad(b, key []byte, with byte) {
	block := b[:sha256.BlockSize]
	clear(block)
	copy(block, key)
	for i := range block {
		block[i] ^= with
	}
}
