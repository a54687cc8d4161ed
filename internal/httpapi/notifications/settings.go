package notifications

import (
	"context"
	"net/http"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

func (r *routes) settingRoutes(api *httpapi.API) {
	const blocks = "/v1/blocks"
	httpapi.Register(api, httpapi.Route{
		ID: "get-preferences", Method: http.MethodGet, Path: path + "/preferences", Tag: tag, Summary: "Get your preferences",
	}, r.preferences)
	httpapi.Register(api, httpapi.Route{
		ID: "set-preferences", Method: http.MethodPatch, Path: path + "/preferences", Tag: tag, Write: true, Summary: "Set preferences",
		Description: "What the body names replaces what was set. Nobody else learns of it.",
	}, r.prefer)
	httpapi.Register(api, httpapi.Route{
		ID: "list-blocks", Method: http.MethodGet, Path: blocks, Tag: tag, Summary: "List the users whom you block",
	}, r.blocks)
	httpapi.Register(api, httpapi.Route{
		ID: "block-user", Method: http.MethodPut, Path: blocks + "/{user_id}", Tag: tag, Write: true, Summary: "Block a user",
		Description: "They can start no direct thread with you and write in none, and what they write becomes no notification and no " +
			"push for you. They do not learn of it. No message and no count of messages changes.",
	}, func(ctx context.Context, in *blockIn) (*httpapi.Out[User], error) {
		if _, err := r.run(ctx, user.CmdBlock, user.Block{UserID: in.UserID}, nil, in.UserID); err != nil {
			return nil, err
		}
		return httpapi.Reply(User{in.UserID, r.Names(ctx, []string{in.UserID})[in.UserID]}, nil)
	})
	httpapi.Register(api, httpapi.Route{
		ID: "unblock-user", Method: http.MethodDelete, Path: blocks + "/{user_id}", Tag: tag, Write: true,
		Status: http.StatusNoContent, Summary: "End a block",
	}, func(ctx context.Context, in *blockIn) (*struct{}, error) {
		_, err := r.run(ctx, user.CmdUnblock, user.Unblock{UserID: in.UserID}, nil, in.UserID)
		return nil, err
	})
}

// run executes a command on the account of the caller.
func (r *routes) run(ctx context.Context, name string, data any, raw []byte, targets ...string) (gotong.Receipt, error) {
	call := httpapi.CallOf(ctx)
	return httpapi.Run(ctx, r.Engine, call.Command(own(ctx), name, data, raw, targets...))
}

func own(ctx context.Context) gotong.Stream { return gotong.NewStream(user.Name, viewer(ctx).UserID) }

type blockIn struct {
	UserID string `path:"user_id" doc:"The user."`
	Empty  httpapi.NoBody
}

// Blocks is the users whom a user blocks.
type Blocks struct {
	Items []User `json:"items"`
}

func (r *routes) blocks(ctx context.Context, _ *struct{}) (*httpapi.Out[Blocks], error) {
	set, err := r.settings(ctx)
	if err != nil {
		return nil, err
	}
	names, out := r.Names(ctx, set.Blocked), Blocks{Items: []User{}}
	for _, id := range set.Blocked {
		out.Items = append(out.Items, User{id, names[id]})
	}
	return httpapi.Reply(out, nil)
}

func (r *routes) settings(ctx context.Context) (user.Settings, error) {
	key := gotong.SettingsRef(viewer(ctx).UserID).Key
	snap, err := r.Store.Load(ctx, store.Need{Documents: []gotong.Key{key}})
	if err != nil {
		return user.Settings{}, err
	}
	set, _, err := httpapi.Document[user.Settings](r.Codec, snap, key)
	return set, err
}

// Preferences are what a user has set.
type Preferences struct {
	Kinds   map[string]bool       `json:"kinds" doc:"The kinds of notifications that can be switched off: false if one is."`
	Threads map[string]user.Level `json:"threads" doc:"By thread id: mentions (only those and replies alert you) or none. Any other thread has the level all."`
}

// SetPreferences is the body of setting preferences.
type SetPreferences struct {
	Kinds   map[string]bool       `json:"kinds,omitempty" doc:"By kind: false switches it off."`
	Threads map[string]user.Level `json:"threads,omitempty" doc:"By thread id: all, mentions or none; at most 100."`
}

type preferIn struct {
	JSON httpapi.Body[SetPreferences]
}

func (r *routes) prefer(ctx context.Context, in *preferIn) (*httpapi.Out[Preferences], error) {
	if _, err := r.run(ctx, user.CmdPrefer, user.Prefer(in.JSON.Value), in.JSON.Raw); err != nil {
		return nil, err
	}
	return r.preferences(ctx, nil)
}

func (r *routes) preferences(ctx context.Context, _ *struct{}) (*httpapi.Out[Preferences], error) {
	set, err := r.settings(ctx)
	p := Preferences{Kinds: map[string]bool{}, Threads: set.Threads}
	for _, kind := range user.Optional() {
		p.Kinds[kind] = !slices.Contains(set.Off, kind)
	}
	if p.Threads == nil {
		p.Threads = map[string]user.Level{}
	}
	return httpapi.Reply(p, err)
}
