package engine

import (
	"sync/atomic"

	"gotong.dev/gotong"
)

// lanes are the lanes of the streams that commands named last, in two
// generations: when the younger one is full, it becomes the older one, and what
// was not used since the older one was full is dropped. A lane that is not idle
// stays, because a stream never has two.
type lanes struct {
	most       int // lanes in a generation
	young, old map[gotong.Stream]*lane
	docs       atomic.Int64 // documents and events in the states of all lanes
}

// docsPerLane is how many documents and events the states may hold for each lane
// that may be kept. A lane with two of them takes 2.2 KB.
const docsPerLane = 4

func (l *lanes) get(s gotong.Stream) *lane {
	if found, ok := l.young[s]; ok {
		return found
	}
	found, ok := l.old[s]
	if ok {
		delete(l.old, s)
		l.put(found)
	}
	return found
}

func (l *lanes) put(added *lane) {
	if l.young == nil || len(l.young) >= l.most || l.docs.Load() > int64(2*docsPerLane*l.most) {
		l.begin()
	}
	l.young[added.stream] = added
}

func (l *lanes) begin() {
	dropped := l.old
	l.young, l.old = map[gotong.Stream]*lane{}, l.young
	for stream, lane := range dropped {
		if lane.idle() {
			l.docs.Add(-int64(lane.held))
		} else {
			l.young[stream] = lane
		}
	}
}
