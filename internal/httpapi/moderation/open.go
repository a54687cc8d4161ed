package moderation

import (
	"cmp"
	"context"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/report"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/files"
	"gotong.dev/gotong/internal/moderation"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// OpenedView is what a report or a hold opens.
type OpenedView struct {
	Content  View            `json:"content"`
	Messages []OpenedMessage `json:"messages" doc:"The message, then those that the reporters opened with it."`
	Reports  []OpenedReport  `json:"reports" doc:"Newest first."`
}

// OpenedMessage is one message with its texts.
type OpenedMessage struct {
	MessageID gotong.EventID   `json:"message_id"`
	Seq       uint64           `json:"seq"`
	AuthorID  string           `json:"author_id"`
	Revisions []OpenedRevision `json:"revisions" doc:"Oldest first. Of a message that a reporter opened with another, only the newest; none if it was deleted."`
	Files     []files.View     `json:"attachments,omitempty" doc:"The links work for 5 minutes, while a report or a hold opens the message to you; if none does, while you see it."`

	list []thread.Attachment
}

// OpenedRevision is one text of a message.
type OpenedRevision struct {
	Revision uint64 `json:"revision"`
	Body     string `json:"body" doc:"Empty if it was erased."`
	AtMS     int64  `json:"at_ms"`
}

// OpenedReport is one report, without its author.
type OpenedReport struct {
	Reason report.Reason `json:"reason" enum:"hate,violence,harassment,illegal,misinformation,spam,child_safety,other"`
	Text   string        `json:"text,omitempty"`
	AtMS   int64         `json:"at_ms"`
}

// Tag returns the ETag of what is opened.
func (v OpenedView) Tag() string { return `"` + httpapi.Sum(v) + `"` }

// open records the look before it reads anything.
func (d *desk) open(ctx context.Context, in *emptyIn) (*httpapi.Answered[OpenedView], error) {
	receipt, err := d.threads.Run(ctx, in.at.stream.ID(), thread.CmdOpen, thread.Open{MessageID: in.at.message}, nil, in.ContentID)
	if err != nil {
		return nil, err
	}
	if receipt.Replayed { // it would be a look without an event
		return &httpapi.Answered[OpenedView]{Body: httpapi.Bare[OpenedView](receipt)}, nil
	}
	v, err := d.opened(ctx, in.at)
	return httpapi.Answer(receipt, v, err)
}

func (d *desk) opened(ctx context.Context, at place) (v OpenedView, err error) {
	m, err := d.find(ctx, at)
	if err == nil && m.variant != Moderator { // a repeated request of somebody who may no longer look
		err = gotong.NotFound()
	}
	if err != nil {
		return v, err
	}
	if v.Content, err = d.view(ctx, at, nil); err != nil {
		return v, err
	}
	v.Messages, v.Reports = []OpenedMessage{}, []OpenedReport{}
	for _, seq := range slices.Insert(slices.Clone(m.pending.Context), 0, m.Seq) {
		message, err := d.texts(ctx, m.Stream, seq, m.Seq)
		if err != nil {
			return v, err
		}
		by := m.Seq
		if !thread.IsOpened(m.overlay, m.pending) { // an admin looks at what nothing opened, or what was decided
			by = 0
		}
		message.Files = d.Links(ctx, m.Stream, seq, by, message.list)
		v.Messages = append(v.Messages, message)
	}
	filed, err := moderation.Reports(ctx, d.Store, d.Codec, at.stream, at.message)
	for _, r := range filed {
		e, err := httpapi.EventAt(ctx, d.Store, d.Codec, gotong.NewStream(report.Name, r.ID), 1)
		if err != nil {
			return v, err
		}
		details, _ := e.Content.(report.Details)
		v.Reports = append(v.Reports, OpenedReport{r.Reason, details.Text, r.At.Milli()})
	}
	return v, err
}

// maxPages bounds the pages that are searched for the edits of a message.
const maxPages = 20

// texts returns a message that the message about opens: itself with all its revisions,
// another one with the newest alone.
func (d *desk) texts(ctx context.Context, stream gotong.Stream, seq, about uint64) (v OpenedMessage, err error) {
	key, all := thread.OverlayKey(stream.ID(), seq), seq == about
	snap, err := d.Store.Load(ctx, store.Need{
		Documents: []gotong.Key{key}, Events: []store.EventRange{{Stream: stream, From: seq - 1, To: seq}},
	})
	if err != nil || len(snap.Events[0]) == 0 {
		return v, cmp.Or[error](err, gotong.NotFound())
	}
	e, err := d.Codec.Event(&snap.Events[0][0])
	if err != nil {
		return v, err
	}
	o, _, err := httpapi.Document[thread.Overlay](d.Codec, snap, key)
	if err != nil {
		return v, err
	}
	v = OpenedMessage{MessageID: e.ID, Seq: e.Seq, AuthorID: e.Actor.UserID, Revisions: []OpenedRevision{}}
	if o.Deleted() {
		return v, nil
	}
	text, _ := e.Content.(thread.Text)
	v.list = text.Files
	if all || o.EditSeq == 0 {
		v.Revisions = append(v.Revisions, OpenedRevision{0, text.Body, e.At.Milli()})
	}
	from := seq
	if !all && o.EditSeq > 0 {
		from = o.EditSeq - 1
	}
	for range maxPages {
		if from >= o.EditSeq {
			break
		}
		snap, err := d.Store.Load(ctx, store.Need{Events: []store.EventRange{{
			Stream: stream, From: from, To: o.EditSeq, Limit: view.MaxPage,
		}}})
		if err != nil || len(snap.Events[0]) == 0 {
			return v, err
		}
		for i := range snap.Events[0] {
			row := &snap.Events[0][i]
			if from = row.Seq; row.Type != thread.EvEdited {
				continue
			}
			e, err := d.Codec.Event(row)
			if err != nil {
				return v, err
			}
			if edit, ok := e.Data.(thread.Edited); ok && edit.TargetSeq == seq {
				text, _ := e.Content.(thread.NewText)
				v.Revisions = append(v.Revisions, OpenedRevision{edit.Revision, text.Body, e.At.Milli()})
			}
		}
	}
	return v, nil
}

// Report is the body of reporting a message.
type Report struct {
	ContentID string           `json:"content_id" maxLength:"300"`
	Reason    report.Reason    `json:"reason" enum:"hate,violence,harassment,illegal,misinformation,spam,child_safety,other"`
	Text      string           `json:"text,omitempty" maxLength:"2000" doc:"For the reviewers; at most 500 characters."`
	Context   []gotong.EventID `json:"context,omitempty" maxItems:"5" doc:"The ids of other messages of the thread that the reviewers may read with it."`
}

// ReportView is a report, as its author gets it.
type ReportView struct {
	ContentID string        `json:"content_id"`
	Reason    report.Reason `json:"reason" enum:"hate,violence,harassment,illegal,misinformation,spam,child_safety,other"`
	AtMS      int64         `json:"reported_at_ms"`
	Noop      string        `json:"noop,omitempty" enum:"already_reported" doc:"Present if you reported the message before. What this report had is not recorded."`
}

// Tag returns the ETag of the report.
func (v ReportView) Tag() string { return `"` + httpapi.Sum(v) + `"` }

// report files a report, after it has read each message as the caller.
func (d *desk) report(ctx context.Context, in *httpapi.Sent[Report]) (*httpapi.Answered[ReportView], error) {
	b, me := in.JSON.Value, viewer(ctx)
	at, err := parse(b.ContentID)
	if err != nil {
		return nil, err
	}
	target, home, err := d.readable(ctx, at)
	switch {
	case err != nil:
		return nil, err
	case target.Actor.UserID == me.UserID:
		return nil, gotong.NewError(gotong.CodeConflict, "You cannot report your own message.")
	case target.Content == nil:
		return nil, gotong.NewError(gotong.CodeConflict, "The message has no text that you can read.")
	}
	data := report.File{
		Filed:   report.Filed{Thread: at.stream, Home: home, MessageID: at.message, Seq: target.Seq, Reason: b.Reason},
		Details: report.Details{Text: b.Text},
	}
	for _, id := range b.Context {
		e, _, err := d.readable(ctx, place{at.stream, id})
		if err != nil {
			return nil, err
		}
		data.Context = append(data.Context, e.Seq)
	}
	stream := report.StreamOf(me.UserID, at.stream, at.message)
	receipt, err := httpapi.Run(ctx, d.Engine, httpapi.CallOf(ctx).Command(stream, report.CmdFile, data, in.JSON.Raw))
	if err != nil {
		return nil, err
	}
	snap, err := d.Store.Load(ctx, store.Need{Documents: []gotong.Key{report.Key(stream.ID())}})
	if err != nil {
		return nil, err
	}
	filed, _, err := httpapi.Document[report.Report](d.Codec, snap, report.Key(stream.ID()))
	v := ReportView{ContentID: b.ContentID, Reason: filed.Reason, AtMS: filed.At.Milli()}
	if receipt.First == 0 {
		v.Noop = "already_reported"
	}
	return httpapi.Answer(receipt, v, err)
}

// readable returns a message as the caller sees it, and the home of its thread.
func (d *desk) readable(ctx context.Context, at place) (view.Event, gotong.Stream, error) {
	me := viewer(ctx)
	page, err := d.Views.Read(ctx, me, view.Query{Stream: at.stream})
	if err != nil {
		return view.Event{}, "", err
	}
	row, ok, err := store.FindEvent(ctx, d.Store, at.stream, at.message, page.Head.Seq)
	if err != nil || !ok || row.Type != thread.EvPosted {
		return view.Event{}, "", cmp.Or[error](err, gotong.NotFound())
	}
	page, err = d.Views.Read(ctx, me, view.Query{Stream: at.stream, From: row.Seq - 1, To: row.Seq, Limit: 1})
	if err != nil || len(page.Events) == 0 {
		return view.Event{}, "", cmp.Or[error](err, gotong.NotFound())
	}
	return page.Events[0], page.Head.Home, nil
}
