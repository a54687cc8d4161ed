package chat

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strconv"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

// Unread is how much of one thread its reader has not read.
type Unread struct {
	ThreadID string `json:"thread_id"`
	Unread   int    `json:"unread" minimum:"0" maximum:"999"`
	N        uint64 `json:"n" doc:"The ordinal of the newest message."`
	AsOf     string `json:"as_of"`
}

type listUnreadIn struct {
	httpapi.Page
}

func (c *chat) listUnread(ctx context.Context, in *listUnreadIn) (*httpapi.Listed[Unread], error) {
	lines, more, err := c.lines(ctx, in.Page, "")
	if err != nil {
		return nil, err
	}
	return httpapi.List(ctx, lines, more, func(ctx context.Context, id string) (Unread, error) {
		l, err := c.load(ctx, gotong.NewStream(thread.Name, id), reader(ctx), nil)
		if err == nil && !l.grant.Readable {
			err = gotong.NotFound()
		}
		if err != nil {
			return Unread{}, err
		}
		count, err := c.unreadOf(ctx, l)
		return Unread{id, count, l.state.Head.Count, httpapi.AsOf(ctx, l.state.Head.Seq)}, err
	})
}

// unreadOf counts the messages of others above the reader's mark that they may
// see and that were not deleted. Messages from before the reader last joined, or
// was added, count as read.
func (c *chat) unreadOf(ctx context.Context, l look) (int, error) {
	m, _, err := c.mark(ctx, l.reader.UserID, l.stream)
	last := l.state.Head.Count
	if err != nil || m.N >= last {
		return 0, err
	}
	var fault error
	keep := func(err error) { fault = cmp.Or(fault, err) }
	before := func(home gotong.Stream, seq uint64) uint64 {
		n, err := c.tallies.before(before{l.stream, home, seq}, func() (uint64, error) { return c.countBefore(ctx, l, home, seq) })
		keep(err)
		return n
	}
	visible := thread.VisibleOrdinals(l.thread, l.own(), l.grant, before)
	floor := max(m.N, thread.AtLatestJoin(l.state, l.thread, l.reader.UserID, before), last-min(last, counted))
	own, err := c.tallies.of(l.stream).own(ctx, c.Store, l.stream, l.state.Head, floor, l.reader.UserID)
	if err != nil {
		return 0, err
	}
	skip := thread.InOrder(slices.Values(own), c.deleted(ctx, l.stream, floor, last, keep))
	return thread.Unread(floor, last, visible, skip), fault
}

// deleted yields the ordinals of deleted messages in (from, to], reading rows
// only as far as they are asked for.
func (c *chat) deleted(
	ctx context.Context, stream gotong.Stream, from, to uint64, failed func(error),
) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for from < to {
			snap, err := c.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{{
				Collection: thread.Deletions, Owner: stream.ID(), Limit: deletedPage,
				From: gotong.SeqName(from + 1), To: gotong.SeqName(to),
			}}})
			if err != nil {
				failed(err)
				return
			}
			rows := snap.Ranges[0]
			for _, row := range rows {
				n, err := strconv.ParseUint(row.Key.Name, 10, 64)
				failed(err)
				if err != nil || !yield(n) {
					return
				}
				from = n
			}
			if len(rows) < deletedPage {
				return
			}
		}
	}
}

const deletedPage = 200

// countBefore is how many messages the thread had before the event seq of its
// home was committed; the two share a partition, so positions tell.
func (c *chat) countBefore(ctx context.Context, l look, home gotong.Stream, seq uint64) (uint64, error) {
	of, err := httpapi.EventAt(ctx, c.Store, home, seq)
	if err != nil {
		return 0, err
	}
	last, err := store.SeqAfter(ctx, c.Store, l.stream, l.state.Head.Seq,
		func(e *store.Event) bool { return e.Position >= of.Position })
	if err != nil || last == 0 {
		return 0, err
	}
	event, err := httpapi.EventAt(ctx, c.Store, l.stream, last)
	return event.Count, err
}
