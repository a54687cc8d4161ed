// Package webhooks serves the REST routes of webhooks: registering and changing
// them, the state of delivery, and adding them to a thread or case.
//
// # Caveats
//
// A response shows a secret only to the request that creates it, and to its
// repetitions.
package webhooks

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"gotong.dev/gotong"
	rules "gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/outbound"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/text"
	"gotong.dev/gotong/internal/webhook"
)

// Options are what the routes work with; all are required.
type Options struct {
	members.Options
	Registers webhook.Registers
	Guard     *outbound.Guard
	Now       func() gotong.Instant
	Admits    map[string]string // the kinds whose streams admit webhooks, and the path of their routes
}

type routes struct {
	Options
	httpapi.Resource[View]
}

const (
	tag     = "Webhooks"
	subject = "The webhook's id, whk-…"
)

// Routes returns a function that registers the routes under /v1/webhooks, and those
// that add webhooks to streams.
func Routes(opts Options) func(*httpapi.API) {
	r := &routes{Options: opts}
	r.Resource = httpapi.Resource[View]{
		Streams: httpapi.Streams{Kind: rules.Name, Engine: opts.Engine}, Path: "/v1/webhooks", View: r.view,
	}
	return func(api *httpapi.API) {
		route := func(id, method, path, summary, about string) httpapi.Route {
			return httpapi.Route{
				ID: id, Method: method, Path: "/v1/webhooks" + path, Tag: tag, Subject: subject, Summary: summary, Description: about,
				Write: method != http.MethodGet,
			}
		}
		create := route("create-webhook", http.MethodPost, "", "Register a webhook",
			"In a group, for its admins; in another scope, for platform admins. No other response shows the secret.")
		create.Status, create.Subject = http.StatusCreated, ""
		httpapi.Register(api, create, r.create)
		list := route("list-webhooks", http.MethodGet, "", "List the webhooks of a group or scope", "For those who may register one there.")
		list.Subject = ""
		httpapi.Register(api, list, r.list)
		httpapi.RegisterGet(api, r.Resource, httpapi.Route{
			ID: "get-webhook", Tag: tag, Subject: subject, Summary: "Get a webhook and the state of its delivery",
		})
		httpapi.Register(api, route("update-webhook", http.MethodPatch, "/{id}", "Change a webhook",
			"Absent fields stay unchanged."), r.update)
		httpapi.Register(api, route("rotate-webhook", http.MethodPost, "/{id}/rotate", "Give a webhook a new secret",
			"For the time in the body, deliveries are signed with both secrets."), r.rotate)
		httpapi.Register(api, route("skip-webhook-event", http.MethodPost, "/{id}/skip", "Skip the event for which a stream waits",
			"It becomes a dead letter, and the next event is sent."), r.skip)
		httpapi.Register(api, route("replay-webhook", http.MethodPost, "/{id}/replay", "Send events again",
			"One event or a range of a stream, everything since a time, or all dead letters. "+
				"They are marked as replays, and no order is promised."), r.replay)
		httpapi.Register(api, route("list-webhook-dead-letters", http.MethodGet, "/{id}/dead-letters", "List the dead letters",
			"References to the events that the receiver did not accept."), r.letters)
		httpapi.Register(api, route("list-webhook-deliveries", http.MethodGet, "/{id}/deliveries", "List the last attempts",
			"At most 100, newest first, without bodies."), r.deliveries)
		for _, c := range []struct {
			id, method, path, summary, name string
			data                            any
		}{
			{"remove-webhook", http.MethodDelete, "", "Remove a webhook for good", rules.CmdEnd, rules.End{}},
			{"take-over-webhook", http.MethodPost, "/take-over", "Make yourself the registrant", rules.CmdTakeOver, rules.TakeOver{}},
			{"enable-webhook", http.MethodPost, "/enable", "Enable a webhook", rules.CmdEnable, rules.Enable{}},
			{"disable-webhook", http.MethodPost, "/disable", "Disable a webhook", rules.CmdDisable, rules.Disable{}},
		} {
			write := func(ctx context.Context, in *httpapi.SentNothing) (*answered, error) {
				return r.Write(ctx, in.ID, c.name, c.data, nil)
			}
			httpapi.Register(api, route(c.id, c.method, "/{id}"+c.path, c.summary, ""), write)
		}
		for kind, path := range r.Admits {
			r.admit(api, kind, path)
		}
	}
}

type answered = httpapi.Answered[View]

// View is a webhook as shown to those who may register one in its place.
type View struct {
	WebhookID   string          `json:"webhook_id"`
	ScopeID     string          `json:"scope_id"`
	URL         string          `json:"url"`
	Description string          `json:"description,omitempty"`
	Profile     rules.Profile   `json:"profile" enum:"standard,markov"`
	Types       []string        `json:"types,omitempty" doc:"Absent: events of all types."`
	Streams     []gotong.Stream `json:"streams,omitempty" doc:"Absent: events of all streams that the webhook may read."`
	Registrant  string          `json:"registrant"`
	Disabled    rules.Why       `json:"disabled,omitempty" enum:"admin,failing,gone"`
	Ended       rules.Why       `json:"ended,omitempty" enum:"admin,lapsed" doc:"lapsed: the registrant lost the right to keep it; another admin may take it over."`
	CreatedAtMS int64           `json:"created_at_ms"`
	AsOf        string          `json:"as_of"`
	Secret      string          `json:"secret,omitempty" doc:"Only in the response to the request that created it."`
	Delivery    Delivery        `json:"delivery"`

	version uint64
}

