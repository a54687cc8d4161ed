package chat

import (
	"context"
	"net/http"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/advice"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

func (c *chat) reviewRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "list-reviews", Method: http.MethodGet, Path: "/v1/chat/threads/{id}/reviews", Tag: "Messages", Subject: "The thread's id.",
		Summary: "List the messages that wait for a review",
		Description: "For owners and admins of the thread: the messages that are held or reported, or for which a hold is proposed, " +
			"oldest first, at most 100.",
	}, c.reviews)
}

// ReviewView is a message that waits for a review.
type ReviewView struct {
	MessageID   gotong.EventID `json:"message_id"`
	Seq         uint64         `json:"seq"`
	AuthorID    string         `json:"author_id"`
	Body        string         `json:"body" doc:"The newest text, also while the message is held. Empty if it was erased."`
	Held        bool           `json:"held"`
	HeldBy      string         `json:"held_by,omitempty" enum:"advice,moderator,newcomer,reports,appeal"`
	HeldUntilMS int64          `json:"held_until_ms,omitempty"`
	Auto        bool           `json:"auto_release,omitempty"`
	Reports     int            `json:"report_count,omitempty" doc:"How many members reported it since the last decision."`
	Flagged     bool           `json:"flagged,omitempty" doc:"True if these reports are enough to flag it, by the policy of the group."`
	Advice      *AdviceView    `json:"advice,omitempty" doc:"What the Edge-Pod proposes."`
	SinceMS     int64          `json:"since_ms"`
}

// AdviceView is what an Edge-Pod proposes for a message.
type AdviceView struct {
	thread.Advised
	thread.Reasons
}

// ReviewsView is what waits in a thread.
type ReviewsView struct {
	Items  []ReviewView `json:"items"`
	Missed uint64       `json:"review_missed" doc:"The number of messages in the scope of the thread on which the Edge-Pod gave no advice in time."`
}

const maxReviews = 100

func (c *chat) reviews(ctx context.Context, in *InThread) (*httpapi.Out[ReviewsView], error) {
	page, err := c.Views.Read(ctx, viewer(ctx), view.Query{Stream: in.stream, More: store.Need{
		Ranges: []store.KeyRange{{Collection: thread.Reviews, Owner: in.ID, From: "", To: "~", Limit: maxReviews}},
	}})
	if err != nil {
		return nil, err
	}
	if !slices.Contains(page.Access.Roles, thread.Reviewer) {
		return nil, gotong.NewError(gotong.CodeForbidden, "Only owners and admins of the thread see what waits for a review.")
	}
	out := ReviewsView{Items: []ReviewView{}}
	if out.Missed, err = advice.Missed(ctx, c.Store, page.Head.Home); err != nil {
		return nil, err
	}
	for _, row := range page.Snapshot.Ranges[0] {
		p, ok, err := httpapi.Decode[thread.Pending](c.Codec, row)
		if err != nil {
			return nil, err
		}
		if !ok || !page.Access.Sees(p.Seq, "") {
			continue
		}
		v, err := c.pending(ctx, in.stream, p)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, v)
	}
	return httpapi.Reply(out, nil)
}

// pending returns the view of what waits. The reviewer sees the message: a hold
// hides its text from everybody else but its author, and here it is shown to them.
func (c *chat) pending(ctx context.Context, stream gotong.Stream, p thread.Pending) (ReviewView, error) {
	v := ReviewView{
		Seq: p.Seq, Held: p.Held != 0, HeldBy: p.By, HeldUntilMS: p.UntilMS, Auto: p.Auto,
		Reports: p.Reports, Flagged: p.Flagged, SinceMS: p.Since.Milli(),
	}
	e, err := httpapi.EventAt(ctx, c.Store, c.Codec, stream, p.Seq)
	if err != nil {
		return v, err
	}
	v.MessageID, v.AuthorID = e.ID, e.Actor.UserID
	if p.Held == 0 {
		m, err := c.message(ctx, stream, p.Seq) // with later edits
		v.Body = m.Body
		if err != nil {
			return v, err
		}
	} else if e, err = httpapi.EventAt(ctx, c.Store, c.Codec, stream, p.TextSeq); err != nil {
		return v, err
	}
	switch text := e.Content.(type) {
	case thread.Text:
		v.Body = text.Body
	case thread.NewText:
		v.Body = text.Body
	}
	if p.Advice == 0 {
		return v, nil
	}
	if e, err = httpapi.EventAt(ctx, c.Store, c.Codec, stream, p.Advice); err != nil {
		return v, err
	}
	v.Advice = &AdviceView{}
	v.Advice.Advised, _ = e.Data.(thread.Advised)
	v.Advice.Reasons, _ = e.Content.(thread.Reasons)
	return v, nil
}
