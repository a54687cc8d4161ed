package live

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
)

// Subscribe begins to follow a stream. It answers at once; whether the stream
// may be read comes as a frame: subscribed, or error. A stream that is not
// there and one that may not be read give the same error. Returned errors are
// CodeConflict (followed already), CodeTooLarge (too many) and ErrClosed; they
// put no frame.
func (s *Session) Subscribe(want Subscription) error {
	kind, err := s.hub.views.Kind(want.Stream)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.closing != nil {
		return ErrClosed
	}
	if s.find(want.Stream) != nil {
		return gotong.NewError(gotong.CodeConflict, "The stream is followed already.")
	}
	delete(s.refusals, want.Stream)
	if err != nil { // no such kind: as for a stream that is not there
		s.refuseUnknown(want)
		return nil
	}
	slot, ok := s.slot()
	if !ok {
		return gotong.NewError(gotong.CodeTooLarge, "Too many subscriptions in one session.")
	}
	sub := &sub{session: s, slot: slot, id: want.ID, trace: want.Trace, start: want.Start, resumed: want.Resumed}
	sub.flow = s.hub.acquire(want.Stream, kind)
	s.subs[slot] = sub
	sub.flow.follow(sub) // before the read: nothing after it can be missed
	if want.Start.mode == fromCursor {
		sub.paging = true
		s.pages++
	}
	s.hub.loader.enter(sub)
	return nil
}

func (s *Session) refuseUnknown(want Subscription) {
	f := s.hub.errorFrame(want.ID, want.Trace, want.Stream, gotong.NotFound())
	if want.Resumed {
		f = revokedFrame(want.Stream)
	}
	s.refused(want.Stream, gotong.NotFound())
	s.put(f)
}

func (s *Session) slot() (uint8, bool) {
	for i, sub := range s.subs {
		if sub == nil {
			return uint8(i), true
		}
	}
	if len(s.subs) >= maxSubscriptions {
		return 0, false
	}
	s.subs = append(s.subs, nil)
	return uint8(len(s.subs) - 1), true //nolint:gosec // at most 32
}

// Unsubscribe ends a subscription; false where there is none. One that was not
// decided yet is answered with an error frame: nobody asks without an answer.
func (s *Session) Unsubscribe(stream gotong.Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.find(stream)
	if sub == nil {
		return false
	}
	if sub.grant != nil {
		sub.end(endLeft, nil)
		return true
	}
	err := gotong.NewError(gotong.CodeConflict, "The subscription was taken back before it began.")
	f := s.hub.errorFrame(sub.id, sub.trace, stream, err)
	s.refused(stream, err)
	sub.end(endLeft, &f)
	return true
}

// Outcome waits until it is known whether a subscription was accepted: nil, or
// the error of its refusal. For transports that answer with a status before
// their first frame.
func (s *Session) Outcome(ctx context.Context, stream gotong.Stream) error {
	for {
		s.mu.Lock()
		sub := s.find(stream)
		if sub == nil {
			err := s.refusals[stream]
			s.mu.Unlock()
			if err == nil {
				err = ErrClosed
			}
			return err
		}
		if sub.grant != nil {
			s.mu.Unlock()
			return nil
		}
		if sub.decided == nil {
			sub.decided = make(chan struct{})
		}
		decided := sub.decided
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-decided:
		}
	}
}

// Complete reports whether everything was taken that there is: nothing is being
// read for a subscription, and no partition of one is silent. Where it is false
// a Wake follows, once there is more or it is known that there is not.
func (s *Session) Complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.hub.opt.Clock.Mono()
	for _, sub := range s.subs {
		if sub != nil && !sub.complete(now) {
			return false
		}
	}
	return true
}

// complete is the same of one subscription. The session's mu is held.
func (s *sub) complete(now clock.Moment) bool {
	if s.grant == nil || s.paging || s.stale() {
		return false
	}
	if part := s.flow.part.Load(); !part.fresh(now) {
		part.held.Store(true) // the next complete read raises it
		return false
	}
	s.flow.mu.Lock()
	defer s.flow.mu.Unlock()
	return !s.flow.ring.known || s.cursor >= s.flow.ring.head
}

// askToClose ends all subscriptions and has the transport close. The first
// request stands.
func (s *Session) askToClose(c Closing) {
	if s.closing != nil || s.closed {
		return
	}
	s.closing = &c
	reason := endClosed
	if c.Code < 4000 {
		reason = endRestart
	}
	for _, sub := range s.subs {
		if sub != nil {
			sub.end(reason, nil)
		}
	}
	s.raise(closingBit)
}

// Closing returns whether and how the transport is asked to close. It writes
// what Take still gives, finishes commands in flight, then closes. Wake is
// called when the request comes.
func (s *Session) Closing() (Closing, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing == nil {
		return Closing{}, false
	}
	return *s.closing, true
}

// Close ends the session and all its subscriptions. Call it when the
// connection is cut, so that no byte can follow; it may be called more than
// once.
func (s *Session) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.written()
	for _, sub := range s.subs {
		if sub != nil {
			sub.end(endLeft, nil)
		}
	}
	s.closed, s.control, s.subs = true, nil, nil
	s.raise(closingBit)
	s.mu.Unlock()
	s.hub.gone(s)
}
