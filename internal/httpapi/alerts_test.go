package httpapi_test

import (
	"log/slog"

	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/notifications"
	"gotong.dev/gotong/internal/httpapi/proofs"
	pushapi "gotong.dev/gotong/internal/httpapi/push"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/outbound"
	"gotong.dev/gotong/internal/push"
	"gotong.dev/gotong/internal/store"
)

// alerts returns the routes of the inbox, of push and of proofs. Nothing runs that fills
// inboxes, sends pushes or signs checkpoints.
func (w *world) alerts(codec *store.Codec, log *slog.Logger) []func(*httpapi.API) {
	w.t.Helper()
	keys, err := push.NewKeys([]byte("a secret of a test, long enough"), "mailto:ops@example.org")
	if err != nil {
		w.t.Fatal(err)
	}
	box := &inbox.Box{Options: inbox.Options{Store: w.store, Views: w.views, Codec: codec, Now: w.now, Changed: func(string) {}}}
	return []func(*httpapi.API){
		notifications.Routes(notifications.Options{
			Box: box, Engine: w.engine, Names: w.door.Names, Store: w.store, Codec: codec, Now: w.now,
		}),
		pushapi.Routes(pushapi.Options{
			Pusher: push.New(push.Options{
				Store: w.store, Codec: codec, Views: w.views, Clock: w.clock, Guard: outbound.New(outbound.Options{}), Keys: keys, Box: box, Log: log,
			}),
			Look: w.hub.Signals().Look,
		}),
		proofs.Routes(proofs.Options{Views: w.views, Prove: w.proof}),
	}
}
