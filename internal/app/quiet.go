package app

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

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
