package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/auth/argon"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/regutest"
	"gotong.dev/gotong/internal/community/report"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/accounts"
	caseapi "gotong.dev/gotong/internal/httpapi/cases"
	"gotong.dev/gotong/internal/httpapi/chat"
	podapi "gotong.dev/gotong/internal/httpapi/edgepod"
	fileapi "gotong.dev/gotong/internal/httpapi/files"
	"gotong.dev/gotong/internal/httpapi/groups"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/httpapi/moderation"
	"gotong.dev/gotong/internal/httpapi/webhooks"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/logtest"
	"gotong.dev/gotong/internal/outbound"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/telemetry"
	"gotong.dev/gotong/internal/view"
	"gotong.dev/gotong/proof"
)

// world is a whole node behind its handler, with the memory store. Every answer
// it gives is checked against the published document.
type world struct {
	t      *testing.T
	engine *engine.Engine
	views  *view.Views
	hub    *live.Hub
	store  *storetest.Faulty
	door   *auth.Service
	server *httpapi.Server
	spec   *spec
	log    *logtest.Lines
	clock  *clocktest.Clock
	opts   httpapi.Options
	marks  *marking // of all nodes
	stop   func()   // ends all but the store
	pod    pod
	chat   chat.Options
	files  fileapi.Options
	dir    string   // of files
	mail   []string // addresses to which a reset token is to be sent
	prove  func(context.Context, gotong.Partition, uint64, gotong.Stream, uint64) (proof.Event, error)
}

// node returns a server of threads beside the first one, which has read nothing yet.
func (w *world) node() *httpapi.Server {
	opts := w.opts
	opts.Routes = []func(*httpapi.API){chat.Routes(w.chat)}
	return httpapi.New(opts)
}

func (w *world) now() gotong.Instant { return w.clock.Now() }

// threads is the rules of threads.
func threads() thread.Rules {
	groups := group.KindFor(gotong.OwnAccounts)
	return thread.Rules{Accounts: gotong.OwnAccounts, Lenders: gotong.Lenders{groups, affairs().Kind(), regutest.Kind(groups)}, Claim: user.NameClaim}
}

// affairs is the rules of cases.
func affairs() cases.Rules {
	return cases.Rules{Accounts: gotong.OwnAccounts, Lenders: gotong.Lenders{group.KindFor(gotong.OwnAccounts)}, Tracks: cases.BuiltIn()}
}

func kinds() []gotong.Kind {
	list := []gotong.Kind{
		threads().Kind(), group.KindFor(gotong.OwnAccounts), affairs().Kind(), regutest.Kind(group.Kind()), user.Kind(), report.Kind(),
		upload.Rules{Threads: threads()}.Kind(), webhook.Rules{Accounts: gotong.OwnAccounts, Lenders: gotong.Lenders{group.Kind()}}.Kind(),
	}
	for i := range list {
		list[i] = gotong.WithWebhooks(list[i], gotong.OwnAccounts)
	}
	return list
}

func newWorld(t *testing.T, change ...func(*httpapi.Options)) *world {
	t.Helper()
	return newWorldOn(t, memory.New("k3f9", memory.Options{}), change...)
}

// newWorldOn closes the store at the end.
func newWorldOn(t *testing.T, opened store.Whole, change ...func(*httpapi.Options)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), clock: clocktest.Running(), log: &logtest.Lines{}, marks: &marking{}}
	w.start(opened, change...)
	return w
}

// beside returns another node with the log of a store, which has an engine and delivery of
// its own, and has read nothing yet. It serves threads and groups.
func (w *world) beside(opened store.Whole) *world {
	w.t.Helper()
	n := &world{t: w.t, dir: w.dir, clock: w.clock, log: w.log, marks: w.marks, spec: w.spec}
	n.start(opened)
	return n
}

