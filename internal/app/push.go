package app

import (
	"context"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/chat"
	pushapi "gotong.dev/gotong/internal/httpapi/push"
	"gotong.dev/gotong/internal/push"
)

// newPusher returns the part that sends pushes; nil if push is off. What it reads of
// auth and of chat exists when it is called.
func (a *App) newPusher(secret []byte) (*push.Pusher, error) {
	if a.cfg.PushContact == "" {
		return nil, nil
	}
	keys, err := push.NewKeys(secret, a.cfg.PushContact)
	if err != nil {
		return nil, err
	}
	reading := sync.OnceValue(func() chat.Reading {
		return chat.NewReading(a.chatOptions(thread.Rules{Accounts: accountsOf(&a.cfg), Lenders: gotong.LendersOf(rulesOf(a.kinds))}))
	})
	return push.New(push.Options{
		Store: a.store, Codec: a.codec, Views: a.views, Clock: a.clock, Guard: a.guard(), Keys: keys, Box: a.inbox(), Log: a.log,
		Delay: a.cfg.PushDelay, Interval: time.Minute,
		Lives: func(ctx context.Context, login auth.Principal) (bool, error) { return a.auth.Lives(ctx, login) },
		Looks: a.hub.Signals().Looks,
		Reading: func(ctx context.Context, viewer gotong.Viewer, stream gotong.Stream) (push.Reading, error) {
			r, err := reading().Of(ctx, viewer, stream)
			return push.Reading(r), err
		},
		Badge: func(ctx context.Context, viewer gotong.Viewer) (int, error) { return reading().Badge(ctx, viewer) },
		Count: a.metrics.Pushed,
	}), nil
}

// pushes runs the part that withdraws what was read.
func (a *App) pushes(ctx context.Context) error {
	if a.pusher == nil {
		return nil
	}
	return a.pusher.Run(ctx)
}

func (a *App) pushRoutes() func(*httpapi.API) {
	return pushapi.Routes(pushapi.Options{Pusher: a.pusher, Look: a.hub.Signals().Look})
}

// marked lets the pusher withdraw what a user has read of a stream.
func (a *App) marked(userID string, stream gotong.Stream) {
	if a.pusher != nil {
		a.pusher.Marked(userID, stream)
	}
}

// whispers passes signals on, and lets the pusher withdraw what was read.
type whispers struct {
	chat.Signals
	app *App
}

func (w whispers) Whisper(stream gotong.Stream, actor gotong.Actor, data []byte) {
	w.Signals.Whisper(stream, actor, data)
	w.app.marked(actor.UserID, stream)
}