// Delivery is the state of delivery to a webhook.
type Delivery struct {
	LastSuccessMS  int64     `json:"last_success_at_ms,omitempty"`
	FailingSinceMS int64     `json:"failing_since_ms,omitempty" doc:"The first attempt since the last success. The webhook is disabled 120 hours later."`
	WaitingUntilMS int64     `json:"waiting_until_ms,omitempty" doc:"When the next attempt is made, if the endpoint does not respond."`
	DisabledAtMS   int64     `json:"disabled_at_ms,omitempty" doc:"When the webhook will be disabled unless an attempt succeeds."`
	Blocked        []Blocked `json:"blocked,omitempty" doc:"The streams whose next event the receiver rejects."`
}

// Blocked is a stream that waits.
type Blocked struct {
	Stream gotong.Stream `json:"stream"`
	DueMS  int64         `json:"due_ms"`
}

// Tag returns the ETag, which covers the webhook and the state of delivery.
func (v View) Tag() string { return fmt.Sprintf("%q", fmt.Sprint(v.AsOf, ".", v.version)) }

// Cursor returns the cursor of the state.
func (v View) Cursor() string { return v.AsOf }

func viewer(ctx context.Context) gotong.Viewer { return httpapi.CallOf(ctx).Principal.Viewer() }

func (r *routes) view(ctx context.Context, s gotong.Stream) (View, error) {
	return httpapi.One(ctx, s, r.views)
}

// views returns those of the webhooks that the caller may read, by id.
func (r *routes) views(ctx context.Context, ids []string) (map[string]View, error) {
	looks, _, err := r.Views.Look(ctx, viewer(ctx), r.All(ids), nil, nil)
	views := map[string]View{}
	for _, l := range looks {
		w, ok := gotong.Doc[rules.Webhook](l.State, rules.Key(l.Stream.ID()))
		if !ok || !l.Grant.Readable {
			continue
		}
		v := View{
			WebhookID: l.Stream.ID(), ScopeID: w.ScopeID, Profile: w.Profile, Types: w.Types, Streams: w.Streams, Registrant: w.Registrant,
			Disabled: w.Disabled, Ended: w.Ended, CreatedAtMS: w.CreatedAt.Milli(), AsOf: httpapi.AsOf(ctx, l.Head.Seq),
		}
		if err := r.delivery(ctx, &v); err != nil {
			return nil, err
		}
		views[v.WebhookID] = v
	}
	return views, err
}

func (r *routes) delivery(ctx context.Context, v *View) error {
	cfg, version, err := webhook.ReadConfig(ctx, r.Registers, v.WebhookID)
	if err != nil {
		return err
	}
	state, err := webhook.ReadState(ctx, r.Registers, v.WebhookID)
	v.URL, v.Description, v.version = cfg.URL, cfg.Description, version
	v.Delivery = Delivery{
		LastSuccessMS: state.LastSuccess.Milli(), FailingSinceMS: state.FailingSince.Milli(), WaitingUntilMS: state.Until.Milli(),
	}
	if state.FailingSince > 0 {
		v.Delivery.DisabledAtMS = state.FailingSince.Add(webhook.DisableAfter).Milli()
	}
	for _, b := range state.Blocked {
		v.Delivery.Blocked = append(v.Delivery.Blocked, Blocked{b.Stream, b.Due.Milli()})
	}
	v.version += uint64(len(state.Log)) + uint64(state.LastSuccess+state.Until+state.FailingSince) //nolint:gosec // any change shows
	return err
}

// Create is the body of registering a webhook.
type Create struct {
	ScopeID     string          `json:"scope_id" minLength:"1" maxLength:"128"`
	URL         string          `json:"url" minLength:"1" maxLength:"2048" doc:"An HTTPS URL at a public address."`
	Description string          `json:"description,omitempty" maxLength:"500"`
	Profile     rules.Profile   `json:"profile,omitempty" enum:"standard,markov" doc:"By default standard: CloudEvents, signed as Standard Webhooks."`
	Types       []string        `json:"types,omitempty" maxItems:"64" doc:"Only events of these types."`
	Streams     []gotong.Stream `json:"streams,omitempty" maxItems:"100" doc:"Only events of these streams."`
}