func (w *world) start(opened store.Whole, change ...func(*httpapi.Options)) {
	t := w.t
	t.Helper()
	w.store = storetest.NewFaulty(opened)
	t.Cleanup(func() { _ = w.store.Close() })
	codec := store.NewCodec(kinds())
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(context.Background())
	w.engine = engine.New(engine.Options{
		Store: w.store, Codec: codec, Clock: w.clock,
		Committed: func(ctx context.Context, rows []store.Event) {
			w.hub.Offer(ctx, rows)
			w.door.Committed(ctx, rows)
		},
	})
	door, err := auth.New(ctx, auth.Options{
		Store: w.store, Executor: w.engine, Users: users(), Clock: w.clock, Log: log,
		Secret: []byte("a secret of a test, long enough"), Cost: argon.Cost{MemoryKiB: 8, Time: 1, Threads: 1},
		AccessLife: 30 * time.Minute, RefreshLife: 30 * 24 * time.Hour, Observer: telemetry.NewMetrics(telemetry.Build{}).Auth,
		Busy: w.engine.Busy, Connected: func(string) map[string]bool { return nil }, OnLoginEnd: func(string, string) {},
		OnUserEnd: func(id string) { w.hub.EndUser(id, live.Closing{Code: 4401}) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.door = door
	w.views = view.New(view.Options{
		Store: watched{w.store, w}, Codec: codec,
		Arrival: func(s gotong.Stream, in gotong.Partition, seq uint64) (<-chan struct{}, func()) {
			return w.hub.Arrival(s, in, seq)
		},
	})
	w.hub = live.New(live.Options{Store: w.store, Codec: codec, Views: w.views, Clock: w.clock, Names: door})
	stopped := make(chan error, 1)
	go func() { stopped <- w.hub.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		if err := w.engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		door.Close()
	})
	t.Cleanup(w.stop)
	routed := members.Options{
		Engine: w.engine, Delivery: w.hub, Names: door.Names, Users: door.Usernames, Store: watched{w.store, w}, Codec: codec, Views: w.views,
	}
	w.chat = chat.Options{
		Options: routed, Signals: whispers{w.hub.Signals(), w}, Marks: watched{w.store, w}, Now: w.now, Rules: threads(), Texts: w.store,
	}
	w.files = fileapi.Options{
		Files: w.keep(w.dir), Engine: w.engine, Views: w.views, Store: w.store, Codec: codec, Threads: threads(),
		Recheck: door.Recheck, Key: []byte("of links"), Now: w.now, Log: log,
		Opens: moderation.Options{Options: routed, Rules: threads()}.Opens,
	}
	opts := httpapi.Options{
		Auth: httpapi.Tokens(door), Clock: w.clock, Epoch: w.hub.Epoch(), Log: log, Version: httpapi.Version{Version: "0.1.0"},
		Routes: []func(*httpapi.API){chat.Routes(w.chat), groups.Routes(groups.Options{Options: routed, Now: w.now})},
	}
	if w.spec == nil {
		opts.Routes = append(opts.Routes, []func(*httpapi.API){
			fileapi.Routes(w.files),
			moderation.Routes(moderation.Options{Options: routed, Rules: threads(), Links: w.files.Opened}),
			caseapi.Routes(caseapi.Options{Options: routed, Rules: affairs()}),
			accounts.Routes(accounts.Options{
				Door: door, Engine: w.engine, Delivery: w.hub, Names: door.Names, Users: door.Usernames, Store: w.store, Codec: codec,
				Led: []members.Led{chat.Led, groups.Led}, Accounts: gotong.OwnAccounts, Mail: func(email string) { w.mail = append(w.mail, email) },
			}),
			podapi.Routes(podapi.Options{Boundary: edgepod.New(edgepod.Options{Provider: &w.pod, Clock: w.clock}), Views: w.views, Store: w.store, Codec: codec}),
			webhooks.Routes(webhooks.Options{
				Options: routed, Registers: w.store, Guard: outbound.New(outbound.Options{}), Now: w.now,
				Admits: map[string]string{thread.Name: "/v1/chat/threads", cases.Name: "/v1/cases"},
			}),
		}...)
		opts.Routes = append(opts.Routes, w.alerts(codec, log)...)
	}
	for _, f := range change {
		f(&opts)
	}
	w.opts, w.server = opts, httpapi.New(opts)
	if w.spec == nil {
		w.spec = newSpec(t, w.server.OpenAPI())
	}
}

// keep returns the files of a directory.
func (w *world) keep(dir string) *files.Files {
	w.t.Helper()
	disk, err := files.NewDisk(filepath.Join(dir, "kept"))
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := files.New(files.Options{
		Bytes: disk, Dir: filepath.Join(dir, "parts"), Limits: files.Limits{File: 1 << 20, PerUser: 1 << 30, PerHome: 1 << 30},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return f
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
		Keeps:    []string{user.EvBlocked, user.EvUnblocked, user.EvPasswordChanged, user.EvEmailChanged},
		Standing: func(_ gotong.Head, document []byte) (auth.Standing, error) {
			var u user.User
			err := json.Unmarshal(document, &u)
			return auth.Standing{Role: u.Role, Enabled: u.Enabled, Version: u.Standing}, err
		},
	}
}

// person is an account with a token.
type person struct {
	w                  *world
	id, name           string
	token, refreshWith string
}

func (w *world) signUp(name string) *person {
	w.t.Helper()
	a := w.post("/v1/auth/signup", map[string]any{
		"email": name + "@example.org", "pass": "rahasia-" + name, "username": name, "community_id": "rt05",
	}).want(http.StatusOK)
	return &person{w, a.str("user_id"), name, a.str("access_token"), a.str("refresh_token")}
}

// withRole is an account to which the server gave a platform role.
func (w *world) withRole(name string, role gotong.Role) *person {
	w.t.Helper()
	p := w.signUp(name)
	_, err := w.engine.Execute(context.Background(), gotong.Command{
		Stream: gotong.NewStream(user.Name, p.id), Type: user.CmdSetRole, Data: user.SetRole{Role: role},
		Actor: gotong.Actor{UserID: "system", Role: gotong.RoleSystem}, RequestID: "promote-" + name,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	a := w.post("/v1/auth/signin", map[string]any{"email": name + "@example.org", "pass": "rahasia-" + name}).want(http.StatusOK)
	p.token = a.str("access_token")
	return p
}

// header is a pair of name and value.
type header struct{ name, value string }

func key(id string) header          { return header{"Idempotency-Key", id} }
func ifMatch(tag string) header     { return header{"If-Match", tag} }
func ifNoneMatch(tag string) header { return header{"If-None-Match", tag} }

func (w *world) post(path string, body any, headers ...header) *answer {
	w.t.Helper()
	return w.do(http.MethodPost, path, body, headers...)
}

func (p *person) do(method, path string, body any, headers ...header) *answer {
	p.w.t.Helper()
	return p.w.do(method, path, body, append(headers, header{"Authorization", "Bearer " + p.token})...)
}

func (p *person) get(path string, headers ...header) *answer {
	p.w.t.Helper()
	return p.do(http.MethodGet, path, nil, headers...)
}

func (p *person) post(path string, body any, headers ...header) *answer {
	p.w.t.Helper()
	return p.do(http.MethodPost, path, body, headers...)
}

// do sends a request and checks the answer against the published document. A
// body is sent as JSON; a string as it is.
func (w *world) do(method, path string, body any, headers ...header) *answer {
	w.t.Helper()
	a := w.send(method, path, body, headers)
	w.spec.check(httptest.NewRequestWithContext(context.Background(), method, path, nil), a)
	return a
}

func (w *world) send(method, path string, body any, headers []header) *answer {
	var reader io.Reader = http.NoBody
	if text, ok := body.(string); ok {
		reader = strings.NewReader(text)
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		reader = bytes.NewReader(b)
	}
	r := httptest.NewRequestWithContext(context.Background(), method, path, reader)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		r.Header.Set(h.name, h.value)
	}
	rec := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(rec, r)
	return &answer{t: w.t, request: method + " " + path, code: rec.Code, header: rec.Header(), body: rec.Body.Bytes()}
}

// answer is what came back.
type answer struct {
	t       *testing.T
	request string
	code    int
	header  http.Header
	body    []byte
}

func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.code != status {
		a.t.Fatalf("%s: got %d, want %d: %s", a.request, a.code, status, a.body)
	}
	return a
}

// problem wants a problem with this status and code.
func (a *answer) problem(status int, code gotong.Code) *answer {
	a.t.Helper()
	a.want(status)
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("%s: content type %q", a.request, got)
	}
	if got := a.str("code"); got != string(code) {
		a.t.Errorf("%s: got code %q, want %q: %s", a.request, got, code, a.body)
	}
	if a.str("trace_id") == "" || a.str("type") != "/problems/"+string(code) {
		a.t.Errorf("%s: incomplete problem: %s", a.request, a.body)
	}
	return a
}

func (a *answer) object() map[string]any {
	a.t.Helper()
	var m map[string]any
	a.into(&m)
	return m
}

func (a *answer) list() []map[string]any {
	a.t.Helper()
	var l []map[string]any
	a.into(&l)
	return l
}

func (a *answer) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("%s: %v: %s", a.request, err, a.body)
	}
}

func (a *answer) str(name string) string { a.t.Helper(); s, _ := a.object()[name].(string); return s }
func (a *answer) num(name string) int64 {
	a.t.Helper()
	f, ok := a.object()[name].(float64)
	if !ok {
		return -1
	}
	return int64(f)
}

// thread makes a thread and returns its path.
func (p *person) thread(privacy string) string {
	p.w.t.Helper()
	return p.post("/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": privacy}).
		want(http.StatusCreated).header.Get("Location")
}

// say posts a message and returns it.
func (p *person) say(thread, body string) *answer {
	p.w.t.Helper()
	return p.post(thread+"/messages/send", map[string]any{"body": body}).want(http.StatusCreated)
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
