package live

import (
	"context"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/signal"
)

const (
	account       = "user" // the kind of the stream that a user follows for signals of their inbox
	maxConcerning = 256    // streams that wait to be looked at
	maxAsked      = 500    // users who are looked up at once
)

// concern notes that the inboxes of all members of a stream changed. It never blocks:
// where too many wait, the signal is lost.
func (h *Hub) concern(of gotong.Stream) {
	select {
	case h.concerning <- of:
	default:
		h.observer.Dropped("signal", 1)
	}
}

// inform signals the members of the streams that wait, until ctx ends. A burst in one
// stream is one look at its members.
func (h *Hub) inform(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case of := <-h.concerning:
			streams := []gotong.Stream{of}
			for len(h.concerning) > 0 {
				streams = append(streams, <-h.concerning)
			}
			slices.Sort(streams)
			for _, of := range slices.Compact(streams) {
				if err := h.informMembers(ctx, of); err != nil && ctx.Err() == nil {
					h.observer.Fault(err)
				}
			}
		}
	}
}

// informMembers signals the sessions of this node that follow the account of a member.
func (h *Hub) informMembers(ctx context.Context, of gotong.Stream) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for ids := range slices.Chunk(h.listening(), maxAsked) {
		members, err := h.opt.Members(ctx, of, ids)
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
