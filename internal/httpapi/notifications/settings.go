package notifications

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
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
			"push for you, except an emergency broadcast. They do not learn of it. No message and no count of messages changes. " +
			"404 unless you have met: in a thread, group or case of yours, in a direct thread, or by their invitation.",
	}, func(ctx context.Context, in *blockIn) (*httpapi.Out[User], error) {
		if met, err := r.met(ctx, in.UserID); err != nil || !met {
			return nil, cmp.Or[error](err, gotong.NotFound())
		}
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

// meeting is where users meet: the listings of a user's streams, and their kinds.
var meeting = map[string]string{
	thread.OfUser: thread.Name, group.OfUser: group.Name, cases.OfUser: cases.Name, group.OfInvited: group.Name,
}

// met reports whether the caller may know of a user, so that a block reveals neither who
// has an account nor their name: they have blocked them before, have a direct thread
// with them or an open invitation, or belong to a stream to which that user belongs, or
// belonged at the same time.
func (r *routes) met(ctx context.Context, other string) (bool, error) {
	me := viewer(ctx).UserID
	if other == me || !gotong.ValidID(other) { // the rules say what is wrong
		return true, nil
	}
	set, pair := gotong.SettingsRef(me).Key, thread.ThreadKey(thread.DirectOf(me, other).ID())
	need, lists := store.Need{Documents: []gotong.Key{set, pair}}, slices.Sorted(maps.Keys(meeting))
	for _, of := range lists {
		need.Ranges = append(need.Ranges, httpapi.Newest(of, me, "", store.MaxRead))
	}
	snap, err := r.Store.Load(ctx, need)
	if err != nil {
		return false, err
	}
	settings, _, err := httpapi.Document[user.Settings](r.Codec, snap, set)
	if _, direct := snap.Documents[pair]; err != nil || direct || settings.Blocks(other) {
		return err == nil, err
	}
	need = store.Need{}
	for n, of := range lists {
		for _, row := range snap.Ranges[n] {
			if s := gotong.NewStream(meeting[of], row.Key.StreamID()); of == group.OfInvited {
				need.Documents = append(need.Documents, group.InvitationKey(s.ID(), me))
			} else {
				need.Documents = append(need.Documents, gotong.MemberKey(s, me), gotong.MemberKey(s, other))
			}
		}
	}
	if snap, err = r.Store.Load(ctx, need); err != nil {
		return false, err
	}
	var mine gotong.Membership // in the stream of the key before
	for _, key := range need.Documents {
		doc, _, err := httpapi.Document[any](r.Codec, snap, key)
		if err != nil {
			return false, err
		}
		switch doc := doc.(type) {
		case group.Invitation:
			if doc.By == other && doc.Open(r.Now()) {
				return true, nil
			}
		case interface{ Base() gotong.Membership }:
			m := doc.Base()
			if key.Name == other && mine.Active() && (m.Active() || m.LeftAt > mine.JoinedAt) {
				return true, nil
			}
			mine = m
		default:
			mine = gotong.Membership{}
		}
	}
	return false, nil
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

func (r *routes) prefer(ctx context.Context, in *httpapi.Sent[SetPreferences]) (*httpapi.Out[Preferences], error) {
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
