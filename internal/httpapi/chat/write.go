package chat

import (
	"context"
	"net/http"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
)

func (c *chat) writeRoutes(api *httpapi.API) {
	const base = "/v1/chat/threads/{id}/messages"
	httpapi.Register(api, httpapi.Route{
		ID: "send-message", Method: http.MethodPost, Path: base + "/send", Tag: tagMessages, Write: true,
		Status: http.StatusCreated, Summary: "Send a message",
		Description: "After the response, the message has its final seq and survives a crash and a power loss.",
	}, c.send)
	httpapi.Register(api, httpapi.Route{
		ID: "edit-message", Method: http.MethodPatch, Path: base + "/{mid}", Tag: tagMessages, Write: true,
		Summary:     "Edit a message",
		Description: "For its author, for 15 minutes. Name the revision that is replaced in If-Match or in the body.",
	}, c.edit)
	httpapi.Register(api, httpapi.Route{
		ID: "delete-message", Method: http.MethodDelete, Path: base + "/{mid}", Tag: tagMessages, Write: true,
		Summary:     "Delete a message",
		Description: "For its author and moderators. Without If-Match, any revision is deleted.",
	}, c.delete)
	httpapi.Register(api, httpapi.Route{
		ID: "add-reaction", Method: http.MethodPut, Path: base + "/{mid}/reactions/{emoji}", Tag: tagMessages, Write: true,
		Summary: "React to a message",
	}, c.react(true))
	httpapi.Register(api, httpapi.Route{
		ID: "remove-reaction", Method: http.MethodDelete, Path: base + "/{mid}/reactions/{emoji}", Tag: tagMessages,
		Write: true, Summary: "Remove a reaction",
	}, c.react(false))
}

// Send is the body of sending a message.
type Send struct {
	Body        string         `json:"body" maxLength:"16384" doc:"1 to 4000 characters, counted without blank lines before them and space after them. It may be empty if there are attachments."`
	Attachments []string       `json:"attachments,omitempty" maxItems:"20" doc:"Ids of your finished uploads to this thread, each in one message."`
	ReplyTo     gotong.EventID `json:"reply_to,omitzero" doc:"The id of the message that this one answers."`
	Siaga       bool           `json:"siaga,omitempty" doc:"An emergency broadcast to all members; for owners, admins and moderators."`
	SentAtMS    int64          `json:"sent_at_ms,omitempty" doc:"In an import: the original time."`
	SentBy      string         `json:"sent_by,omitempty" doc:"In an import: the original sender."`
}

type sendIn struct {
	InThread
	JSON httpapi.Body[Send]
}

func (c *chat) send(ctx context.Context, in *sendIn) (*httpapi.Answered[MessageView], error) {
	v := in.JSON.Value
	receipt, err := c.Run(ctx, in.ID, thread.CmdPost, thread.Post{
		Body: v.Body, Attachments: v.Attachments, ReplyTo: v.ReplyTo, Siaga: v.Siaga,
		Origin: thread.Origin{SentAtMS: v.SentAtMS, SentBy: v.SentBy},
	}, in.JSON.Raw)
	if err != nil {
		return nil, err
	}
	view, err := c.message(ctx, receipt.Stream, receipt.First)
	out, err := httpapi.Answer(receipt, view, err)
	if err == nil {
		out.Location = "/v1/chat/threads/" + in.ID + "/messages/" + receipt.EventIDs[0].String()
	}
	return out, err
}

// Edit is the body of editing a message.
type Edit struct {
	Body     string  `json:"body" minLength:"1" maxLength:"16384" doc:"1 to 4000 characters, counted without blank lines before them and space after them."`
	Revision *uint64 `json:"revision,omitempty" doc:"The revision that is replaced, unless If-Match names it."`
}

type editIn struct {
	InMessage
	IfMatch string `header:"If-Match" doc:"The ETag of the message that is replaced."`
	JSON    httpapi.Body[Edit]
}

