package live

import (
	"math"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/signal"
)

// Signal sends an ephemeral sign to the other subscribers of a stream. It
// returns CodeNotFound if the session does not follow it with a permission that
// holds now, CodeForbidden while the user is muted there, and CodeInvalid if
// clients send no such signal in it.
func (s *Session) Signal(stream gotong.Stream, typ string) error {
	now := s.hub.opt.Clock.Mono()
	s.mu.Lock()
	sub := s.find(stream)
	may := sub != nil && sub.mayHear(now)
	muted := may && sub.grant.SilentUntil > s.hub.opt.Clock.Now()
	s.mu.Unlock()
	switch {
	case !may:
		return gotong.NotFound()
	case muted:
		return gotong.NewError(gotong.CodeForbidden, "You are muted in this stream.")
	}
	return s.hub.signals.Send(stream, typ, gotong.Actor{UserID: s.reader.UserID, Role: s.reader.Role})
}

// mayHear reports whether the subscription holds now: accepted, not stale, in
// a partition that is complete, and open for what happens next. The session's
// mu is held.
func (s *sub) mayHear(now clock.Moment) bool {
	return s.grant != nil && !s.ended && !s.stale() && s.flow.part.Load().fresh(now) &&
		s.grant.Sees(math.MaxUint64, "")
}

// show queues a signal in the sessions that follow its stream and for whose
// users it is.
func (h *Hub) show(m *bus.Signal) {
	t := h.lookup(m.Stream)
	if t == nil {
		return
	}
	frame := h.signalFrame(m)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.followers {
		if signal.For(m, f.session.reader.UserID) {
			f.session.queueSignal(m, frame)
		}
	}
}

func (s *Session) queueSignal(m *bus.Signal, f Frame) {
	if s.signals.Add(m, f, s.hub.limits.Signals) {
		s.hub.observer.Dropped("signal", 1)
	}
	s.raise(signalBit)
}

// takeSignals moves out the signals that the session may still get. Then the
// queue is quiet, and the presence that was missed is queued. s.mu is held.
func (s *Session) takeSignals(t *taking) {
	now := s.hub.opt.Clock.Mono()
	missed := s.signals.Take(func(stream gotong.Stream) bool {
		sub := s.find(stream)
		return sub != nil && sub.mayHear(now)
	}, t.add)
	for m, role := range missed {
		s.hub.signals.Again(m.Stream, gotong.Actor{UserID: m.UserID, Role: role}, func(m *bus.Signal) {
			s.queueSignal(m, s.hub.signalFrame(m))
		})
	}
}
