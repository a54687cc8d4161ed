package live

import (
	"context"
	"math/bits"

	"gotong.dev/gotong/internal/clock"
)

type taking struct {
	frames []Frame
	size   int
	most   int
	now    clock.Moment
}

func (t *taking) full() bool { return t.size >= t.most }

func (t *taking) add(f Frame) {
	t.frames = append(t.frames, f)
	t.size += len(f.buf)
}

// Take appends the frames that may be written now to dst, up to about maxBytes
// (at least one frame, if there is one): control frames, then events by
// subscription, then signals. It never blocks. more reports that there is more to
// take at once; Wake is then not called before another Take. After Take has
// returned frames, Written must be called once they were written or given up.
func (s *Session) Take(dst []Frame, maxBytes int) (frames []Frame, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return dst, false
	}
	dirty := s.dirty.Swap(0)
	t := taking{frames: dst, most: maxBytes}
	var left uint64
	if dirty&controlBit != 0 && s.takeControl(&t) {
		left |= controlBit
	}
	const events = 1<<maxSubscriptions - 1
	if dirty&events != 0 {
		t.now = s.hub.opt.Clock.Mono()
		left |= s.takeEvents(&t, dirty)
	}
	if dirty&signalBit != 0 {
		if t.full() {
			left |= signalBit
		} else {
			s.takeSignals(&t)
		}
	}
	if left != 0 {
		s.dirty.Or(left)
	}
	if len(t.frames) > len(dst) && !s.writing { // else the write is still the one that began before
		s.writing = true
		s.bracket++
	}
	return t.frames, left != 0
}

// takeEvents serves the subscriptions in turn; the answer has the bits of those
// that were cut short. The next Take begins after the first of them.
func (s *Session) takeEvents(t *taking, dirty uint64) (left uint64) {
	next := -1
	s.slots(dirty, func(sub *sub) bool {
		after := int(sub.slot)
		if !t.full() {
			after++
			if !sub.take(t) {
				return true
			}
		}
		left |= sub.bit()
		if next < 0 {
			next = after
		}
		return true
	})
	if next >= 0 {
		s.turn = uint8(next % maxSubscriptions)
	}
	return left
}

// takeControl moves control frames out; true where some are left.
func (s *Session) takeControl(t *taking) bool {
	n := 0
	for n < len(s.control) && !t.full() {
		t.add(s.control[n])
		n++
	}
	if n < len(s.control) {
		s.control = append(s.control[:0:0], s.control[n:]...)
		return true
	}
	clear(s.control)
	s.control = s.control[:0]
	if cap(s.control) > 8 {
		s.control = nil // an idle session keeps no buffer
	}
	return false
}

// take gathers what the subscription may write now; true where it was cut
// short by the size.
func (s *sub) take(t *taking) bool {
	if s.grant == nil {
		return false // not accepted yet; the answer raises it
	}
	part := s.flow.part.Load()
	if !part.fresh(t.now) {
		part.held.Store(true) // the next complete read raises it
		return false
	}
	s.flow.mu.Lock()
	left, behind := s.takeLocked(t)
	s.flow.mu.Unlock()
	if behind {
		s.wantPage()
	}
	return left
}

// takeLocked does so under the flow's mu: frames in the ring were pushed
// after everything that may hide them was marked, so one look at the marks
// here covers them all.
func (s *sub) takeLocked(t *taking) (left, behind bool) {
	if s.stale() {
		return false, false // being authorised anew, which raises it
	}
	if p := s.page; p != nil {
		s.page = nil
		s.stopPaging()
		if p.marks == s.checked && p.from == s.cursor && p.position >= s.flow.amended {
			t.add(p.frame)
			s.cursor = p.to
		}
	}
	ring := &s.flow.ring
	switch {
	case !ring.known || s.cursor >= ring.head:
		return false, false
	case s.cursor < ring.base:
		if !s.paging {
			s.lacks = ring.head
		}
		return false, !s.paging
	}
	if t.full() {
		return true, false
	}
	return s.takeRing(t, ring), false
}

func (s *sub) takeRing(t *taking, ring *ring) (left bool) {
	if ring.restricted <= s.cursor && s.grant.SeesAll(s.cursor+1, ring.head) {
		for s.cursor < ring.head && !t.full() {
			s.cursor++
			t.add(ring.at(s.cursor).frame)
		}
		return s.cursor < ring.head
	}
	told := s.cursor // everything up to here is accounted for
	for s.cursor < ring.head && !t.full() {
		e := ring.at(s.cursor + 1)
		if s.grant.Sees(s.cursor+1, e.audience, e.about...) {
			if told < s.cursor {
				t.add(covering(s.flow.stream, told, s.cursor))
			}
			t.add(e.frame)
			told = s.cursor + 1
		}
		s.cursor++
	}
	if told < s.cursor {
		t.add(covering(s.flow.stream, told, s.cursor))
	}
	return s.cursor < ring.head
}

// wantPage asks for the next page, where the session may have one more.
func (s *sub) wantPage() {
	if s.session.pages >= maxPages {
		s.session.starved |= s.bit()
		return
	}
	s.paging = true
	s.session.pages++
	s.session.hub.loader.page(s)
}

// Written reports that the frames of the last Take are out of the transport's
// hands: written to the socket, or never to be written.
func (s *Session) Written() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written()
}

func (s *Session) written() {
	s.writing = false
	for i, sub := range s.unwritten {
		sub.writing = false
		sub.settle()
		s.unwritten[i] = nil
	}
	s.unwritten = s.unwritten[:0]
}

// Next waits until Take gives frames, and returns them as Take does; ctx's
// error, or ErrClosed once the session is closed, or asked to close and
// drained. Only for a session without a Wake.
func (s *Session) Next(ctx context.Context, dst []Frame, maxBytes int) ([]Frame, bool, error) {
	for {
		frames, more := s.Take(dst, maxBytes)
		if len(frames) > len(dst) {
			return frames, more, nil
		}
		s.mu.Lock()
		over := s.closed || s.closing != nil
		s.mu.Unlock()
		if over {
			return frames, false, ErrClosed
		}
		select {
		case <-ctx.Done():
			return frames, false, ctx.Err()
		case <-s.note:
		}
	}
}

// slots yields the subscriptions whose bits are set, beginning with turn.
func (s *Session) slots(dirty uint64, yield func(*sub) bool) {
	const all = 1<<maxSubscriptions - 1
	dirty &= all
	turn := int(s.turn)
	first := bits.RotateLeft32(uint32(dirty), -turn)
	for first != 0 {
		n := bits.TrailingZeros32(first)
		first &^= 1 << n
		slot := (n + turn) % maxSubscriptions
		if slot < len(s.subs) && s.subs[slot] != nil && !yield(s.subs[slot]) {
			return
		}
	}
}
