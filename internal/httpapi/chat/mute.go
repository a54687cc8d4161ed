package chat

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/view"
)

func (c *chat) muteRoutes(api *httpapi.API) {
	const path = "/v1/chat/threads/{id}/mute"
	httpapi.Register(api, httpapi.Route{
		ID: "mute-thread", Method: http.MethodPut, Path: path, Tag: tagReading, Write: true, Summary: "Mute a thread for yourself",
		Description: "For members. Until a time, or until you lift it. Nobody else learns of it, and it changes no count: " +
			"clients leave the thread out of their notifications.",
	}, func(ctx context.Context, in *muteIn) (*httpapi.Shown[ThreadView], error) {
		until := in.JSON.Value.UntilMS
		if until == 0 {
			until = gotong.MaxTimeMS
		} else if !gotong.ValidTime(until) || until <= c.Now().Milli() {
			return nil, gotong.Invalid("until_ms", "must be in the future")
		}
		return c.mute(ctx, in.InThread, until, in.JSON.Raw)
	})
	httpapi.Register(api, httpapi.Route{
		ID: "unmute-thread", Method: http.MethodDelete, Path: path, Tag: tagReading, Write: true, Summary: "Lift your mute of a thread",
	}, func(ctx context.Context, in *unmuteIn) (*httpapi.Shown[ThreadView], error) {
		return c.mute(ctx, in.InThread, 0, nil)
	})
}

// MuteThread is the body of muting a thread for oneself.
type MuteThread struct {
	UntilMS int64 `json:"until_ms,omitempty" minimum:"1" doc:"The end of the mute; by default, it does not end."`
}

type muteIn struct {
	InThread
	JSON httpapi.OptionalBody[MuteThread]
}

type unmuteIn struct {
	InThread
	Empty httpapi.NoBody
}

// mute keeps a mute in the register of the user's read mark, so that a list reads both
// at once. Like a mark, it remembers the last keys.
func (c *chat) mute(ctx context.Context, in InThread, until int64, raw []byte) (*httpapi.Shown[ThreadView], error) {
	me, asked := viewer(ctx), newPrint(ctx, raw)
	if _, err := c.Views.Read(ctx, me, view.Query{Stream: in.stream}); err != nil {
		return nil, err
	}
	_, changed, err := c.changeMark(ctx, in.stream, asked, func(m *mark) (bool, error) {
		before := m.Mute
		m.Mute = until
		return before != until, nil
	})
	if err != nil {
		return nil, err
	}
	if changed {
		c.Signals.Changed(gotong.NewStream(user.Name, me.UserID)) // their inbox: it leaves out what is muted
	}
	return c.Get(ctx, in.ID, "")
}

// muted returns whether the user mutes the thread at this time, and until when; 0 is
// without an end.
func (m mark) muted(now gotong.Instant) (bool, int64) {
	switch {
	case m.Mute <= now.Milli():
		return false, 0
	case m.Mute == gotong.MaxTimeMS:
		return true, 0
	default:
		return true, m.Mute
	}
}
