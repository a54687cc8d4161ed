package live

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/signal"
	"gotong.dev/gotong/internal/view"
)

const (
	account       = "user" // the kind of the stream that a user follows for signals of their inbox
	maxConcerning = 4096   // streams that wait to be looked at
	maxAsked      = 500    // users who are looked up at once
	informGap     = 100 * time.Millisecond
)

// concerns holds the streams that wait, each once, with the users whose inboxes it changed:
// a burst in one stream displaces no other.
type concerns struct {
	wake chan struct{} // holds at most one wake-up

	mu      sync.Mutex
	streams map[gotong.Stream][]string // nil: all members
}

// concern notes that the inboxes of members of a stream changed: of those members who are
// among users, or of all if users is empty. It never blocks: where too many streams wait,
// the signal is lost. A user whose account is not followed yet needs no signal, because
// their client reads the inbox when it begins to follow.
func (h *Hub) concern(of gotong.Stream, users []string) {
	if len(users) > 0 {
		if users = h.listening(users); len(users) == 0 {
			return
		}
	}
	if !h.concerns.add(of, users) {
		h.observer.Dropped("signal", 1)
		return
	}
	select {
	case h.concerns.wake <- struct{}{}:
	default:
	}
}

// add returns false where too many wait.
func (c *concerns) add(of gotong.Stream, users []string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, waits := c.streams[of]
	switch {
	case !waits && len(c.streams) >= maxConcerning:
		return false
	case len(users) == 0 || waits && was == nil:
		c.streams[of] = nil
	default:
		was = append(was, users...)
		slices.Sort(was)
		c.streams[of] = slices.Compact(was)
	}
	return true
}

// take returns what waits, and empties the list.
func (c *concerns) take() map[gotong.Stream][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	streams := c.streams
	c.streams = map[gotong.Stream][]string{}
	return streams
}

// inform signals the members of the streams that wait, until ctx ends. It reads who is a
// member after the event that changed the inbox, so a former member gets no signal of an
// event after their removal. A burst in one stream causes one look at its members, and
// there is a pause between two looks. A look that fails is repeated after a longer pause,
// because no later signal makes up for it.
func (h *Hub) inform(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.concerns.wake:
		}
		pause := informGap
		streams := h.concerns.take()
		all := sync.OnceValue(func() []string { return h.listening(nil) })
		for _, of := range slices.Sorted(maps.Keys(streams)) {
			users := streams[of]
			if users == nil {
				users = all()
			}
			err := h.informMembers(ctx, of, users)
			if err == nil || ctx.Err() != nil {
				continue
			}
			h.observer.Fault(err)
			if !view.Spoilt(err) {
				h.concern(of, streams[of])
				pause = h.limits.Poll
			}
		}
		if !clock.Pause(ctx, pause) {
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

// listening returns the users whose account a session of this node follows: those among
// the given ones, or all of them if among is nil.
func (h *Hub) listening(among []string) (ids []string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if among == nil {
		among = slices.Collect(maps.Keys(h.users))
	}
	for _, id := range among {
		if h.flows[gotong.NewStream(account, id)] != nil {
			ids = append(ids, id)
		}
	}
	return ids
}
