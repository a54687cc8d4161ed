// Package moderation serves the REST routes of moderation: decisions about messages,
// appeals, the queue of what waits for a reviewer, and reports.
//
// [thread.Thread.MayReview] and, for members, the visibility of the message decide what
// a caller learns. A caller who is no reviewer and may not see the message gets the
// answer for a message that does not exist.
package moderation

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/files"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Options are what the routes work with; all are required.
type Options struct {
	members.Options
	Rules thread.Rules
	// Links returns the files of a message, with links for those to whom the message about
	// opened it; with 0, for those who see the message.
	Links func(ctx context.Context, stream gotong.Stream, seq, about uint64, list []thread.Attachment) []files.View
}

// Opens reports whether a report or a hold opens a message now to a user who may decide
// about it, and with it the message seq: itself, or one that a report opened with it.
func (o Options) Opens(ctx context.Context, me gotong.Viewer, stream gotong.Stream, about, seq uint64) (bool, error) {
	d := &desk{Options: o}
	l, err := d.look(ctx, me, stream)
	var m matter
	if err == nil {
		m, err = d.matter(ctx, l, about)
	}
	if gotong.CodeOf(err) == gotong.CodeNotFound {
		return false, nil
	}
	return m.variant == Moderator && thread.IsOpened(m.overlay, m.pending) && (seq == about || slices.Contains(m.pending.Context, seq)), err
}

type desk struct {
	Options
	threads httpapi.Streams
}

const tag = "Moderation"

// Routes returns a function that registers the routes under /v1/moderations and
// /v1/reports.
func Routes(opts Options) func(*httpapi.API) {
	d := &desk{Options: opts, threads: httpapi.Streams{Kind: thread.Name, Engine: opts.Engine}}
	return func(api *httpapi.API) {
		httpapi.Register(api, httpapi.Route{
			ID: "decide-content", Method: http.MethodPost, Path: "/v1/moderations", Tag: tag, Write: true, Status: http.StatusCreated,
			Summary: "Decide about a message",
			Description: "For owners and admins of the thread, and for platform moderators " +
				"if a report or a hold opened the message to them. " +
				"You cannot decide about your own message while it is rejected, reported, or held for another reason than advice. " +
				"While a message is held or rejected, only its author gets its text. " +
				"To decide again what is decided, with the same reason_code, changes nothing, and noop says so; " +
				"another reason_code is a new decision.",
		}, d.decide)
		httpapi.Register(api, httpapi.Route{
			ID: "review-queue", Method: http.MethodGet, Path: "/v1/moderations/review-queue", Tag: tag,
			Summary: "List what waits for you as a reviewer",
			Description: "The messages that are held, reported or proposed for a hold and about which you may " +
				"decide, oldest first. A page may be empty although there are more.",
		}, d.queue)
		httpapi.Register(api, httpapi.Route{
			ID: "get-moderation", Method: http.MethodGet, Path: "/v1/moderations/{content_id}", Tag: tag,
			Summary: "Get the moderation of a message",
			Description: "The variant says what you get: Public for users who may see the message, Author " +
				"for its author, Moderator for reviewers, who may decide about it. " +
				"Only Moderator shows who decided and why.",
		}, d.get)
		httpapi.Register(api, httpapi.Route{
			ID: "open-content", Method: http.MethodPost, Path: "/v1/moderations/{content_id}/open", Tag: tag, Write: true,
			Summary: "Read what a report or a hold opens",
			Description: "For those who may decide about the message: the message with all its revisions and files, " +
				"the messages that the reporters opened with it, and the reports " +
				"without their authors. Each look is an event, and other reviewers see who looked.",
		}, d.open)
		httpapi.Register(api, httpapi.Route{
			ID: "appeal-decision", Method: http.MethodPost, Path: "/v1/moderations/{content_id}/appeal", Tag: tag, Write: true,
			Summary: "Appeal against a decision",
			Description: "For the author of a message that is held or rejected, once, " +
				"within the window. From then on, the message is under review.",
		}, d.appeal)
		httpapi.Register(api, httpapi.Route{
			ID: "end-hold", Method: http.MethodPost, Path: "/v1/moderations/{content_id}/end-hold", Tag: tag, Write: true,
			Summary: "End a hold whose time is over",
			Description: "For platform admins, if the server is late: it ends holds with auto_release_if_no_action by itself. " +
				"A hold that must not end by itself stays, and noop says why; one whose time is not over is 409.",
		}, d.end)
		httpapi.Register(api, httpapi.Route{
			ID: "report-content", Method: http.MethodPost, Path: "/v1/reports", Tag: tag, Write: true, Status: http.StatusCreated,
			Summary: "Report a message",
			Description: "For members who may read it, once for each message. It opens to reviewers this " +
				"message, its revisions, and up to 5 other messages that you choose, " +
				"and nothing else. Nobody learns who reported the message. " +
				"A second report by you on a message changes nothing: the answer has the first one, and noop.",
		}, d.report)
	}
}

