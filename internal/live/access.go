package live

import (
	"errors"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/view"
)

// watch has the streams that govern the grant mark the subscription. True means
// that the grant may be older than what they have marked: read again.
func (s *sub) watch(r *view.Snapshot, g *view.Grant) (again bool) {
	h := s.session.hub
	watching := make([]*flow, 0, len(g.Governing))
	for _, stream := range g.Governing {
		if kind, err := h.views.Kind(stream); err == nil { // else it will never have an event
			watching = append(watching, h.acquire(stream, kind))
		}
	}
	p := h.parts[r.Home()]
	again = p.watch(s, watching, r.Position(p.id))
	for _, t := range s.watching {
		if !slices.Contains(watching, t) {
			t.unwatch(s)
		}
		h.release(t)
	}
	s.watching = watching
	return again
}

// elsewhere reports whether a stream that governs the grant lies in another
// partition: no order of events would say what came before its changes.
func elsewhere(r *view.Snapshot, g *view.Grant) bool {
	return slices.ContainsFunc(g.Governing, func(stream gotong.Stream) bool {
		head, ok := r.State.HeadOf(stream)
		return ok && head.Exists() && gotong.PartitionOf(head.Home) != r.Home()
	})
}

// end ends the subscription: nothing of it is taken any more. The session's mu
// is held. reason is for the observer; frame, if there is one, goes to the
// client.
func (s *sub) end(reason string, frame *Frame) {
	if s.ended {
		return
	}
	s.ended, s.page = true, nil
	s.stopPaging()
	sess, h := s.session, s.session.hub
	sess.subs[s.slot] = nil
	if frame != nil {
		sess.put(*frame)
	}
	if s.decided != nil {
		close(s.decided)
	}
	if s.grant != nil {
		h.signals.Leave(s.flow.stream, sess.reader.UserID)
		h.observer.Unsubscribed(reason)
		h.subscriptions.Add(-1)
	}
	s.flow.unfollow(s)
	sess.presence.And(^uint32(s.bit())) //nolint:gosec // of 32
	sess.signals.Forget(s.flow.stream)
	for _, t := range s.watching {
		t.unwatch(s)
	}
	if sess.writing {
		s.writing = true
		sess.unwritten = append(sess.unwritten, s)
		if reason == endRevoked || reason == endClosed || s.stale() {
			sess.cutAfter(h.limits.Cut) // those are not the reader's any more
		}
	} else {
		s.settle()
	}
	h.release(s.flow)
	for _, t := range s.watching {
		h.release(t)
	}
}

// stopPaging gives back the session's allowance for a page.
func (s *sub) stopPaging() {
	if !s.paging {
		return
	}
	s.paging = false
	s.session.pages--
	if starved := s.session.starved; starved != 0 {
		s.session.starved = 0
		for _, other := range s.session.subs {
			if other != nil && starved&other.bit() != 0 {
				s.session.raise(other.bit())
			}
		}
	}
}

// apply takes over what a read found. marks is what the subscription's were
// before it; p is its page, nil where none was asked for.
func (s *sub) apply(r *view.Snapshot, g *view.Grant, marks uint32, first uint64, p *page) {
	sess := s.session
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if s.ended {
		if !s.writing {
			s.settle()
		}
		return
	}
	switch {
	case s.grant != nil && r.Position(s.flow.part.Load().id) < s.accessAt.Load():
		// Reads may finish in another order than they began: the grant is from
		// a newer snapshot, which saw whatever raised the marks before this one.
		if p != nil {
			s.stopPaging()
		}
		s.check(marks)
	case !g.Readable:
		s.refuse(gotong.NotFound())
	case elsewhere(r, g):
		s.refuse(gotong.NewError(gotong.CodeInternal, "Another partition governs the stream."))
	case s.watch(r, g):
		sess.hub.loader.again(s)
	case s.grant == nil:
		s.accept(r, g, marks, first, p)
	default:
		s.renew(r, g, marks, p)
	}
}

