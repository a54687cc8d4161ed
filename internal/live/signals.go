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

// Look notes that the user looks at a stream, or at none if it is empty. It is for the
// server alone and reveals nothing, so it needs no permission.
func (s *Session) Look(stream gotong.Stream) { s.hub.signals.Look(s.reader.UserID, s.id, stream) }

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
	if m.Type == signal.Inbox && m.Stream.Kind() != account {
		h.concern(m.Stream, m.Users)
		return
	}
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
	if s.signals.Add(m, f, maxSignals) {
		s.hub.observer.Dropped("signal", 1)
	}
	s.raise(signalBit)
}

// showPresence has every session that follows a stream take its presence.
func (h *Hub) showPresence(stream gotong.Stream) {
	t := h.lookup(stream)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.followers {
		f.sub.owePresence()
	}
}

// owePresence notes that the session is to take the presence of the stream.
func (s *sub) owePresence() {
	s.session.presence.Or(uint32(s.bit())) //nolint:gosec // of 32
	s.session.raise(signalBit)
}

// takeSignals moves out the signals that the session may still get. s.mu is
// held.
func (s *Session) takeSignals(t *taking) {
	now := s.hub.opt.Clock.Mono()
	s.signals.Take(func(stream gotong.Stream) (may, later bool) {
		sub := s.find(stream)
		if sub == nil || sub.ended {
			return false, false
		}
		part := sub.flow.part.Load()
		silent := part != nil && !part.fresh(now)
		if silent {
			part.held.Store(true) // the next complete read raises it
		}
		return sub.mayHear(now), silent || sub.grant == nil || sub.stale()
	}, t.add)
	s.slots(uint64(s.presence.Load()), func(sub *sub) bool {
		sub.takePresence(t, now)
		return true
	})
}

// takePresence moves out the presence of the stream as it is now shown, once
// the session may get it. Until then it stays owed; see wakeSignals.
func (s *sub) takePresence(t *taking, now clock.Moment) {
	if !s.mayHear(now) {
		if part := s.flow.part.Load(); part != nil && !part.fresh(now) {
			part.held.Store(true) // the next complete read raises it
		}
		return
	}
	s.session.presence.And(^uint32(s.bit())) //nolint:gosec // of 32
	if data := s.session.hub.signals.Shown(s.flow.stream); data != nil {
		t.add(presenceFrame(s.flow.stream, data))
	}
}

// wakeSignals has the session look at the presence that it is owed, and at the signals
// that wait, now that it can take them again.
func (s *Session) wakeSignals() {
	if s.presence.Load() != 0 || !s.signals.Empty() {
		s.raise(signalBit)
	}
}