// InContent names a message in the path.
type InContent struct {
	ContentID string `path:"content_id" doc:"The thread's id, a colon, and the message's id."`
	at        place
}

// Resolve parses the id; huma calls it.
func (in *InContent) Resolve(huma.Context) []error {
	var err error
	if in.at, err = parse(in.ContentID); err != nil {
		return []error{err}
	}
	return nil
}

// place is a message by its ids.
type place struct {
	stream  gotong.Stream
	message gotong.EventID
}

func parse(id string) (place, error) {
	cut := strings.LastIndexByte(id, ':')
	if cut < 0 {
		return place{}, gotong.NotFound()
	}
	message, err := gotong.ParseEventID(id[cut+1:])
	stream, errOfStream := gotong.ParseStream(thread.Name + "/" + id[:cut])
	if err != nil || errOfStream != nil {
		return place{}, gotong.NotFound()
	}
	return place{stream, message}, nil
}

func contentID(stream gotong.Stream, message gotong.EventID) string {
	return stream.ID() + ":" + message.String()
}

// Variant is what the caller gets of a moderation; a closed set.
type Variant string

// The variants.
const (
	Public    Variant = "Public"
	Author    Variant = "Author"
	Moderator Variant = "Moderator"
)

// matter is a message in moderation, as the caller may know it.
type matter struct {
	gotong.Event
	variant Variant
	overlay thread.Overlay
	pending thread.Pending
	record  thread.Moderation
}

func viewer(ctx context.Context) gotong.Viewer { return httpapi.CallOf(ctx).Principal.Viewer() }

// find returns the message at a place. It authorises before it searches.
func (d *desk) find(ctx context.Context, at place) (matter, error) {
	l, err := d.look(ctx, viewer(ctx), at.stream)
	if err != nil {
		return matter{}, err
	}
	row, ok, err := store.FindEvent(ctx, d.Store, at.stream, at.message, l.Head.Seq)
	if err != nil {
		return matter{}, err
	}
	if !ok || row.Type != thread.EvPosted {
		return matter{}, gotong.NotFound()
	}
	return d.matter(ctx, l, row.Seq)
}

// look returns a thread: any for a platform moderator, for others one that has the
// caller as a member.
func (d *desk) look(ctx context.Context, me gotong.Viewer, stream gotong.Stream) (view.Look, error) {
	looks, _, err := d.Views.Look(ctx, me, []gotong.Stream{stream}, nil, nil)
	switch {
	case err != nil:
		return view.Look{}, err
	case !looks[0].Head.Exists() || !looks[0].Grant.Readable && !me.Role.CanModerate():
		return view.Look{}, gotong.NotFound()
	}
	return looks[0], nil
}

// matter returns the message with this seq of a thread.
func (d *desk) matter(ctx context.Context, l view.Look, seq uint64) (m matter, err error) {
	refs := thread.ModerationRefs(l.Stream, seq)
	need := store.Need{Events: []store.EventRange{{Stream: l.Stream, From: seq - 1, To: seq}}}
	for _, ref := range refs {
		need.Documents = append(need.Documents, ref.Key)
	}
	snap, err := d.Store.Load(ctx, need)
	if err != nil || len(snap.Events[0]) == 0 {
		return m, err
	}
	if m.Event, err = d.Codec.Event(&snap.Events[0][0]); err != nil {
		return m, err
	}
	if m.overlay, _, err = httpapi.Document[thread.Overlay](d.Codec, snap, refs[0].Key); err != nil {
		return m, err
	}
	if m.pending, _, err = httpapi.Document[thread.Pending](d.Codec, snap, refs[1].Key); err != nil {
		return m, err
	}
	if m.record, _, err = httpapi.Document[thread.Moderation](d.Codec, snap, refs[2].Key); err != nil {
		return m, err
	}
	t, _ := gotong.Doc[thread.Thread](l.State, thread.ThreadKey(l.Stream.ID()))
	role := d.Rules.RoleOf(l.State, l.Viewer.UserID)
	if role != "" {
		if sees, err := d.sees(ctx, l, seq); err != nil || !sees {
			return m, cmp.Or[error](err, gotong.NotFound())
		}
	}
	switch own := m.Actor.UserID == l.Viewer.UserID; {
	case role != "" && own:
		m.variant = Author
	case !own && t.MayReview(role, l.Viewer.Role, m.overlay, m.pending):
		m.variant = Moderator
	case role != "":
		m.variant = Public
	default:
		return m, gotong.NotFound()
	}
	return m, nil
}

