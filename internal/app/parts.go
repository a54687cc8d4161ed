package app

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/console"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/chat"
	podapi "gotong.dev/gotong/internal/httpapi/edgepod"
	"gotong.dev/gotong/internal/httpapi/notifications"
	"gotong.dev/gotong/internal/httpapi/realtime"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/push"
	"gotong.dev/gotong/internal/telemetry"
	"gotong.dev/gotong/internal/view"
)

// catchUps returns how many pages a node reads at once; 0 is the default, for a
// store that no other node uses. A shared database queues the reads for which it
// has no processor. With 64 reads of each node in its queue, all of them time
// out and are repeated, and no page is read any more.
func (a *App) catchUps() int {
	if ownStore(&a.cfg) {
		return 0
	}
	return 8
}

func (a *App) newViews() *view.Views {
	return view.New(view.Options{
		Store: a.store, Codec: a.codec,
		Arrival: func(s gotong.Stream, in gotong.Partition, seq uint64) (<-chan struct{}, func()) {
			return a.hub.Arrival(s, in, seq)
		},
	})
}

func (a *App) newHub() *live.Hub {
	m := a.metrics.Live
	return live.New(live.Options{
		Store: a.store, Codec: a.codec, Views: a.views, Bus: a.bus, Clock: a.clock,
		Names: names{a}, Members: func(ctx context.Context, of gotong.Stream, ids []string) ([]string, error) {
			return a.inbox().Members(ctx, of, ids)
		},
		Problem: func(err error, trace string) []byte {
			b, _ := json.Marshal(httpapi.ProblemOf(err, trace)) //nolint:errchkjson // a problem always has a JSON form
			return b
		},
		LoginsSeen: a.loginsSeen(),
		Woken:      func(p gotong.Partition, position uint64) { a.readers.Woken(p, position) },
		Ended:      func(userID string) { a.watch.Hint(userID) },
		Limits:     live.Limits{Sessions: SessionsWithin(OpenFiles(), a.cfg.MaxSessions), CatchUps: a.catchUps()},
		Observer: live.Observer{
			Published: func(ctx context.Context, _ gotong.Stream, _ uint64, _ gotong.Instant) {
				trace.SpanFromContext(ctx).AddEvent("published")
			},
			Subscribed: func() { m.Subscribed("all") }, Unsubscribed: func(reason string) { m.Unsubscribed("all", reason) },
			Replayed: m.Replayed, CatchUpWaiting: m.CatchUpWaiting, CatchUpRunning: m.CatchUpRunning, Dropped: m.Dropped,
			Fault: a.faulty,
		},
	})
}

// names is the display names that auth remembers; auth is made after delivery.
type names struct{ a *App }

func (n names) Names(ctx context.Context, ids []string) map[string]string {
	return n.a.auth.Names(ctx, ids)
}
func (n names) Known(id string) (string, bool) { return n.a.auth.Known(id) }

// secret returns the server's key, and reports it if this start created it.
func (a *App) secret() ([]byte, error) {
	secret, created, err := signingKey(&a.cfg)
	if created != "" {
		a.report.created = append(a.report.created, created)
	}
	a.linkKey = linkKeyOf(secret)
	return secret, err
}

func (a *App) newAuth(secret []byte) error {
	keys, err := keysOf(&a.cfg)
	if err != nil {
		return err
	}
	a.auth, err = auth.New(a.base, auth.Options{
		Store: a.store, Executor: a.engine, Clock: a.clock, Secret: secret, Keys: keys, Bypass: a.cfg.DevBypass, Users: users(),
		AccessLife: a.cfg.AccessTokenLife, RefreshLife: a.cfg.RefreshLife, Hashes: a.cfg.PasswordHashes,
		Observer: verifications{a.metrics.Auth, a}, Log: a.log,
		Busy: a.engine.Busy, HashProgram: a.hashProgram,
		Personal:  []string{push.Subscriptions, chat.ReadMarks, inbox.Marks},
		Shared:    a.shared(),
		Connected: func(userID string) map[string]bool { return a.live.LoginsOf(userID) },
		OnLoginEnd: func(loginID, userID string) {
			a.live.EndLogin(loginID)
			a.hub.TellEnded(userID)
		},
		OnUserEnd: func(userID string) {
			a.hub.EndUser(userID, live.Closing{Code: realtime.CloseUnauthorized, Reason: "the account was changed or disabled"})
			a.hub.TellEnded(userID)
		},
	})
	return err
}

func users() auth.Users {
	return auth.Users{
		Command: user.CmdRegister,
		Register: func(email, username, communityID string) any {
			return user.Register{Email: email, Username: username, CommunityID: communityID}
		},
		EmailClaim: func(email string) gotong.Claim {
			return gotong.Claim{Space: user.ClaimEmail, Name: user.Email(email)}
		},
		Change: func(what auth.Change, seq uint64) (string, any) {
			return user.CmdAmend, user.Amend{Event: user.Name + "." + string(what), Seq: seq}
		},
		Document: user.UserKey,
		Keeps: []string{
			user.EvWebhookFailing, user.EvBlocked, user.EvUnblocked, user.EvPreferred, user.EvPasswordChanged, user.EvEmailChanged,
		},
		Standing: func(_ gotong.Head, document []byte) (auth.Standing, error) {
			var u user.User
			err := json.Unmarshal(document, &u)
			return auth.Standing{Role: u.Role, Enabled: u.Enabled, Version: u.Standing}, err
		},
	}
}

