package edgepod

import (
	"hash/fnv"
	"math"
	"math/bits"
	"strings"
)

// MinHash estimates how much two texts have in common: the share of equal places
// in two signatures is the share of shingles that the texts share.
const (
	places  = 128 // of a signature; the error of the estimate is about 4 %
	shingle = 3   // words
)

type signature [places]uint64

// sign returns the signature of a text; false if it has fewer than 4 words, because
// short texts are equal by chance.
func sign(s string) (sig signature, ok bool) {
	words := fold(s)
	if len(words) <= shingle {
		return sig, false
	}
	for i := range sig {
		sig[i] = math.MaxUint64
	}
	for i := 0; i+shingle <= len(words); i++ {
		h := fnv.New64a()
		_, _ = h.Write([]byte(strings.Join(words[i:i+shingle], " ")))
		x := h.Sum64()
		for p := range sig {
			sig[p] = min(sig[p], mix(x^salts[p]))
		}
	}
	return sig, true
}

var salts = func() (list [places]uint64) {
	for i := range list {
		list[i] = mix(uint64(i) + 1)
	}
	return list
}()

// mix is the finaliser of SplitMix64: a permutation without visible order.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return bits.RotateLeft64(x^x>>31, 17)
}

// alike returns the estimate, 0 to 1.
func (s *signature) alike(other *signature) float64 {
	n := 0
	for i := range s {
		if s[i] == other[i] {
			n++
		}
	}
	return float64(n) / places
}