func (r *routes) create(ctx context.Context, in *httpapi.Sent[Create]) (*answered, error) {
	call, b := httpapi.CallOf(ctx), in.JSON.Value
	if _, err := r.Guard.URL(b.URL); err != nil {
		return nil, gotong.Invalid("url", err.Error())
	}
	s := rules.StreamOf(call.Principal.UserID, call.RequestID)
	cfg := webhook.Config{
		URL: b.URL, Description: text.Description.Clean(b.Description), Secrets: []webhook.Secret{webhook.NewSecret(requestOf(call))},
	}
	data := rules.Register{ScopeID: b.ScopeID, Profile: b.Profile, Types: b.Types, Streams: b.Streams}
	out, err := r.configure(ctx, call.Command(s, rules.CmdRegister, data, in.JSON.Raw), cfg, 0)
	if err == nil {
		out.Location = r.Path + "/" + s.ID()
	}
	return out, err
}

// requestOf names the request that a secret is created for.
func requestOf(call *httpapi.Call) string {
	return gotong.DeriveID(rules.Config, call.Principal.UserID, call.RequestID)
}

// configure executes a command whose commit changes the configuration.
func (r *routes) configure(ctx context.Context, cmd gotong.Command, cfg webhook.Config, version uint64) (*answered, error) {
	body, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	cmd.Registers = []gotong.RegisterChange{{Key: rules.ConfigKey(cmd.Stream.ID()), Expect: version, Body: body}}
	receipt, err := httpapi.Run(ctx, r.Options.Engine, cmd)
	if err != nil {
		return nil, err
	}
	v, err := r.view(ctx, receipt.Stream)
	if err == nil {
		cfg, _, err = webhook.ReadConfig(ctx, r.Registers, v.WebhookID)
	}
	for _, s := range cfg.Secrets { // as they are now: another request may have rotated them
		if s.Of == requestOf(httpapi.CallOf(ctx)) {
			v.Secret = s.Key
		}
	}
	return httpapi.Answer(receipt, v, err)
}

// Update is the body of changing a webhook.
type Update struct {
	URL         *string          `json:"url,omitempty" minLength:"1" maxLength:"2048"`
	Description *string          `json:"description,omitempty" maxLength:"500"`
	Types       *[]string        `json:"types,omitempty" maxItems:"64" doc:"Empty: all."`
	Streams     *[]gotong.Stream `json:"streams,omitempty" maxItems:"100" doc:"Empty: all."`
}

func (r *routes) update(ctx context.Context, in *httpapi.SentTo[Update]) (*answered, error) {
	b := in.JSON.Value
	s, cfg, version, err := r.config(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if b.URL != nil {
		if _, err := r.Guard.URL(*b.URL); err != nil {
			return nil, gotong.Invalid("url", err.Error())
		}
		cfg.URL = *b.URL
	}
	if b.Description != nil {
		cfg.Description = text.Description.Clean(*b.Description)
	}
	data := rules.Update{Types: b.Types, Streams: b.Streams, URL: b.URL != nil || b.Description != nil}
	return r.configure(ctx, httpapi.CallOf(ctx).Command(s, rules.CmdUpdate, data, in.JSON.Raw), cfg, version)
}

// config reads the configuration of a webhook that the caller may change.
func (r *routes) config(ctx context.Context, id string) (s gotong.Stream, cfg webhook.Config, version uint64, err error) {
	if s, err = r.Stream(id); err == nil {
		_, err = r.view(ctx, s)
	}
	if err == nil {
		cfg, version, err = webhook.ReadConfig(ctx, r.Registers, id)
	}
	return s, cfg, version, err
}

// Rotate is the body of rotating a secret.
type Rotate struct {
	KeepHours *int `json:"keep_hours,omitempty" minimum:"0" maximum:"720" doc:"For how many hours the present secret stays valid; by default 24."`
}

func (r *routes) rotate(ctx context.Context, in *httpapi.MaybeSentTo[Rotate]) (*answered, error) {
	s, cfg, version, err := r.config(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	keep := 24
	if in.JSON.Value.KeepHours != nil {
		keep = *in.JSON.Value.KeepHours
	}
	now := r.Now()
	cfg = cfg.Rotated(webhook.NewSecret(requestOf(httpapi.CallOf(ctx))), now.Add(time.Duration(keep)*time.Hour), now)
	return r.configure(ctx, httpapi.CallOf(ctx).Command(s, rules.CmdRotate, rules.Rotate{}, in.JSON.Raw), cfg, version)
}

type listIn struct {
	httpapi.Page
	ScopeID string `query:"scope_id" required:"true" maxLength:"128" doc:"The group or scope."`
}

func (r *routes) list(ctx context.Context, in *listIn) (*httpapi.Listed[View], error) {
	before, err := httpapi.ByTime.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	snap, err := r.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{httpapi.Newest(rules.OfScope, in.ScopeID, before, in.Limit+2)}})
	if err != nil {
		return nil, err
	}
	lines, more := httpapi.Cut(httpapi.Lines(snap.Ranges[0], before), in.Limit)
	out, err := httpapi.List(ctx, lines, more, r.views)
	if err == nil && len(out.Body) == 0 { // even that there are more is nothing for others to know
		out.Next = httpapi.Next{}
	}
	return out, err
}
