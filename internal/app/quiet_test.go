package app

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestSpare(t *testing.T) {
	const mb = 1 << 20
	for name, test := range map[string]struct {
		allocated, live, objects, free uint64
		want                           bool
	}{
		"garbage after a burst":         {0, 40 * mb, 60 * mb, 0, true},
		"free after a burst":            {0, 40 * mb, 40 * mb, 20 * mb, true},
		"both":                          {mb / 2, 10 * mb, 18 * mb, 9 * mb, true},
		"too little":                    {0, 10 * mb, 18 * mb, 4 * mb, false},
		"little of a large heap":        {0, 400 * mb, 450 * mb, 40 * mb, false},
		"much of a large heap":          {0, 400 * mb, 450 * mb, 60 * mb, true},
		"not quiet":                     {2 * mb, 40 * mb, 90 * mb, 90 * mb, false},
		"in the middle of a collection": {0, 60 * mb, 40 * mb, 0, false},
	} {
		before := heapUse{allocated: 1000 * mb}
		now := heapUse{1000*mb + test.allocated, test.live, test.objects, test.free}
		if got := now.spare(before); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// The figures that are read are those that are meant: garbage is spare, and
// after it was returned it is not.
func TestSpareIsReturned(t *testing.T) {
	debug.FreeOSMemory()
	garbage := make([]byte, 4*leastSpare)
	runtime.GC() // it is live
	runtime.KeepAlive(garbage)
	runtime.GC() // it is not
	if now := readHeapUse(); !now.spare(now) {
		t.Errorf("not spare: %+v", now)
	}
	debug.FreeOSMemory()
	if now := readHeapUse(); now.spare(now) {
		t.Errorf("spare: %+v", now)
	}
}
