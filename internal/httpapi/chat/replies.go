package chat

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

func (c *chat) replyRoutes(api *httpapi.API) {
	const base = "/v1/chat/threads/{id}"
	httpapi.Register(api, httpapi.Route{
		ID: "list-replies", Method: http.MethodGet, Path: base + "/messages/{mid}/replies", Tag: tagMessages,
		Summary: "List the replies to a message",
		Description: "In ascending order: the oldest after after_seq or, without it, the oldest. X-Has-More: true means that there are " +
			"more, and X-Next-Seq is the next after_seq. Deleted replies are listed without their text.",
	}, c.listReplies)
	httpapi.Register(api, httpapi.Route{
		ID: "list-pins", Method: http.MethodGet, Path: base + "/pins", Tag: tagMessages, Subject: subject,
		Summary:     "List the pinned messages",
		Description: "The newest pin comes first; there are at most 50. Held messages are left out.",
	}, c.listPins)
	for _, on := range []bool{true, false} {
		route := httpapi.Route{
			ID: "pin-message", Method: http.MethodPut, Path: base + "/messages/{mid}/pin", Tag: tagMessages, Write: true,
			Summary: "Pin a message",
			Description: "For owners, admins and moderators who are members; in a direct thread, for both users. " +
				"A thread has at most 50 pinned messages.",
		}
		if !on {
			route.ID, route.Method, route.Summary, route.Description = "unpin-message", http.MethodDelete, "Unpin a message", ""
		}
		httpapi.Register(api, route, c.pin(on))
	}
}

type pinIn struct {
	InMessage
	Empty httpapi.NoBody
}

// pin returns the handler that pins a message, or unpins it.
func (c *chat) pin(on bool) func(context.Context, *pinIn) (*httpapi.Answered[MessageView], error) {
	return func(ctx context.Context, in *pinIn) (*httpapi.Answered[MessageView], error) {
		if on {
			return c.change(ctx, in.InMessage, thread.CmdPin, thread.Pin{MessageID: in.message}, nil)
		}
		return c.change(ctx, in.InMessage, thread.CmdUnpin, thread.Unpin{MessageID: in.message}, nil)
	}
}

type pinsOut struct {
	AsOf string `header:"X-As-Of"`
	Body []MessageView
}

func (c *chat) listPins(ctx context.Context, in *InThread) (*pinsOut, error) {
	key := thread.PinsKey(in.ID)
	page, err := c.Views.Read(ctx, viewer(ctx), view.Query{Stream: in.stream, More: store.Need{Documents: []gotong.Key{key}}})
	if err != nil {
		return nil, err
	}
	pins, _, err := httpapi.Document[thread.Pins](c.Codec, page.Snapshot, key)
	if err != nil {
		return nil, err
	}
	list, err := c.pick(ctx, page, pins.Seqs)
	list = slices.DeleteFunc(list, func(m MessageView) bool { return !m.Pinned })
	slices.SortFunc(list, func(a, b MessageView) int {
		return slices.Index(pins.Seqs, b.Seq) - slices.Index(pins.Seqs, a.Seq)
	})
	return &pinsOut{AsOf: httpapi.AsOf(ctx, page.Head.Seq), Body: list}, err
}

type listRepliesIn struct {
	InMessage
	AfterSeq string `query:"after_seq" doc:"A position, or start."`
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	after    uint64
}

// Resolve parses the ids and the position; huma calls it.
func (in *listRepliesIn) Resolve(ctx huma.Context) []error {
	if in.AfterSeq != "" && in.AfterSeq != "start" {
		var err error
		if in.after, err = httpapi.Position(ctx.Context(), in.AfterSeq); err != nil {
			return []error{err}
		}
	}
	return in.InMessage.Resolve(ctx)
}

