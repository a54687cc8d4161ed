package chat

import (
	"context"
	"errors"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

// Reading counts what users have read without a request of theirs, as list-unread
// does.
type Reading struct{ c *chat }

// NewReading returns a Reading.
func NewReading(opts Options) Reading { return Reading{newChat(opts)} }

// ReadState is what a user has read of a thread. A message whose ordinal is above
// Floor counts as unread.
type ReadState struct {
	Readable, Muted bool
	Unread          int
	Floor           uint64
}

// Of returns what a user has read of a thread.
func (r Reading) Of(ctx context.Context, viewer gotong.Viewer, stream gotong.Stream) (s ReadState, err error) {
	looks, err := r.c.known(httpapi.As(ctx, viewer), []string{stream.ID()})
	if err != nil || len(looks) == 0 || !looks[0].Grant.Readable {
		return s, err
	}
	counts, err := r.c.unread(ctx, looks)
	n := counts[stream]
	s = ReadState{Readable: true, Unread: n.Unread, Floor: max(looks[0].mark.N, n.floor)}
	s.Muted, _ = looks[0].mark.muted(r.c.Now())
	return s, err
}

// maxBadge bounds the threads that a badge counts.
const maxBadge = 1000

var errEnough = errors.New("chat: enough threads are counted")

// Badge returns the number of unread messages in a user's threads that they do not
// mute, of 1,000 threads at most.
func (r Reading) Badge(ctx context.Context, viewer gotong.Viewer) (total int, err error) {
	threads := 0
	err = r.c.everyUnread(httpapi.As(ctx, viewer), "", func(u Unread) error {
		if !u.Muted {
			total += u.Unread
		}
		if threads++; threads == maxBadge {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return 0, err
	}
	return total, nil
}
