package app

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// The collector of Go runs when the heap has doubled. A small heap that is
// written to at 150 MB/s doubles 25 times a second.
const (
	// smallHeap is the size up to which a heap grows before it is collected, in
	// bytes.
	smallHeap = 64 << 20

	usualPercent = 100 // of what is live, that a heap grows by: the default of Go
	mostPercent  = 400 // bounds what a heap that suddenly grows can reach
	leastHeap    = 4 << 20
)

// LeaveSmallHeap lets a heap below 64 MiB grow to that size, or to five times
// what is live in it, before the garbage collector runs. It changes nothing for
// larger heaps, nor where GOGC is set; a memory limit (GOMEMLIMIT) takes
// precedence. It lasts until the process ends.
func LeaveSmallHeap() {
	if os.Getenv("GOGC") == "" {
		followHeap(smallHeap)
	}
}

// followHeap sets GOGC now and after each collection.
func followHeap(floor uint64) (stop func()) {
	var mu sync.Mutex
	stopped := false
	var follow func(struct{})
	follow = func(struct{}) {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		live, scanned := heap()
		debug.SetGCPercent(percent(floor, live, scanned))
		// The next collection finds this unreachable, and calls again.
		runtime.AddCleanup(&sentinel{}, follow, struct{}{})
	}
	follow(struct{}{})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		debug.SetGCPercent(usualPercent)
	}
}

// sentinel has a pointer, because tiny objects share memory.
type sentinel struct{ _ *sentinel }

// heap returns the bytes that were live in the heap at the last collection, and
// those of all that the collector scans: the heap, the stacks and the globals.
func heap() (live, scanned uint64) {
	read := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(read)
	live = read[0].Value.Uint64()
	return live, live + read[1].Value.Uint64() + read[2].Value.Uint64()
}

// percent is the GOGC with which the next collection begins when the heap has
// this size. The heap grows by GOGC percent of what is scanned.
func percent(floor, live, scanned uint64) int {
	if live >= floor {
		return usualPercent
	}
	p := (floor - live) * 100 / max(scanned, leastHeap)
	return int(min(max(p, usualPercent), mostPercent))
}

// After a burst, such as the handshakes of thousands of clients, a process that
// allocates little keeps garbage until the next collection, which may be minutes
// away, and then returns the memory slowly.
const (
	quietEvery = 2 * time.Second
	quietAlloc = 1 << 20  // bytes in this time; a process that allocates more collects soon anyway
	leastSpare = 16 << 20 // bytes that are worth a collection
)

// heapUse is what the process has of the heap, in bytes.
type heapUse struct {
	allocated uint64 // since the process began
	live      uint64 // at the last collection
	objects   uint64 // live or garbage
	free      uint64 // of no use, and not returned to the system
}

func readHeapUse() heapUse {
	read := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(read)
	return heapUse{read[0].Value.Uint64(), read[1].Value.Uint64(), read[2].Value.Uint64(), read[3].Value.Uint64()}
}

// spare reports whether the process is quiet since then and would return much.
// A quiet process needs half a minute to become so again.
func (m heapUse) spare(since heapUse) bool {
	if m.allocated-since.allocated > quietAlloc {
		return false
	}
	returned := m.free
	if m.objects > m.live {
		returned += m.objects - m.live
	}
	return returned >= max(leastSpare, m.live/4)
}

// giveBack returns memory to the system whenever the process is quiet and has
// much to spare, until ctx ends.
func giveBack(ctx context.Context) error {
	tick := time.NewTicker(quietEvery)
	defer tick.Stop()
	for last := readHeapUse(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := readHeapUse()
		if now.spare(last) {
			debug.FreeOSMemory()
		}
		last = now
	}
}