// sees reports whether the viewer sees the event seq.
func (d *desk) sees(ctx context.Context, l view.Look, seq uint64) (bool, error) {
	page, err := d.Views.Read(ctx, l.Viewer, view.Query{Stream: l.Stream, From: seq - 1, To: seq, Limit: 1})
	return len(page.Events) > 0, err
}

// Decision is the body of deciding about a message.
type Decision struct {
	ContentID  string             `json:"content_id" maxLength:"300"`
	Revision   *uint64            `json:"revision,omitempty" doc:"The revision that you decide about; 409 if the message has been edited since. If absent, the newest."`
	Status     thread.Status      `json:"moderation_status,omitempty" enum:"under_review,published,rejected" doc:"If present, it must be the state to which the action leads."`
	Action     thread.Action      `json:"moderation_action" enum:"publish_now,publish_with_warning,hold_for_review,block"`
	Code       string             `json:"reason_code,omitempty" maxLength:"64" doc:"1 to 64 of a-z0-9_. All who may see the message get it."`
	Confidence float64            `json:"confidence,omitempty" minimum:"0" maximum:"1"`
	Minutes    int                `json:"hold_duration_minutes,omitempty" minimum:"0" maximum:"10080" doc:"Of a hold; 15 if absent."`
	Auto       bool               `json:"auto_release_if_no_action,omitempty" doc:"Of a hold. True: it ends by itself. Otherwise it lasts until somebody decides."`
	Appeal     int                `json:"appeal_window_minutes,omitempty" minimum:"0" maximum:"129600" doc:"7 days if absent."`
	Reasoning  string             `json:"reasoning,omitempty" maxLength:"8000" doc:"For reviewers; at most 2000 characters."`
	Violations []thread.Violation `json:"violations,omitempty" maxItems:"20" doc:"For reviewers. The category is hate, violence, harassment, illegal, misinformation, spam, child_safety or other; the severity low, medium or high."`
}

func (d *desk) decide(ctx context.Context, in *httpapi.Sent[Decision]) (*httpapi.Answered[View], error) {
	b := in.JSON.Value
	at, err := parse(b.ContentID)
	if err != nil {
		return nil, err
	}
	if b.Status != "" && b.Status != b.Action.Status() {
		return nil, gotong.Invalid("moderation_status", "must be the state to which the action leads")
	}
	return d.run(ctx, at, thread.CmdReview, thread.Review{
		MessageID: at.message, Revision: b.Revision, Decision: b.Action, Code: b.Code, Confidence: b.Confidence,
		Minutes: b.Minutes, Auto: b.Auto, Appeal: b.Appeal, Grounds: thread.Grounds{Reasoning: b.Reasoning, Violations: b.Violations},
	}, in.JSON.Raw)
}

// run executes a command about a message and returns its moderation.
func (d *desk) run(
	ctx context.Context, at place, name string, data any, raw []byte, targets ...string,
) (*httpapi.Answered[View], error) {
	receipt, err := d.threads.Run(ctx, at.stream.ID(), name, data, raw, targets...)
	if err != nil {
		return nil, err
	}
	if receipt.First > 0 {
		data = nil
	}
	v, err := d.view(ctx, at, data)
	return httpapi.Answer(receipt, v, err)
}

type appealIn struct {
	InContent
	JSON httpapi.Body[thread.Plea]
}

func (d *desk) appeal(ctx context.Context, in *appealIn) (*httpapi.Answered[View], error) {
	return d.run(ctx, in.at, thread.CmdAppeal, thread.Appeal{MessageID: in.at.message, Plea: in.JSON.Value}, in.JSON.Raw, in.ContentID)
}

type emptyIn struct {
	InContent
	Empty httpapi.NoBody
}

func (d *desk) end(ctx context.Context, in *emptyIn) (*httpapi.Answered[View], error) {
	return d.run(ctx, in.at, thread.CmdUnhold, thread.Unhold{MessageID: in.at.message}, nil, in.ContentID)
}

type getIn struct {
	InContent
	IfNoneMatch string `header:"If-None-Match"`
}

func (d *desk) get(ctx context.Context, in *getIn) (*httpapi.Shown[View], error) {
	v, err := d.view(ctx, in.at, nil)
	if err != nil {
		return nil, err
	}
	return httpapi.Show(v, "", in.IfNoneMatch), nil
}