func (c *chat) listReplies(ctx context.Context, in *listRepliesIn) (*messagesOut, error) {
	of, _, err := c.find(ctx, in.stream, in.message)
	if err != nil {
		return nil, err
	}
	page, err := c.Views.Read(ctx, viewer(ctx), view.Query{Stream: in.stream})
	switch {
	case err != nil:
		return nil, err
	case in.after > page.Head.Seq:
		return nil, gotong.NewError(gotong.CodeCursorAhead, "The position is ahead of the thread.")
	}
	var seqs []uint64
	err = c.eachReply(ctx, page, []uint64{of.Seq}, in.after, func(_, reply uint64) bool {
		seqs = append(seqs, reply)
		return len(seqs) <= in.Limit
	})
	if err != nil {
		return nil, err
	}
	out := &messagesOut{AsOf: httpapi.AsOf(ctx, page.Head.Seq), HasMore: len(seqs) > in.Limit, next: "after_seq"}
	seqs = seqs[:min(len(seqs), in.Limit)]
	next := page.Head.Seq
	if out.HasMore {
		next = seqs[in.Limit-1]
	}
	out.NextSeq = httpapi.AsOf(ctx, next)
	out.Body, err = c.pick(ctx, page, seqs)
	return out, err
}

// shown returns the views of the messages among events, which are in ascending order,
// each with the number of its replies up to the head of the page.
func (c *chat) shown(ctx context.Context, page view.Page, events []view.Event) ([]MessageView, error) {
	list := c.render(ctx, events)
	seqs, counts := make([]uint64, len(list)), map[uint64]int{}
	for i := range list {
		seqs[i] = list[i].Seq
	}
	err := c.eachReply(ctx, page, seqs, 0, func(seq, _ uint64) bool {
		counts[seq]++
		return counts[seq] < thread.MaxUnread
	})
	for i := range list {
		list[i].Replies = counts[list[i].Seq]
	}
	return list, err
}

// eachReply calls found with each reply, after the seq given and up to the head of the
// page, that the viewer of the page sees to the messages with these seqs, which are in
// ascending order. If found returns false, the other replies to that message are passed
// over. One read serves a page; it takes another where 1,000 lines lie before the next
// one that counts.
func (c *chat) eachReply(ctx context.Context, page view.Page, of []uint64, after uint64, found func(seq, reply uint64) bool) error {
	full := map[uint64]bool{}
	for from := after + 1; len(of) > 0 && of[0] < page.Head.Seq; {
		snap, err := c.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{{
			Collection: thread.Replies, Owner: page.State.Stream.ID(),
			From: thread.ReplyKey("", of[0], from).Name, To: thread.ReplyKey("", of[len(of)-1], page.Head.Seq).Name,
		}}})
		if err != nil {
			return err
		}
		var seq, reply uint64
		for _, row := range snap.Ranges[0] {
			if seq, reply, err = thread.ReplyOf(row.Key); err != nil {
				return err
			}
			if _, wanted := slices.BinarySearch(of, seq); wanted && !full[seq] && reply <= page.Head.Seq && page.Access.Sees(reply, "") {
				full[seq] = !found(seq, reply)
			}
		}
		if len(snap.Ranges[0]) < store.MaxRead {
			return nil
		}
		i, wanted := slices.BinarySearch(of, seq)
		if from = next(page.Access, reply); !wanted || full[seq] || from == 0 {
			if from = 0; wanted {
				i++
			}
		}
		of = of[i:]
	}
	return nil
}

// next returns the first seq after this one that may be visible; 0 if there is none.
func next(a gotong.Access, seq uint64) uint64 {
	for _, v := range a.Visible {
		if v.To == 0 || seq+1 < v.To {
			return max(v.From, seq+1)
		}
	}
	return 0
}

// near is how far apart messages lie that are read at once, with what is in between.
const near = 16

// pick returns the messages with these seqs that the caller sees, in ascending order.
func (c *chat) pick(ctx context.Context, page view.Page, seqs []uint64) ([]MessageView, error) {
	seqs = slices.Sorted(slices.Values(seqs))
	var events []view.Event
	for len(seqs) > 0 {
		n := 1
		for n < len(seqs) && seqs[n]-seqs[n-1] <= near {
			n++
		}
		part, err := c.Views.Read(ctx, viewer(ctx), view.Query{
			Stream: page.State.Stream, From: seqs[0] - 1, To: seqs[n-1], Limit: pageEvents,
		})
		if err != nil {
			return nil, err
		}
		for _, e := range part.Events {
			if _, wanted := slices.BinarySearch(seqs[:n], e.Seq); wanted {
				events = append(events, e)
			}
		}
		done, _ := slices.BinarySearch(seqs, part.To+1)
		seqs = seqs[max(done, 1):]
	}
	return c.shown(ctx, page, events)
}
