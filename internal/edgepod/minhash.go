package edgepod

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
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
	words := fold(s, 2)
	if len(words) <= shingle {
		return sig, false
	}
	for i := range sig {
		sig[i] = math.MaxUint64
	}
	for i := 0; i+shingle <= len(words); i++ {
		h := fnv.New64a()
		_, _ = h.Write([]byte(strings.Join(words[i:i+shingle], " ")))
		drawn := rand.NewPCG(h.Sum64(), 0) // the same numbers for the same shingle
		for p := range sig {
			sig[p] = min(sig[p], drawn.Uint64())
		}
	}
	return sig, true
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
