package chat

import (
	"context"

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
	s = ReadState{Readable: true, Unread: counts[stream].Unread, Floor: looks[0].mark.N}
	s.Muted, _ = looks[0].mark.muted(r.c.Now())
	return s, err
}

// maxBadge bounds the pages of threads that a badge counts, each of 200.
const maxBadge = 5

// Badge returns the number of unread messages in a user's threads that they do not
// mute.
func (r Reading) Badge(ctx context.Context, viewer gotong.Viewer) (total int, err error) {
	in := &listUnreadIn{httpapi.Page{Limit: 200}}
	for range maxBadge {
		page, err := r.c.listUnread(httpapi.As(ctx, viewer), in)
		if err != nil {
			return 0, err
		}
		for _, u := range page.Body {
			if !u.Muted {
				total += u.Unread
			}
		}
		if in.Cursor = page.NextCursor; !page.HasMore {
			break
		}
	}
	return total, nil
}
