package moderation

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

// View is the moderation of a message. The variant says which fields there are.
type View struct {
	Variant     Variant       `json:"variant" enum:"Public,Author,Moderator"`
	ContentID   string        `json:"content_id"`
	ContentType string        `json:"content_type" enum:"message"`
	Status      thread.Status `json:"moderation_status" enum:"processing,under_review,published,rejected" doc:"processing: there is no decision, and the message is shown."`
	Action      thread.Action `json:"moderation_action,omitempty" enum:"publish_now,publish_with_warning,hold_for_review,block"`
	PublishedMS int64         `json:"published_at_ms,omitempty"`
	Noop        string        `json:"noop,omitempty" enum:"already_published,already_rejected,auto_release_stale_request,auto_release_not_applicable,auto_release_disabled" doc:"Present if the request changed nothing: why. What else it had, such as a reasoning, is not recorded."`
	Visible     bool          `json:"is_visible" doc:"False while only the author gets the text."`
	Label       string        `json:"warning_label,omitempty" doc:"The reason code, or policy_gate while the text is left out without one."`

	DecidedMS int64  `json:"decided_at_ms,omitempty" doc:"For the author and reviewers, like all that follows."`
	Code      string `json:"reason_code,omitempty"`
	HeldBy    string `json:"held_by,omitempty" enum:"advice,moderator,newcomer,reports,appeal"`
	ExpiresMS int64  `json:"hold_expires_at_ms,omitempty"`
	Auto      bool   `json:"auto_release_if_no_action,omitempty"`
	AppealMS  int64  `json:"appeal_window_until_ms,omitempty"`
	Appealed  bool   `json:"appealed,omitempty"`

	AuthorID  string         `json:"author_id,omitempty" doc:"For reviewers, like all that follows."`
	WaitsMS   int64          `json:"waits_since_ms,omitempty" doc:"Present while the message waits for a decision."`
	Reports   int            `json:"report_count,omitempty" doc:"How many members reported it since a reviewer last decided."`
	Flagged   bool           `json:"flagged,omitempty" doc:"True if these reports are enough to flag it, by the policy of the group."`
	Count     int            `json:"decision_count,omitempty"`
	Decisions []DecisionView `json:"decisions,omitempty" doc:"Oldest first; absent in the queue."`
	Looks     []LookView     `json:"looks,omitempty" doc:"The newest looks at what is opened, oldest first; absent in the queue."`
}

// DecisionView is one decision.
type DecisionView struct {
	Seq        uint64         `json:"seq"`
	AtMS       int64          `json:"decided_at_ms"`
	Revision   uint64         `json:"revision,omitempty" doc:"The revision that a reviewer decided about."`
	Status     thread.Status  `json:"moderation_status" enum:"under_review,published,rejected"`
	By         string         `json:"held_by,omitempty" enum:"advice,moderator,newcomer,reports,appeal"`
	Code       string         `json:"reason_code,omitempty"`
	Warning    string         `json:"warning_label,omitempty"`
	DecidedBy  string         `json:"decided_by,omitempty" doc:"The reviewer; absent if the server decided."`
	Confidence float64        `json:"confidence,omitempty"`
	Grounds    thread.Grounds `json:"grounds,omitzero"`
	Appeal     string         `json:"appeal,omitempty" doc:"What the author wrote."`
}

// LookView is one look at what is opened.
type LookView struct {
	UserID string `json:"user_id"`
	AtMS   int64  `json:"at_ms"`
}

// Tag returns the ETag of the moderation, whatever the request.
func (v View) Tag() string { v.Noop = ""; return `"` + httpapi.Sum(v) + `"` }

// view returns the moderation of a message with everything that the caller may know.
// idle is the data of a command that changed nothing; nil: there is none.
func (d *desk) view(ctx context.Context, at place, idle any) (View, error) {
	m, err := d.find(ctx, at)
	if err != nil {
		return View{}, err
	}
	v := m.project()
	switch c := idle.(type) {
	case thread.Review:
		v.Noop = "already_" + string(c.Decision.Status())
	case thread.Unhold: // repeated, it would do something now
		v.Noop = cmp.Or(c.Noop(m.overlay, m.record), thread.NoopStale)
	}
	if m.variant != Moderator {
		return v, nil
	}
	if v.Decisions, err = d.decisions(ctx, m); err != nil {
		return v, err
	}
	looks, err := d.events(ctx, m, m.record.Looks)
	for _, e := range looks {
		v.Looks = append(v.Looks, LookView{e.Actor.UserID, e.At.Milli()})
	}
	return v, err
}