func (s *sub) accept(r *view.Snapshot, g *view.Grant, marks uint32, first uint64, p *page) {
	h, head := s.session.hub, r.State.Head
	s.cursor = head.Seq
	switch s.start.mode {
	case fromFirst:
		s.cursor = first
	case fromCursor:
		if err := s.start.cursor.Check(h.epoch, head.Seq); err != nil {
			s.refuse(err)
			return
		}
		s.cursor = s.start.cursor.Seq
	case fromNow:
	}
	s.session.put(subscribedFrame(s.id, s.flow.stream, gotong.Cursor{Epoch: h.epoch, Seq: s.cursor}, head.Seq))
	s.id = "" // it has its answer
	if s.decided != nil {
		close(s.decided)
		s.decided = nil
	}
	h.observer.Subscribed()
	h.subscriptions.Add(1)
	s.renew(r, g, marks, p)
	h.signals.Join(s.flow.stream, s.session.reader.UserID)
	s.owePresence() // of those who are there already
}

// renew takes over a newer permission, and the page that came with it.
func (s *sub) renew(r *view.Snapshot, g *view.Grant, marks uint32, p *page) {
	s.grant = g
	position := r.Position(s.flow.part.Load().id)
	s.accessAt.Store(position)
	s.flow.begin(r.State.Head, position)
	if p != nil {
		if r.State.Head.Seq < max(p.from, s.lacks) { // the log is shorter than what it had shown
			s.resync("log_behind")
			return
		}
		s.page = p
		s.page.marks = max(s.checked, marks)
		if p.from == p.to { // nothing there
			s.page = nil
			s.stopPaging()
		}
	}
	s.check(marks)
}

// check notes that the grant covers what raised the marks up to here.
func (s *sub) check(marks uint32) {
	s.checked = max(s.checked, marks)
	if !s.stale() {
		s.settle()
		s.session.wakeSignals()
	}
	s.session.raise(s.bit())
}

// refuse ends a subscription that may not be, or no longer be.
func (s *sub) refuse(err error) {
	stream := s.flow.stream
	var f Frame
	switch {
	case s.grant != nil:
		f = revokedFrame(stream)
	case s.resumed && gotong.CodeOf(err) == gotong.CodeNotFound:
		f = revokedFrame(stream)
		s.session.refused(stream, err)
	default:
		f = s.session.hub.errorFrame(s.id, s.trace, stream, err)
		s.session.refused(stream, err)
	}
	s.end(endRevoked, &f)
}

// resync ends a subscription that cannot go on from its cursor.
func (s *sub) resync(reason string) {
	f := resyncFrame(s.flow.stream, reason)
	if s.grant == nil {
		s.session.refused(s.flow.stream, ErrClosed)
	}
	s.end(endResync, &f)
}

// fail ends the subscription after a read that will not succeed.
func (s *sub) fail(err error) {
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	if s.ended {
		if !s.writing {
			s.settle()
		}
		return
	}
	var coded *gotong.Error
	switch ok := errors.As(err, &coded); {
	case s.grant == nil && !ok:
		s.refuse(gotong.NewError(gotong.CodeBusy, "The stream could not be read; try again."))
	case s.grant == nil:
		s.refuse(err)
	case ok && coded.Code != gotong.CodeBusy:
		reason := endUnread
		if coded.Code == gotong.CodeCorruptEvent {
			reason = endCorrupt
		}
		f := s.session.hub.errorFrame(s.id, s.trace, s.flow.stream, err)
		s.end(reason, &f)
	default:
		s.resync("read_failed")
	}
}

// cutAfter cuts the connection where the write under way now is still under
// way then. The session's mu is held.
func (s *Session) cutAfter(d time.Duration) {
	if s.opt.Kill == nil {
		return
	}
	bracket := s.bracket
	s.hub.start(func() {
		clock.Pause(s.hub.ctx, d)
		s.mu.Lock()
		still := s.writing && s.bracket == bracket && !s.killed
		s.killed = s.killed || still
		s.mu.Unlock()
		if still {
			s.opt.Kill()
		}
	})
}
