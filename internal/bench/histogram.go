package bench

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets 1/32 apart, so that a percentile is
// right to 3 %. It is safe for concurrent use.
type histogram struct {
	buckets [64 * perDouble]atomic.Uint64
	longest atomic.Int64
}

const (
	doubleBits = 5
	perDouble  = 1 << doubleBits // buckets from a power of two to the next
)

// record adds a duration; a negative one counts as 0.
func (h *histogram) record(d time.Duration) {
	n := uint64(max(d, 0))
	h.buckets[bucketOf(n)].Add(1)
	for {
		old := h.longest.Load()
		if int64(d) <= old || h.longest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// bucketOf returns the index of the bucket of n nanoseconds.
func bucketOf(n uint64) int {
	shift := max(bits.Len64(n)-doubleBits-1, 0)
	return shift*perDouble + int(n>>shift)
}

// highest returns the longest duration of a bucket.
func highest(bucket int) time.Duration {
	shift := max(bucket/perDouble-1, 0)
	return time.Duration(((bucket - shift*perDouble + 1) << shift) - 1)
}

// Quantiles are latencies in milliseconds.
type Quantiles struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// quantiles returns nil if nothing was recorded.
func (h *histogram) quantiles() *Quantiles {
	var counts [len(h.buckets)]uint64
	q := &Quantiles{}
	for i := range counts {
		counts[i] = h.buckets[i].Load()
		q.Count += counts[i]
	}
	if q.Count == 0 {
		return nil
	}
	longest := time.Duration(h.longest.Load())
	q.Max = milli(longest)
	below, next := uint64(0), 0
	shares := []struct {
		perMille uint64
		into     *float64
	}{{500, &q.P50}, {900, &q.P90}, {990, &q.P99}, {999, &q.P999}}
	for i := range counts {
		below += counts[i]
		for next < len(shares) && below*1000 >= q.Count*shares[next].perMille {
			*shares[next].into = milli(min(highest(i), longest))
			next++
		}
	}
	return q
}

func milli(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
