package realtime

import (
	"net/http"
	"sync"
	"time"
)

// chunk is the number of bytes that a client of SSE or poll must accept within
// the time for one write.
const chunk = 16 << 10

// outlet writes an HTTP answer to a client that may be slow: the time limit
// applies to each chunk, not to the whole answer.
type outlet struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stalled time.Duration

	mu  sync.Mutex // guards the deadline
	cut bool
}

func (s *Server) newOutlet(w http.ResponseWriter) *outlet {
	return &outlet{w: w, control: http.NewResponseController(w), stalled: s.times.stalled}
}

// write writes all of b and flushes it.
func (o *outlet) write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		if err := o.arm(); err != nil {
			return written, err
		}
		n, err := o.w.Write(b[:min(len(b), chunk)])
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	if err := o.arm(); err != nil {
		return written, err
	}
	return written, o.control.Flush()
}

// arm sets the deadline of the next write.
func (o *outlet) arm() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut {
		return errShut
	}
	return o.control.SetWriteDeadline(time.Now().Add(o.stalled)) //nolint:forbidigo // a socket's deadline
}

// kill ends the write under way, and every later one, at once.
func (o *outlet) kill() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cut = true
	_ = o.control.SetWriteDeadline(time.Unix(1, 0)) // an error means that the connection has ended already
}
