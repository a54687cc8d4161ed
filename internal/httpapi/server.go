package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
)

// Options configure the edge. Auth, Now, Epoch and Log are required.
type Options struct {
	Auth  Authenticator
	Clock clock.Clock
	Epoch gotong.Epoch // of the log; positions of other epochs are rejected
	Log   *slog.Logger

	Routes   []func(*API)            // the routes of each kind
	Mounts   map[string]http.Handler // further handlers by pattern: the console, the AsyncAPI document
	Realtime http.Handler            // handles GET of ws, sse and poll below /v1/realtime

	Origins        Origins        // the origins whose pages may call
	TrustedProxies []netip.Prefix // the proxies that are trusted to report the address of a client
	ProxyHeader    string         // the header in which they report it: [XForwardedFor] (default) or [Forwarded]
	Limits         Limits
	Conns          ConnLimits
	BodyTimeout    time.Duration // for a body to arrive; 0 is 10 s
	Observer       Observer      // nil observes nothing
	Tracer         Tracer        // nil traces nothing

	Version  Version
	Checks   []Check      // the conditions of /readyz
	Draining func() bool  // true from the beginning of a shutdown; nil means never
	Metrics  http.Handler // of the operators' handler; nil has none

	// AdminMounts are further operators' handlers by pattern. They authenticate
	// their callers themselves.
	AdminMounts map[string]http.Handler
}

// realtimePaths accept GET alone, not even HEAD.
var realtimePaths = [...]string{"/v1/realtime/ws", "/v1/realtime/sse", "/v1/realtime/poll"}

// Server has the two handlers of a node.
type Server struct {
	main  http.Handler
	admin http.Handler
	conns *conns
	api   *API
}

// New builds the handlers. It panics if two routes conflict, which is an error
// in the table of routes.
func New(opts Options) *Server {
	if opts.Tracer == nil {
		opts.Tracer = untraced
	}
	mux := http.NewServeMux()
	g := &guard{
		auth: opts.Auth, clock: opts.Clock, log: opts.Log,
		user:   NewLimiter("user", opts.Limits.User, opts.Limits.Shared),
		strict: newCrowdLimiter("strict", opts.Limits.Strict, opts.Limits.Shared),
		login:  NewLimiter("login", opts.Limits.Login, opts.Limits.Shared),
	}
	api := &API{API: humago.New(mux, config(opts.Version)), guard: g}
	api.UseMiddleware(g.before)
	for _, register := range opts.Routes {
		register(api)
	}
	mountPages(mux, api)
	h := health{version: opts.Version, checks: opts.Checks, draining: opts.Draining}
	h.mount(mux, false)
	if opts.Realtime != nil {
		for _, path := range realtimePaths {
			mux.Handle("GET "+path, opts.Realtime)
		}
	}
	for pattern, handler := range opts.Mounts {
		mux.Handle(pattern, handler)
	}
	mux.Handle(lastPattern, unknown{mux, shadow(mux, api.OpenAPI().Paths)})
	from := &proxies{trusted: opts.TrustedProxies, header: cmp.Or(opts.ProxyHeader, XForwardedFor), log: opts.Log}
	counted := newConns(opts.Conns, from)
	return &Server{
		api: api, conns: counted,
		admin: adminHandler(opts, h),
		main: &edge{
			next: mux, clock: opts.Clock, epoch: opts.Epoch, log: opts.Log, cors: cors(opts.Origins),
			proxies: from, conns: counted,
			address: newCrowdLimiter("address", opts.Limits.Address, opts.Limits.Shared), watch: opts.Observer, trace: opts.Tracer,
			bodyTimeout: cmp.Or(opts.BodyTimeout, bodyTimeout),
		},
	}
}

func untraced(r *http.Request) (context.Context, func(string, int)) {
	return r.Context(), func(string, int) {}
}

// Handler returns the handler for users and programs.
func (s *Server) Handler() http.Handler { return s.main }

// Admin returns the handler for operators, which should listen on a loopback
// address.
func (s *Server) Admin() http.Handler { return s.admin }

// OpenAPI returns the published document, indented.
func (s *Server) OpenAPI() []byte { return document(s.api) }

// HTTPServer returns a net/http server with the deadlines of the contract. A
// handler that streams removes the write deadline itself. A request's header
// may have 16 KiB: net/http adds 4 KiB to MaxHeaderBytes.
func HTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      75 * time.Second, // a poll may wait 55 s
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    12 << 10,
		ConnContext:       connContext,
		ConnState:         connState,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// config returns huma's configuration: no pages of its own, and no format but
// JSON.
func config(v Version) huma.Config {
	c := huma.DefaultConfig("Gotong", v.Version)
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil // would put $schema into every body
	jsonFormat := huma.DefaultJSONFormat
	jsonFormat.Unmarshal = func([]byte, any) error { return gotong.NewError(gotong.CodeInternal, "huma reads no body") }
	c.Formats = map[string]huma.Format{"application/json": jsonFormat, problemType: jsonFormat}
	c.DefaultFormat = "application/json"
	c.Info.Description = "Community chat that is kept durably, in one order, and delivered without loss, duplicate or leak."
	c.Info.License = &huma.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"}
	c.Servers = []*huma.Server{{URL: "/", Description: "This server."}}
	c.Tags = tasks
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
	}
	return c
}

// tasks are the groups of operations. Those that a newcomer needs first come first.
var tasks = []*huma.Tag{
	{Name: "Accounts", Description: "Sign up, sign in, and look after your account and its logins."},
	{Name: "Threads", Description: "Make a thread, find those of others, and join or leave one."},
	{Name: "Messages", Description: "Post, read, edit, delete, react, answer and pin."},
	{Name: "Attachments", Description: "Upload files for messages, and get links to them."},
	{Name: "Reading", Description: "Read marks, unread counts, and who is present."},
	{Name: "Notifications", Description: "The inbox: what concerns you, preferences, and people whom you block."},
	{Name: "Push", Description: "Let a device learn of new messages while nothing is open on it."},
	{Name: "Moderation", Description: "Report messages, decide about them, and appeal."},
	{Name: "Members", Description: "Add people to a thread, give them roles, mute, remove or ban them."},
	{Name: "Groups", Description: "Neighbourhoods, cooperatives and institutions: their members, requests to join and invitations."},
	{Name: "Cases", Description: "Common cases and who takes part in them."},
	{Name: "Transitions", Description: "Move a case through its stages: propose, object, vote."},
	{Name: "Proofs", Description: "Prove that an event is in the log."},
	{Name: "Webhooks", Description: "Let the server send events to another system."},
	{Name: "Edge-Pod", Description: "The contracts with model runtimes, and calls of them. Answers are advice."},
	{Name: "Administration", Description: "For platform admins: accounts, threads and groups without a leader, erasure."},
}

// schemaName puts the name of the package of routes before the type's name, so
// that two kinds may each have a MemberView.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name, dir := huma.DefaultSchemaNamer(t, hint), path.Base(t.PkgPath())
	if dir == "." || dir == "httpapi" || dir == "gotong" {
		return name
	}
	return strings.ToUpper(dir[:1]) + dir[1:] + name
}

func document(api *API) []byte {
	raw, err := json.Marshal(api.OpenAPI())
	var out bytes.Buffer
	if err == nil {
		err = json.Indent(&out, raw, "", "  ")
	}
	if err != nil {
		panic("httpapi: the document cannot be written: " + err.Error())
	}
	out.WriteByte('\n')
	return out.Bytes()
}
