package webhooks

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"unicode/utf8"

	"gotong.dev/gotong"
	rules "gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/webhook"
)

// Skip is the body of skipping an event.
type Skip struct {
	Stream string `json:"stream" minLength:"3" maxLength:"161"`
}

// skip changes the lane and adds the dead letter in the transaction of its event,
// which wakes the sender.
func (r *routes) skip(ctx context.Context, in *httpapi.SentTo[Skip]) (*answered, error) {
	own, _, _, err := r.config(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	s, err := gotong.ParseStream(in.JSON.Value.Stream)
	if err != nil {
		return nil, err
	}
	lane, version, err := webhook.Read[webhook.Lane](ctx, r.Registers, webhook.LaneKey(in.ID, s))
	if err != nil {
		return nil, err
	}
	cmd := httpapi.CallOf(ctx).Command(own, rules.CmdSkip, rules.Skip{Stream: s, Seq: max(lane.Next, 1)}, in.JSON.Raw)
	if lane.Attempts == 0 { // unless this is a repetition
		if _, ok := replayed(ctx, r.Store, cmd); !ok {
			return nil, gotong.NewError(gotong.CodeConflict,
				"The stream does not wait for the receiver to accept an event; there is nothing to skip.")
		}
	}
	d := webhook.Dead{Stream: s, Seq: lane.Next, At: r.Now(), Attempts: lane.Attempts, Why: "skipped"}
	_, before, err := webhook.Read[webhook.Dead](ctx, r.Registers, webhook.DeadKey(in.ID, s, lane.Next))
	if err != nil {
		return nil, err
	}
	cmd.Registers = []gotong.RegisterChange{
		change(webhook.LaneKey(in.ID, s), version, webhook.Lane{Seq: lane.Next}), change(webhook.DeadKey(in.ID, s, lane.Next), before, d),
	}
	return r.answer(ctx, cmd)
}

func change(key gotong.Key, version uint64, doc any) gotong.RegisterChange {
	body, _ := json.Marshal(doc) //nolint:errchkjson // plain fields
	return gotong.RegisterChange{Key: key, Expect: version, Body: body}
}

// replayed reports whether a command was committed before.
func replayed(ctx context.Context, from store.Loader, cmd gotong.Command) (store.Record, bool) {
	snap, err := from.Load(ctx, store.Need{Records: []gotong.RequestKey{cmd.Key()}})
	record, ok := snap.Records[cmd.Key()]
	return record, ok && err == nil
}

func (r *routes) answer(ctx context.Context, cmd gotong.Command) (*answered, error) {
	receipt, err := httpapi.Run(ctx, r.Options.Engine, cmd)
	if err != nil {
		return nil, err
	}
	v, err := r.view(ctx, receipt.Stream)
	return httpapi.Answer(receipt, v, err)
}

// Replay is the body of sending events again.
type Replay struct {
	Stream  string `json:"stream,omitempty" maxLength:"161" doc:"With from_seq and to_seq: events of this stream."`
	FromSeq uint64 `json:"from_seq,omitempty"`
	ToSeq   uint64 `json:"to_seq,omitempty" doc:"By default from_seq: one event."`
	SinceMS int64  `json:"since_ms,omitempty" doc:"Everything of all streams since this time that was sent before or is a dead letter. Unix time in milliseconds."`
	Dead    bool   `json:"dead,omitempty" doc:"All dead letters."`
}

func (r *routes) replay(ctx context.Context, in *httpapi.SentTo[Replay]) (*answered, error) {
	own, _, _, err := r.config(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	b := in.JSON.Value
	p := webhook.Replay{From: b.FromSeq, To: max(b.ToSeq, b.FromSeq), Since: gotong.Instant(b.SinceMS * 1000), Dead: b.Dead}
	if b.Stream != "" {
		if p.Stream, err = gotong.ParseStream(b.Stream); err != nil {
			return nil, err
		}
	}
	stretch, since := p.Stream != "" && p.From > 0 && !p.Dead && p.Since == 0, p.Stream == "" && p.To == 0
	if !gotong.ValidTime(b.SinceMS) || !stretch && (!since || p.Dead == (p.Since > 0)) {
		return nil, gotong.Invalid("stream", "must be given with from_seq, unless since_ms or dead is given alone")
	}
	call := httpapi.CallOf(ctx)
	id := "rpl-" + gotong.DeriveID(rules.Name, call.Principal.UserID, call.RequestID)
	cmd := call.Command(own, rules.CmdReplay, rules.Replay{ReplayID: id}, in.JSON.Raw)
	cmd.Registers = []gotong.RegisterChange{change(webhook.ReplayKey(in.ID, id), 0, p)}
	return r.answer(ctx, cmd)
}

// Letter is a reference to an event that the receiver did not accept.
type Letter struct {
	Stream   gotong.Stream `json:"stream"`
	Seq      uint64        `json:"seq"`
	EventID  string        `json:"event_id,omitempty"`
	AtMS     int64         `json:"at_ms"`
	Attempts int           `json:"attempts"`
	Status   int           `json:"status,omitempty"`
	Why      string        `json:"why" enum:"rejected,skipped,unreadable"`
}

type lettersIn struct {
	httpapi.In
	Cursor string `query:"cursor" maxLength:"512" doc:"X-Next-Cursor of the previous page."`
}

func (r *routes) letters(ctx context.Context, in *lettersIn) (*httpapi.Listed[Letter], error) {
	if _, _, _, err := r.config(ctx, in.ID); err != nil {
		return nil, err
	}
	const limit = 200
	after, err := base64.RawURLEncoding.Strict().DecodeString(in.Cursor)
	if err != nil || !utf8.Valid(after) {
		return nil, gotong.NewError(gotong.CodeCursorInvalid, "The cursor is malformed; leave it out for the first page.")
	}
	list, last, err := webhook.DeadLetters(ctx, r.Registers, in.ID, string(after), limit)
	out := &httpapi.Listed[Letter]{Body: []Letter{}}
	for _, d := range list {
		out.Body = append(out.Body, Letter{d.Stream, d.Seq, d.EventID, d.At.Milli(), d.Attempts, d.Status, d.Why})
	}
	if len(list) == limit {
		out.Next = httpapi.Next{HasMore: true, NextCursor: base64.RawURLEncoding.EncodeToString([]byte(last))}
	}
	return out, err
}

// Attempt is one attempt to deliver an event.
type Attempt struct {
	AtMS       int64         `json:"at_ms"`
	MessageID  string        `json:"webhook_message_id" doc:"The webhook-id that was sent."`
	Stream     gotong.Stream `json:"stream,omitempty"`
	Seq        uint64        `json:"seq,omitempty"`
	Status     int           `json:"status,omitempty" doc:"Absent if there was no response."`
	Error      string        `json:"error,omitempty"`
	DurationMS int64         `json:"duration_ms"`
	ReplayID   string        `json:"replay_id,omitempty"`
}

func (r *routes) deliveries(ctx context.Context, in *httpapi.In) (*httpapi.Out[[]Attempt], error) {
	if _, _, _, err := r.config(ctx, in.ID); err != nil {
		return nil, err
	}
	state, err := webhook.ReadState(ctx, r.Registers, in.ID)
	list := []Attempt{}
	for _, a := range slices.Backward(state.Log) {
		list = append(list, Attempt{a.At.Milli(), a.WebhookID, a.Stream, a.Seq, a.Status, a.Error, a.MS, a.Replay})
	}
	return httpapi.Reply(list, err)
}

type memberIn struct {
	httpapi.In
	WebhookID string `path:"wid" pattern:"^[A-Za-z0-9._:-]{1,128}$" doc:"The webhook's id, whk-…"`
	Empty     httpapi.NoBody
}

// admit registers the route that makes webhooks members of the streams of a kind.
// They are listed and removed among the other members.
func (r *routes) admit(api *httpapi.API, kind, path string) {
	streams := httpapi.Streams{Kind: kind, Engine: r.Options.Engine}
	httpapi.Register(api, httpapi.Route{
		ID: "add-" + kind + "-webhook", Method: http.MethodPut, Path: path + "/{id}/webhooks/{wid}", Tag: tag,
		Subject: "The " + kind + "'s id", Write: true, Summary: "Make a webhook a member of a " + kind,
		Description: "For those who add members. It is listed and removed among the members.",
	}, func(ctx context.Context, in *memberIn) (*httpapi.Out[httpapi.ReceiptView], error) {
		receipt, err := streams.Run(ctx, in.ID, gotong.CmdAddWebhook, gotong.AddWebhook{WebhookID: in.WebhookID}, nil, in.WebhookID)
		return httpapi.Reply(httpapi.ViewReceipt(receipt), err)
	})
}