// project returns the view without what is read from other events.
func (m matter) project() View {
	r, o := m.record, m.overlay
	v := View{
		Variant: m.variant, ContentID: contentID(m.Stream, m.ID), ContentType: "message",
		Status: cmp.Or(r.Status, thread.Processing), Action: r.Action, Visible: o.Held == 0 && !o.Deleted(),
		PublishedMS: cmp.Or(r.PublishedAt, m.At).Milli(), Label: o.Warning,
	}
	if !v.Visible {
		v.PublishedMS, v.Label = 0, cmp.Or(r.Code, "policy_gate")
	}
	if m.variant == Public {
		return v
	}
	v.DecidedMS, v.Code, v.HeldBy, v.ExpiresMS, v.Auto = r.At.Milli(), r.Code, r.By, r.UntilMS, r.Auto
	v.AppealMS, v.Appealed = r.AppealMS, r.Appealed
	if m.variant == Author {
		return v
	}
	v.AuthorID, v.Count = m.Actor.UserID, len(r.Decided)
	v.WaitsMS, v.Reports, v.Flagged = m.pending.Since.Milli(), m.pending.Reports, m.pending.Flagged
	return v
}

// events returns events of the thread by their seqs.
func (d *desk) events(ctx context.Context, m matter, seqs []uint64) (list []gotong.Event, err error) {
	var need store.Need
	for _, seq := range seqs {
		need.Events = append(need.Events, store.EventRange{Stream: m.Stream, From: seq - 1, To: seq})
	}
	if len(seqs) == 0 {
		return nil, nil
	}
	snap, err := d.Store.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	for _, rows := range snap.Events {
		for i := range rows {
			e, err := d.Codec.Event(&rows[i])
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
	}
	return list, nil
}

// decisions returns the decisions about a message. The event before that of a
// decision has its grounds, or the appeal, if it is among the record's.
func (d *desk) decisions(ctx context.Context, m matter) (list []DecisionView, err error) {
	var seqs []uint64
	for _, seq := range m.record.Decided {
		if slices.Contains(m.record.Grounds, seq-1) {
			seqs = append(seqs, seq-1)
		}
		seqs = append(seqs, seq)
	}
	events, err := d.events(ctx, m, seqs)
	var next DecisionView
	for _, e := range events {
		next.Seq, next.AtMS = e.Seq, e.At.Milli()
		switch data := e.Data.(type) {
		case thread.Decided:
			next.DecidedBy, next.Confidence, next.Revision = e.Actor.UserID, data.Confidence, data.Revision
			next.Grounds, _ = e.Content.(thread.Grounds)
			continue
		case thread.Appealed:
			plea, _ := e.Content.(thread.Plea)
			next.Appeal = plea.Reason
			continue
		case thread.Held:
			next.Status, next.By, next.Code = thread.UnderReview, data.By, data.Code
		case thread.Blocked:
			next.Status, next.Code = thread.Rejected, data.Code
		case thread.Released:
			next.Status, next.Code, next.Warning = thread.Published, data.Code, data.Warning
		}
		list, next = append(list, next), DecisionView{}
	}
	return list, err
}

// scanned is how many lines of the queue one page looks at.
const scanned = 200

func (d *desk) queue(ctx context.Context, in *httpapi.Page) (*httpapi.Listed[View], error) {
	after, err := httpapi.Oldest.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	snap, err := d.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{{
		Collection: thread.Queue, Owner: thread.QueueOwner, From: cmp.Or(after, "0"), To: "~", Limit: scanned + 1,
	}}})
	if err != nil {
		return nil, err
	}
	out, rows := &httpapi.Listed[View]{Body: []View{}}, snap.Ranges[0]
	for i, row := range rows {
		if row.Key.Name == after {
			continue
		}
		v, ok, err := d.queued(ctx, row)
		if err != nil {
			return nil, err
		}
		if ok {
			out.Body = append(out.Body, v)
		}
		if len(out.Body) == in.Limit || i == scanned-1 {
			if i < len(rows)-1 {
				out.Next = httpapi.Next{HasMore: true, NextCursor: httpapi.Oldest.Cursor(ctx, resume(row.Key.Name, rows[i+1].Key.Name, ok))}
			}
			break
		}
	}
	return out, nil
}

// resume returns the name after which the next page begins: that of the last line if it
// was shown. Otherwise its name would reveal a thread, so the page begins at the time of
// the next line.
func resume(last, next string, shown bool) string {
	if shown {
		return last
	}
	at, _, _ := strings.Cut(next, "/")
	return at + "/0"
}

// queued returns a line of the queue if the caller may decide about the message.
func (d *desk) queued(ctx context.Context, row store.Document) (View, bool, error) {
	line, ok, err := httpapi.Decode[thread.Queued](d.Codec, row)
	if err != nil || !ok {
		return View{}, false, err
	}
	l, err := d.look(ctx, viewer(ctx), gotong.NewStream(thread.Name, row.Key.StreamID()))
	var m matter
	if err == nil {
		m, err = d.matter(ctx, l, line.Seq)
	}
	switch {
	case gotong.CodeOf(err) == gotong.CodeNotFound:
		return View{}, false, nil
	case err != nil || m.variant != Moderator:
		return View{}, false, err
	}
	return m.project(), true, nil
}
