package realtime

import (
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
)

// gathering is how long a connection that was just written events gathers the
// next ones. Nobody notices in a chat, and in a busy stream one write carries
// many frames: the write is what delivery costs (bench/results.md). The first
// event after a pause is never held back, nor is an answer.
const gathering = 8 * time.Millisecond

// pace holds back the pump of one connection.
type pace struct {
	mu      sync.Mutex
	timer   *time.Timer // nil while the pump is not held back
	hurried bool        // an answer came while it was being held back

	wrote gotong.Instant // when events last went out; touched by the pump, and by who starts it
}

// left is how long the next write has to wait.
func (p *pace) left(now gotong.Instant) time.Duration {
	since := time.Duration(now-p.wrote) * time.Microsecond
	if since < 0 || since >= gathering {
		return 0
	}
	return gathering - since
}

// start has the pump run after a while, or at once where somebody is in a hurry.
func (p *pace) start(wait time.Duration, startPump func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hurried {
		p.hurried = false
		startPump()
		return
	}
	p.timer = time.AfterFunc(wait, func() {
		p.mu.Lock()
		p.timer = nil
		p.mu.Unlock()
		startPump()
	})
}

// hurry has a pump that is held back run at once.
func (p *pace) hurry(startPump func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer == nil {
		p.hurried = true // it may be about to be held back
		return
	}
	if p.timer.Stop() {
		p.timer = nil
		startPump()
	}
}

// carriesEvents reports whether a batch is what pacing is about: control
// frames come first in it.
func carriesEvents(frames []live.Frame) bool {
	return frames[len(frames)-1].Op() == live.Events
}
