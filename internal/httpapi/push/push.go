// Package push has the REST routes of Web Push: the server's key, the subscriptions of
// a login, and what its user looks at.
package push

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/push"
)

// Options are what the routes work with. Pusher is nil where push is off: the routes
// then answer 404.
type Options struct {
	Pusher *push.Pusher
	Look   func(userID, session string, stream gotong.Stream)
}

// Key is the server's public key.
type Key struct {
	PublicKey string `json:"public_key" doc:"The applicationServerKey of a browser: a public key of P-256, in base64url."`
}

// Subscribe is the body of putting a subscription.
type Subscribe struct {
	Endpoint string `json:"endpoint" maxLength:"1024" doc:"The URL of the push service for this device."`
	P256dh   string `json:"p256dh" maxLength:"128" doc:"The device's public key, in base64url."`
	Auth     string `json:"auth" maxLength:"64" doc:"The device's secret, in base64url."`
	Withdraw bool   `json:"withdraw,omitempty" doc:"Also send a push with unread 0 after the messages of a push were read elsewhere. The client must be allowed to show no notification for it."`
}

// Subscription is where a device gets pushes.
type Subscription struct {
	ID          string `json:"subscription_id"`
	Endpoint    string `json:"endpoint"`
	Withdraw    bool   `json:"withdraw,omitempty"`
	ExpiresAtMS int64  `json:"expires_at_ms" doc:"When the subscription ends, unless you put it again before."`
}

// Active is the body of a report of what the user looks at.
type Active struct {
	Stream string `json:"stream,omitempty" maxLength:"256" doc:"The stream that the user looks at; absent: none."`
}

type named struct {
	ID    string `path:"id" maxLength:"64" doc:"The subscription's id."`
	Empty httpapi.NoBody
}

func viewed(s push.Subscription) Subscription {
	return Subscription{ID: s.ID, Endpoint: s.Endpoint, Withdraw: s.Withdraw, ExpiresAtMS: s.Expires.Milli()}
}

// Routes returns a function that registers the routes.
func Routes(o Options) func(*httpapi.API) {
	return func(api *httpapi.API) {
		route := func(id, method, path, summary, about string) httpapi.Route {
			return httpapi.Route{
				ID: id, Method: method, Path: path, Tag: "Push", Summary: summary, Description: about, Write: method != http.MethodGet,
			}
		}
		const base = "/v1/push/subscriptions"
		httpapi.Register(api, route("get-push-key", http.MethodGet, "/v1/push/key", "Get the server's key for Web Push",
			"404 where push is off. With another key than before, all subscriptions have ended."),
			func(context.Context, *struct{}) (*httpapi.Out[Key], error) {
				if o.Pusher == nil {
					return nil, gotong.NotFound()
				}
				return httpapi.Reply(Key{o.Pusher.Keys.Public()}, nil)
			})
		httpapi.Register(api, route("put-push-subscription", http.MethodPut, base, "Get pushes on this device",
			"The subscription ends with the login. Put it again at each start of the client: its endpoint identifies it. "+
				"A login has at most 3 subscriptions and a user 16; beyond that, the oldest end. "+
				"No record of the Idempotency-Key is kept, because a repetition only sets the same subscription again."),
			func(ctx context.Context, in *httpapi.Sent[Subscribe]) (*httpapi.Out[Subscription], error) {
				if o.Pusher == nil {
					return nil, gotong.NotFound()
				}
				v := in.JSON.Value
				s, err := o.Pusher.Subscribe(ctx, httpapi.CallOf(ctx).Principal.Principal, v.Endpoint, v.P256dh, v.Auth, v.Withdraw)
				return httpapi.Reply(viewed(s), err)
			})
		httpapi.Register(api, route("list-push-subscriptions", http.MethodGet, base, "List the subscriptions of your login", ""),
			func(ctx context.Context, _ *struct{}) (*httpapi.Out[[]Subscription], error) {
				out := []Subscription{}
				if o.Pusher == nil {
					return httpapi.Reply(out, nil)
				}
				list, err := o.Pusher.Subscriptions(ctx, httpapi.CallOf(ctx).Principal.Principal)
				for _, s := range list {
					out = append(out, viewed(s))
				}
				return httpapi.Reply(out, err)
			})
		end := route("delete-push-subscription", http.MethodDelete, base+"/{id}", "Get no more pushes on this device", "")
		end.Status = http.StatusNoContent
		httpapi.Register(api, end, func(ctx context.Context, in *named) (*struct{}, error) {
			if o.Pusher == nil {
				return nil, gotong.NotFound()
			}
			return nil, o.Pusher.Unsubscribe(ctx, httpapi.CallOf(ctx).Principal.Principal, in.ID)
		})
		active := route("set-active", http.MethodPut, "/v1/realtime/active", "Say what the user looks at",
			"For clients without a WebSocket. Valid for a minute; meanwhile, no push announces messages of this stream to the user.")
		active.Status = http.StatusNoContent
		httpapi.Register(api, active, func(ctx context.Context, in *httpapi.Sent[Active]) (*struct{}, error) {
			stream := gotong.Stream(in.JSON.Value.Stream)
			if _, err := gotong.ParseStream(string(stream)); stream != "" && err != nil {
				return nil, err
			}
			p := httpapi.CallOf(ctx).Principal
			o.Look(p.UserID, p.LoginID, stream)
			return nil, nil
		})
	}
}