func (a *App) newRealtime() *realtime.Server {
	creates := map[string]func(actor, requestID string) gotong.Stream{}
	for _, k := range a.kinds {
		if k.creates != nil {
			creates[k.rules.Name] = k.creates
		}
	}
	m := a.metrics.Live
	return realtime.New(realtime.Options{
		Context: a.base, Hub: a.hub, Engine: a.engine, Codec: a.codec, Auth: httpapi.Tokens(a.auth), Clock: a.clock, Log: a.log,
		Ticket: a.auth.UseTicket, Recheck: a.auth.Recheck, Creates: creates, Origins: a.cfg.AllowedOrigins,
		Allow: func(userID string) (bool, time.Duration) { return a.allow.Take(a.base, userID, a.clock.Mono()) },
		Observe: realtime.Observer{
			Opened: m.SessionOpened, Closed: m.SessionClosed,
			Wrote: func(transport string, frames, bytes int, oldest gotong.Instant) {
				m.Wrote(transport, frames, bytes)
				if oldest > 0 {
					m.Delivered(max(0, a.now().Sub(oldest)))
				}
			},
		},
		Trace: a.traceFrame,
	})
}

func (a *App) traceFrame(ctx context.Context, traceparent, operation string) (context.Context, func()) {
	if a.cfg.OTelEndpoint == "" && traceparent == "" {
		return ctx, func() {} // nobody asked for a trace
	}
	if traceparent != "" {
		ctx = telemetry.WithTraceparent(ctx, traceparent)
	}
	ctx, span := a.tracing.Tracer("realtime").Start(ctx, operation, trace.WithSpanKind(trace.SpanKindServer))
	return ctx, func() { span.End() }
}

func (a *App) traceRequest(r *http.Request) (context.Context, func(route string, status int)) {
	ctx := telemetry.FromHeaders(r.Context(), r.Header)
	ctx, span := a.tracing.Tracer("http").Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
	return ctx, func(route string, status int) {
		span.SetName(route)
		span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String("http.route", route))
		span.End()
	}
}

func (a *App) inbox() *inbox.Box {
	return &inbox.Box{Options: inbox.Options{
		Store: a.store, Views: a.views, Codec: a.codec, Now: a.now, Changed: a.inboxChanged,
	}}
}

// inboxChanged signals that a user changed what their inbox shows, and lets the pusher
// withdraw what it shows no more.
func (a *App) inboxChanged(userID string) {
	me := gotong.NewStream(user.Name, userID)
	a.hub.Signals().Changed(me)
	a.marked(userID, me)
}

func (a *App) newServer(b Build) *httpapi.Server {
	proxies, err := a.cfg.Proxies()
	if err != nil { // cannot be: the configuration was checked
		a.log.WarnContext(a.base, "no proxy is trusted", "cause", err)
	}
	routes := []func(*httpapi.API){a.proofRoutes(), a.pushRoutes(), podapi.Routes(podapi.Options{
		Boundary: a.pod, Views: a.views, Store: a.store, Codec: a.codec, MediaHosts: a.cfg.EdgePodMediaHosts,
	}), notifications.Routes(notifications.Options{
		Box: a.inbox(), Engine: a.engine, Names: a.auth.Names, Store: a.store, Codec: a.codec, Now: a.now,
	})}
	for _, k := range a.kinds {
		if k.routes != nil {
			routes = append(routes, k.routes(a))
		}
	}
	mounts := console.Mounts(a.cfg.Console)
	mounts["GET /asyncapi.json"] = realtime.Document()
	mounts["GET "+SeenPath] = http.HandlerFunc(a.serveSeen)
	admin := console.OperatorMounts(a.cfg.Console)
	admin["POST "+OrderPath] = http.HandlerFunc(a.serveOrder)
	return httpapi.New(httpapi.Options{
		Auth: httpapi.Tokens(a.auth), Clock: a.clock, Epoch: a.store.Epoch(), Log: a.log, Routes: routes, Realtime: a.live,
		Mounts:      mounts,
		AdminMounts: admin,
		Origins:     a.cfg.AllowedOrigins, TrustedProxies: proxies, ProxyHeader: a.cfg.ProxyHeader,
		Limits: httpapi.Limits{
			User:    httpapi.Rate{PerSecond: a.cfg.UserRate, Burst: a.cfg.UserBurst},
			Address: httpapi.Rate{PerSecond: a.cfg.AddressRate, Burst: a.cfg.AddressBurst},
			Strict:  httpapi.Rate{PerSecond: 1, Burst: 20},
			Login:   httpapi.Rate{PerSecond: 1, Burst: 20},
			Shared:  a.allowances(),
		},
		Conns: httpapi.ConnLimits{
			PerAddress: a.cfg.PendingPerAddress, Total: a.cfg.PendingConns, Refused: a.metrics.HTTP.Refused,
		},
		Observer: a.metrics.HTTP, Tracer: a.traceRequest, Metrics: a.metrics.Handler(),
		Version: httpapi.Version{
			Version: b.Version, Commit: b.Commit, Go: runtime.Version(), Development: a.cfg.Env == config.Development,
		},
		Draining: a.draining.Load,
		Checks:   a.checks(),
	})
}