func (c *chat) edit(ctx context.Context, in *editIn) (*httpapi.Answered[MessageView], error) {
	data := thread.Edit{MessageID: in.message, Body: in.JSON.Value.Body}
	var err error
	switch revision := in.JSON.Value.Revision; {
	case in.IfMatch != "" && revision != nil:
		return nil, gotong.Invalid("revision", "must be given once, in the body or as If-Match")
	case in.IfMatch == httpapi.AnyRevision:
		return c.editAny(ctx, in, data)
	case in.IfMatch != "":
		data.Revision, err = httpapi.Revision(in.IfMatch)
	case revision != nil:
		data.Revision = *revision
	default:
		err = gotong.NewError(gotong.CodePrecondRequired, "Name the revision that is replaced: If-Match, or revision in the body.")
	}
	if err != nil {
		return nil, err
	}
	out, err := c.change(ctx, in.InMessage, thread.CmdEdit, data, in.JSON.Raw, in.IfMatch)
	if in.IfMatch != "" {
		err = httpapi.Stale(err)
	}
	return out, err
}

// editAny replaces whatever revision there is, also one that came after the request.
func (c *chat) editAny(ctx context.Context, in *editIn, data thread.Edit) (*httpapi.Answered[MessageView], error) {
	for range markTries {
		now, _, err := c.find(ctx, in.stream, in.message)
		if err != nil && gotong.CodeOf(err) != gotong.CodeNotFound { // the command answers, and knows whether it is a repetition
			return nil, err
		}
		data.Revision = now.Revision
		out, err := c.change(ctx, in.InMessage, thread.CmdEdit, data, in.JSON.Raw, in.IfMatch)
		if gotong.CodeOf(err) != gotong.CodeVersion {
			return out, err
		}
	}
	return nil, gotong.NewError(gotong.CodeBusy, "The same message is being edited elsewhere; try again.")
}

// change executes a command about a message and returns the message, read again.
// targets are what else the command is about, beside the message's id.
func (c *chat) change(
	ctx context.Context, in InMessage, name string, data any, raw []byte, targets ...string,
) (*httpapi.Answered[MessageView], error) {
	receipt, err := c.Run(ctx, in.ID, name, data, raw, slices.Insert(targets, 0, in.MessageID)...)
	if err != nil {
		return nil, err
	}
	view, _, err := c.find(ctx, in.stream, in.message)
	return httpapi.Answer(receipt, view, err)
}

type deleteIn struct {
	InMessage
	IfMatch string `header:"If-Match" doc:"The ETag of the message that is deleted."`
	Empty   httpapi.NoBody
}

func (c *chat) delete(ctx context.Context, in *deleteIn) (*httpapi.Answered[MessageView], error) {
	data := thread.Delete{MessageID: in.message}
	if in.IfMatch != "" && in.IfMatch != httpapi.AnyRevision {
		revision, err := httpapi.Revision(in.IfMatch)
		if err != nil {
			return nil, err
		}
		data.Revision = &revision
	}
	out, err := c.change(ctx, in.InMessage, thread.CmdDelete, data, nil, in.IfMatch)
	return out, httpapi.Stale(err)
}

type reactIn struct {
	InMessage
	Emoji string `path:"emoji" doc:"One emoji, percent-encoded."`
	Empty httpapi.NoBody
}

// react returns the handler that adds a reaction to a message, or removes it.
func (c *chat) react(on bool) func(context.Context, *reactIn) (*httpapi.Answered[MessageView], error) {
	target := "off"
	if on {
		target = "on"
	}
	return func(ctx context.Context, in *reactIn) (*httpapi.Answered[MessageView], error) {
		data := thread.React{MessageID: in.message, Emoji: in.Emoji, On: on}
		return c.change(ctx, in.InMessage, thread.CmdReact, data, nil, in.Emoji, target)
	}
}
