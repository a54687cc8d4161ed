package app

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	const mb = 1 << 20
	for name, tc := range map[string]struct{ live, scanned, want uint64 }{
		"before the first collection": {0, 0, mostPercent},
		"tiny":                        {mb, 2 * mb, mostPercent},
		"small":                       {16 * mb, 16 * mb, 300},
		"with stacks":                 {16 * mb, 24 * mb, 200},
		"half of the floor":           {32 * mb, 32 * mb, usualPercent},
		"just below the floor":        {63 * mb, 63 * mb, usualPercent},
		"large":                       {900 * mb, 950 * mb, usualPercent},
		"many stacks":                 {10 * mb, 300 * mb, usualPercent},
	} {
		if got := percent(64*mb, tc.live, tc.scanned); got != int(tc.want) {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

var ballast []byte

// GOGC follows the size of the heap from one collection to the next.
func TestFollowHeap(t *testing.T) {
	runtime.GC()
	live, _ := heap()
	floor := 8 * max(live, leastHeap)
	stop := followHeap(floor)
	waitForPercent(t, "a small heap", mostPercent)
	ballast = make([]byte, 2*floor)
	waitForPercent(t, "a large heap", usualPercent)
	ballast = nil
	waitForPercent(t, "a small heap again", mostPercent)
	stop()
	waitForPercent(t, "the end", usualPercent)
	runtime.GC()
	waitForPercent(t, "after the end", usualPercent)
}

// waitForPercent collects until GOGC is as it should be.
func waitForPercent(t *testing.T, when string, want uint64) {
	t.Helper()
	read := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	for late := time.After(time.Minute); ; runtime.GC() {
		if metrics.Read(read); read[0].Value.Uint64() == want {
			return
		}
		select {
		case <-late:
			t.Fatalf("%s: GOGC is %d, want %d", when, read[0].Value.Uint64(), want)
		default:
		}
	}
}
