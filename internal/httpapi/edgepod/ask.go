package edgepod

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/advice"
	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/view"
)

type askIn struct {
	Contract string `path:"contract" maxLength:"8" doc:"The number of the contract, such as 04; siaga for EP-11."`
	Name     string `path:"name" maxLength:"64" doc:"The name of the contract, such as moderation."`
	Stream   string `query:"stream" maxLength:"161" doc:"The stream that the text comes from or is meant for."`
	JSON     httpapi.Body[map[string]json.RawMessage]

	contract *edgepod.Contract
	stream   gotong.Stream
}

// Resolve finds the contract, so that an unknown one is 404 whatever the body; huma
// calls it.
func (in *askIn) Resolve(huma.Context) []error {
	if in.contract = edgepod.ByPath(in.Contract + "/" + in.Name); in.contract == nil {
		return []error{gotong.NotFound()}
	}
	if in.Stream != "" {
		var err error
		if in.stream, err = gotong.ParseStream(in.Stream); err != nil {
			return []error{gotong.NotFound()}
		}
	}
	return nil
}

type askOut = httpapi.Out[edgepod.Answer]

func (p *pod) ask(ctx context.Context, in *askIn) (*askOut, error) {
	if err := in.contract.Request.Validate(in.JSON.Raw); err != nil {
		return nil, err
	}
	fields := in.JSON.Value
	if err := identity(ctx, in.contract, fields); err != nil {
		return nil, err
	}
	if in.stream != "" { // its texts may be erased, and the caller may lose their rights: nothing of it is kept
		return p.fresh(ctx, in, fields)
	}
	me := httpapi.CallOf(ctx).Principal.UserID
	key := askKey{in.contract.ID, me, str(fields["request_id"])}
	if first, ok, err := p.again.find(key, in.JSON.Raw); err != nil || ok {
		httpapi.Replayed(ctx)
		return httpapi.Reply(first, err)
	}
	out, err := p.fresh(ctx, in, fields)
	if err == nil {
		p.again.keep(key, in.JSON.Raw, out.Body)
	}
	return out, err
}

// fresh asks the boundary.
func (p *pod) fresh(ctx context.Context, in *askIn, fields map[string]json.RawMessage) (*askOut, error) {
	call := edgepod.Call{Contract: in.contract, Privacy: edgepod.ParsePrivacy(str(fields["privacy_level"]))}
	if in.stream == "" {
		// Nobody knows where the text comes from.
		call.Privacy = max(call.Privacy, edgepod.L2)
	} else if err := p.drawn(ctx, in, fields, &call); err != nil {
		return nil, err
	}
	if str(fields["privacy_signal"]) == "vault" {
		call.Privacy = edgepod.Vault
	}
	if !p.mediaAllowed(fields) {
		call.Privacy = edgepod.Vault // no server outside is asked to fetch a URL of a caller
	}
	replace(fields, "privacy_level", call.Privacy.String())
	delete(fields, "reputation_snapshot")
	var err error
	if call.Request, err = json.Marshal(fields); err != nil {
		return nil, err
	}
	if err := in.contract.Request.Validate(call.Request); err != nil {
		return nil, err
	}
	a := p.Boundary.Ask(ctx, call)
	if in.contract.ID == edgepod.Gaming && !httpapi.CallOf(ctx).Principal.Role.CanModerate() {
		a.Output = summaryOnly(a.Output)
	}
	return httpapi.Reply(a, nil)
}

// identity checks that the request is the caller's, and sets their role.
func identity(ctx context.Context, c *edgepod.Contract, fields map[string]json.RawMessage) error {
	call := httpapi.CallOf(ctx)
	if str(fields["request_id"]) != call.RequestID {
		return gotong.Invalid("request_id", "must be equal to the header Idempotency-Key")
	}
	var actor map[string]string
	if err := json.Unmarshal(fields["actor"], &actor); err != nil {
		return err
	}
	me := call.Principal
	if actor["user_id"] != me.UserID || c.ID == edgepod.Credit && str(fields["user_id"]) != me.UserID {
		return gotong.NewError(gotong.CodeForbidden, "You can call contracts only for yourself.")
	}
	role, ok := map[gotong.Role]string{gotong.RoleModerator: "moderator", gotong.RoleAdmin: "admin"}[me.Role]
	if !ok {
		role = "member"
	}
	actor["role"] = role
	replace(fields, "actor", actor)
	return nil
}

// seen is how many events of the stream EP-03 and EP-07 look at.
const seen = 500

// drawn sets the privacy of the stream. For EP-03 and EP-07 it puts in what the
// caller may see there, so that an answer can name nothing else.
func (p *pod) drawn(ctx context.Context, in *askIn, fields map[string]json.RawMessage, call *edgepod.Call) error {
	viewer := httpapi.CallOf(ctx).Principal.Viewer()
	q := view.Query{Stream: in.stream}
	if in.contract.ID == edgepod.Duplicates || in.contract.ID == edgepod.Summary {
		q.Limit, q.Descending = seen, true
	}
	page, err := p.Views.Read(ctx, viewer, q)
	if err != nil {
		return err
	}
	scope, err := advice.ScopeOf(ctx, p.Store, p.Codec, in.stream)
	if err != nil {
		return err
	}
	call.Privacy, call.Released = max(call.Privacy, scope.Privacy), scope.Policy.Outside
	texts := advice.Texts(page.Events)
	switch in.contract.ID {
	case edgepod.Duplicates:
		options := map[string]json.RawMessage{}
		if raw := fields["query_options"]; raw != nil {
			if err := json.Unmarshal(raw, &options); err != nil {
				return err
			}
		}
		candidates := []map[string]string{}
		for _, t := range texts {
			candidates = append(candidates, map[string]string{"seed_id": t.ID, "text": t.Body})
		}
		replace(options, "candidates", candidates)
		replace(fields, "query_options", options)
	case edgepod.Summary:
		slices.Reverse(texts)
		messages := []map[string]string{}
		for _, t := range texts {
			messages = append(messages, map[string]string{
				"id": t.ID, "text": t.Body, "author_id": t.Author, "at": t.At.Time().UTC().Format(time.RFC3339Nano),
			})
		}
		replace(fields, "messages", messages)
		replace(fields, "input_texts", []string{})
	}
	return nil
}

// mediaAllowed reports whether all media URLs lie on hosts that the operator named.
func (p *pod) mediaAllowed(fields map[string]json.RawMessage) bool {
	var urls []string
	_ = json.Unmarshal(fields["media_urls"], &urls) // valid by the contract, or absent
	return !slices.ContainsFunc(urls, func(raw string) bool {
		u, err := url.Parse(raw)
		return err != nil || u.Scheme != "https" || !slices.Contains(p.MediaHosts, u.Host)
	})
}

// summaryOnly leaves out the users of EP-05: the caller is no moderator.
func summaryOnly(output json.RawMessage) json.RawMessage {
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(output, &fields) != nil {
		return output
	}
	replace(fields, "flags", []string{})
	replace(fields, "recommendation", "none")
	b, _ := json.Marshal(fields) //nolint:errchkjson // raw JSON that was valid
	return b
}

func str(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s) // no string: empty
	return s
}

func replace(fields map[string]json.RawMessage, name string, v any) {
	b, err := json.Marshal(v)
	if err != nil { // strings, lists and maps of them
		panic(err)
	}
	fields[name] = b
}
