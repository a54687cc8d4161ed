package live

import (
	"context"
	"crypto/rand"
	"math/big"
	"slices"
	"time"

	"gotong.dev/gotong"
)

// Open makes a session for a reader; ErrDraining or CodeBusy (too many) where
// there can be none.
func (h *Hub) Open(reader gotong.Viewer, opt SessionOptions) (*Session, error) {
	s := &Session{hub: h, id: rand.Text(), reader: reader, opt: opt}
	if opt.Wake == nil {
		s.note = make(chan struct{}, 1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.draining:
		return nil, ErrDraining
	case len(h.sessions) >= h.limits.Sessions:
		return nil, gotong.NewError(gotong.CodeBusy, "Too many connections; try again.")
	case h.users[reader.UserID] >= h.limits.UserSessions:
		return nil, gotong.NewError(gotong.CodeRateLimited, "You have too many connections; close some.")
	}
	if opt.Welcome != nil {
		s.put(opt.Welcome(s.id))
	}
	h.sessions[s] = struct{}{}
	h.users[reader.UserID]++
	return s, nil
}

func (h *Hub) gone(s *Session) {
	s.Look("")
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, open := h.sessions[s]; !open {
		return
	}
	delete(h.sessions, s)
	if h.users[s.reader.UserID]--; h.users[s.reader.UserID] == 0 {
		delete(h.users, s.reader.UserID)
	}
	if len(h.sessions) == 0 && h.empty != nil {
		close(h.empty)
		h.empty = nil
	}
}

func (h *Hub) pick(match func(*Session) bool) []*Session {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var found []*Session
	for s := range h.sessions {
		if match(s) {
			found = append(found, s)
		}
	}
	return found
}

// EndUser asks every session of a user to close, with this code and reason:
// logout everywhere, a disabled account. Event frames stop at once.
func (h *Hub) EndUser(userID string, c Closing) {
	for _, s := range h.pick(func(s *Session) bool { return s.reader.UserID == userID }) {
		s.mu.Lock()
		s.askToClose(c)
		s.mu.Unlock()
	}
}

// EndSession does the same for one session, by its id; false where it is not
// of this node.
func (h *Hub) EndSession(id string, c Closing) bool {
	found := h.pick(func(s *Session) bool { return s.id == id })
	for _, s := range found {
		s.mu.Lock()
		s.askToClose(c)
		s.mu.Unlock()
	}
	return len(found) > 0
}

func (h *Hub) refuseNew() []*Session {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	return h.pick(func(*Session) bool { return true })
}

// Drain sends every session going_away with a retry_after_ms of full jitter,
// asks it to close with 1012, and waits until all are closed or ctx ends.
// Sessions that are open then are killed. Open answers ErrDraining from now on.
func (h *Hub) Drain(ctx context.Context) error {
	for _, s := range h.refuseNew() {
		s.mu.Lock()
		s.goAway()
		s.askToClose(Closing{closeRestart, "the server restarts"})
		s.mu.Unlock()
	}
	h.mu.Lock()
	if len(h.sessions) == 0 {
		h.mu.Unlock()
		return nil
	}
	if h.empty == nil {
		h.empty = make(chan struct{})
	}
	empty := h.empty
	h.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	for _, s := range h.pick(func(*Session) bool { return true }) {
		s.kill()
	}
	return ctx.Err()
}

// goAway puts going_away before the answers that wait, even if too many do, but not before
// the welcome: that is the first frame of a connection. s.mu is held.
func (s *Session) goAway() {
	if s.closed {
		return
	}
	first := 0
	if s.bracket == 0 { // nothing was written yet
		first = min(1, len(s.control))
	}
	s.control = slices.Insert(s.control, first, goingAwayFrame(jitter(retrySpread)))
	s.raise(controlBit)
}

func (s *Session) kill() {
	s.mu.Lock()
	first := !s.killed && s.opt.Kill != nil
	s.killed = true
	s.mu.Unlock()
	if first && !s.hub.start(s.opt.Kill) {
		s.opt.Kill()
	}
}

// jitter is a random share of the whole, in milliseconds.
func jitter(whole time.Duration) int64 {
	n, err := rand.Int(rand.Reader, big.NewInt(whole.Milliseconds()+1))
	if err != nil { // crypto/rand never fails
		return whole.Milliseconds()
	}
	return n.Int64()
}
