package live

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/signal"
	"gotong.dev/gotong/internal/store"
)

const (
	account       = "user" // the kind of the stream that a user follows for signals of their inbox
	maxConcerning = 256    // streams that wait to be looked at
	maxAsked      = 500    // users who are looked up at once
)

// concerns is the streams that wait, each once: a burst in one displaces no other.
type concerns struct {
	wake chan struct{} // holds at most one wake-up

	mu      sync.Mutex
	streams map[gotong.Stream]struct{}
}

// concern notes that the inboxes of all members of a stream changed. It never blocks:
// where too many streams wait, the signal is lost.
func (h *Hub) concern(of gotong.Stream) {
	if !h.concerns.add(of) {
		h.observer.Dropped("signal", 1)
		return
	}
	select {
	case h.concerns.wake <- struct{}{}:
	default:
	}
}

// add returns false where too many wait.
func (c *concerns) add(of gotong.Stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, waits := c.streams[of]; !waits && len(c.streams) >= maxConcerning {
		return false
	}
	c.streams[of] = struct{}{}
	return true
}

// take returns the streams that wait, in order, and empties the list.
func (c *concerns) take() []gotong.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	streams := slices.Sorted(maps.Keys(c.streams))
	clear(c.streams)
	return streams
}

// inform signals the members of the streams that wait, until ctx ends. A burst in one
// stream is one look at its members. A look that fails is tried again after a pause,
// because no later signal makes up for it.
func (h *Hub) inform(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.concerns.wake:
		}
		failed := false
		streams := h.concerns.take()
		ids := h.listening() // after it: those who begin to follow later read their inbox later
		for _, of := range streams {
			err := h.informMembers(ctx, of, ids)
			if err == nil || ctx.Err() != nil {
				continue
			}
			h.observer.Fault(err)
			if !errors.Is(err, store.ErrUnreadable) {
				h.concern(of)
				failed = true
			}
		}
		if failed && !clock.Pause(ctx, h.limits.Poll) {
			return
		}
	}
}

// informMembers signals those of these users who are members.
func (h *Hub) informMembers(ctx context.Context, of gotong.Stream, ids []string) error {
	for some := range slices.Chunk(ids, maxAsked) {
		members, err := h.askMembers(ctx, of, some)
		if err != nil {
			return err
		}
		for _, id := range members {
			me := gotong.Actor{UserID: id, Role: gotong.RoleUser}
			h.show(&bus.Signal{Stream: gotong.NewStream(account, id), Type: signal.Inbox, Actor: me})
		}
	}
	return nil
}

func (h *Hub) askMembers(ctx context.Context, of gotong.Stream, ids []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return h.opt.Members(ctx, of, ids)
}

// listening returns the users of this node whose account a session follows.
func (h *Hub) listening() (ids []string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for id := range h.users {
		if h.flows[gotong.NewStream(account, id)] != nil {
			ids = append(ids, id)
		}
	}
	return ids
}
