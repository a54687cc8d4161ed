package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

func TestUnknownPaths(t *testing.T) {
	w := newWorld(t)
	w.do(http.MethodGet, "/nothing", nil).problem(404, gotong.CodeNotFound)
	w.do(http.MethodGet, "/", nil).problem(404, gotong.CodeNotFound)
	a := w.do(http.MethodPut, "/v1/chat/threads", nil).problem(405, httpapi.CodeMethod)
	if got := a.header.Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow is %q", got)
	}
	a = w.do(http.MethodOptions, "/v1/chat/unread", nil).want(204)
	if got := a.header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow is %q", got)
	}
}

// Allow lists the methods of the path itself: not those of another path whose
// wildcard covers it, and not what a handler below would refuse.
func TestAllowListsTheMethodsOfThePathItself(t *testing.T) {
	w := newWorld(t, func(o *httpapi.Options) {
		o.Realtime = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	})
	ani := w.signUp("ani")
	for path, want := range map[string]string{
		"/v1/realtime/tickets": "POST", "/v1/realtime/ws": "GET", "/v1/realtime/sse": "GET", "/v1/realtime/poll": "GET",
		"/v1/chat/threads/x/messages/poll": "GET, HEAD", "/v1/chat/threads/x/messages/send": "POST",
		"/v1/chat/threads/x/messages/0192": "GET, HEAD, PATCH, DELETE", "/v1/groups/me": "GET, HEAD",
		"/v1/chat/threads": "GET, HEAD, POST", "/livez": "GET, HEAD",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			a := w.send(method, path, nil, []header{{"Authorization", "Bearer " + ani.token}})
			listed := slices.Contains(strings.Split(want, ", "), method)
			switch {
			case listed && a.code == http.StatusMethodNotAllowed:
				t.Errorf("%s %s is not allowed", method, path)
			case !listed && (a.code != http.StatusMethodNotAllowed && method != "OPTIONS" || a.header.Get("Allow") != want):
				t.Errorf("%s %s: %d, Allow %q, want %q", method, path, a.code, a.header.Get("Allow"), want)
			}
		}
	}
	w.do(http.MethodGet, "/v1/realtime/nothing", nil).problem(404, gotong.CodeNotFound)
}

// A header with a single value may occur once; otherwise the request is
// rejected.
func TestHeaderGivenTwiceIsRejected(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	for _, name := range []string{
		"Authorization", "Origin", "Content-Type", "Content-Encoding", "If-Match", "If-None-Match", "Idempotency-Key",
		"Last-Event-ID", "X-Request-Id", "X-Correlation-Id", "traceparent", "Sec-WebSocket-Key", "Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata",
	} {
		for _, path := range []string{th, "/v1/auth/me", "/livez", "/nothing"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.Header.Set("Authorization", "Bearer "+ani.token)
			r.Header.Add(name, "a")
			r.Header.Add(name, "a")
			rec := httptest.NewRecorder()
			w.server.Handler().ServeHTTP(rec, r)
			if rec.Code != 400 || !strings.Contains(rec.Body.String(), string(httpapi.CodeBadRequest)) {
				t.Errorf("%s twice to %s: %d %s", name, path, rec.Code, rec.Body)
			}
		}
	}
}

// A value has one way of being written, and a parameter that is there has one.
func TestQueriesAreStrict(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	for path, names := range map[string][]string{
		"/v1/chat/threads": {"limit"}, th + "/messages": {"limit", "since_created_at_ms"}, th + "/members": {"limit"},
		"/v1/groups": {"limit"}, "/v1/groups/me": {"limit"}, "/v1/chat/unread": {"limit"}, "/v1/auth/audit": {"limit"},
	} {
		for _, name := range names {
			ani.get(path + "?" + name + "=5").want(200)
			for _, bad := range []string{"", "%2B5", "+5", "05", "-0", "5.0", "5e0", "0x5", "5_0", " 5", "%205", "5&" + name + "=5"} {
				if a := w.send("GET", path+"?"+name+"="+strings.ReplaceAll(bad, " ", "%20"), nil, []header{{"Authorization", "Bearer " + ani.token}}); a.code != 422 {
					t.Errorf("%s?%s=%s: %d", path, name, bad, a.code)
				}
			}
		}
	}
	for _, query := range []string{"scope_id=", "scope_id", "=", "=x", "scope_id=a%00", "scope_id=%FF", "scope_id=%ED%A0%80"} {
		ani.get("/v1/chat/threads?"+query).problem(422, gotong.CodeInvalid)
	}
}

func TestEveryResponseHasTheSecurityHeaders(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/nothing", "/v1/auth/me", "/livez", "/docs", "/openapi.json"} {
		h := w.do(http.MethodGet, path, nil).header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: CSP %q", path, csp)
		}
	}
}

func TestNames(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	a := ani.get("/v1/groups/me", header{"X-Correlation-Id", "c-1"}, header{"X-Request-Id", "client-77"}).want(200)
	if a.header.Get("X-Correlation-Id") != "c-1" || !strings.Contains(w.log.String(), `"client_request_id":"client-77"`) {
		t.Errorf("correlation %q; the log has no client_request_id", a.header.Get("X-Correlation-Id"))
	}
	a = ani.get("/v1/groups/me", header{"X-Correlation-Id", "has a space"}).want(200)
	if got := a.header.Get("X-Correlation-Id"); !gotong.ValidRequestID(got) {
		t.Errorf("correlation %q", got)
	}
	a = ani.post("/v1/groups", map[string]any{"name": "RT 05", "entity_type": "kelompok", "join_policy": "terbuka"}).want(201)
	if _, err := gotong.ParseEventID(a.header.Get("Idempotency-Key")); err != nil {
		t.Errorf("no UUIDv7 was made: %q", a.header.Get("Idempotency-Key"))
	}
	ani.post("/v1/groups", `{}`, key("has a space")).problem(422, gotong.CodeInvalid)
	ani.post("/v1/groups", `{}`, key("")).problem(422, gotong.CodeInvalid)
	ani.post("/v1/groups", `{}`, key(strings.Repeat("x", 129))).problem(422, gotong.CodeInvalid)
}

func TestAuthentication(t *testing.T) {
	w := newWorld(t)
	a := w.do(http.MethodGet, "/v1/auth/me", nil).problem(401, gotong.CodeUnauthorized)
	if a.header.Get("WWW-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
	w.do(http.MethodGet, "/v1/auth/me", nil, header{"Authorization", "Basic YTpi"}).problem(401, gotong.CodeUnauthorized)
	w.do(http.MethodGet, "/v1/auth/me", nil, header{"Authorization", "Bearer nonsense"}).problem(401, gotong.CodeUnauthorized)
	ani := w.signUp("ani")
	w.do(http.MethodGet, "/v1/auth/me?access_token="+ani.token, nil).problem(400, httpapi.CodeBadRequest)
	ani.get("/v1/auth/me?token=x").problem(400, httpapi.CodeBadRequest)
	ani.get("/v1/auth/me").want(200)
	if strings.Contains(w.log.String(), ani.token) {
		t.Error("the log has the token")
	}
}

func TestJSONIsStrict(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	send := ani.thread("public") + "/messages/send"
	tests := []struct {
		name, body string
		status     int
		code       gotong.Code
	}{
		{"empty", ``, 400, gotong.CodeBadJSON},
		{"syntax", `{"body":`, 400, gotong.CodeBadJSON},
		{"trailing", `{"body":"a"} x`, 400, gotong.CodeBadJSON},
		{"twice", `{"body":"a","body":"b"}`, 400, gotong.CodeBadJSON},
		{"array", `["a"]`, 400, gotong.CodeBadJSON},
		{"null", `null`, 400, gotong.CodeBadJSON},
		{"not UTF-8", "{\"body\":\"\xff\"}", 400, gotong.CodeBadJSON},
		{"lone surrogate", `{"body":"\ud800"}`, 400, gotong.CodeBadJSON},
		{"unknown field", `{"body":"a","color":1}`, 422, gotong.CodeInvalid},
		{"wrong case", `{"Body":"a"}`, 422, gotong.CodeInvalid},
		{"wrong type", `{"body":7}`, 422, gotong.CodeInvalid},
		{"missing field", `{}`, 422, gotong.CodeInvalid},
		{"empty text", `{"body":"   "}`, 422, gotong.CodeInvalid},
		{"too long", `{"body":"` + strings.Repeat("x", 4001) + `"}`, 422, gotong.CodeInvalid},
		{"attachments", `{"body":"a","attachments":[{"id":1}]}`, 422, gotong.CodeInvalid},
		{"bad id", `{"body":"a","reply_to":"nope"}`, 422, gotong.CodeInvalid},
		{"number too big", `{"body":"a","sent_at_ms":99999999999999999999}`, 422, gotong.CodeInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w.t = t
			a := ani.post(send, test.body, key("strict-"+strings.ReplaceAll(test.name, " ", "-")))
			a.t = t
			a.problem(test.status, test.code)
		})
	}
	ani.post(send, `{"body":"fits","attachments":[]}`).want(201)
}

func TestBodiesOfAnotherSizeOrTypeAreRejected(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	send := th + "/messages/send"
	ani.post(send, `{"body":"`+strings.Repeat("x", 256<<10)+`"}`).problem(413, gotong.CodeTooLarge)
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/cbor"} {
		ani.post(send, `{"body":"a"}`, header{"Content-Type", media}).problem(415, httpapi.CodeMediaType)
	}
	ani.post(send, `{"body":"a"}`, header{"Content-Encoding", "gzip"}).problem(415, httpapi.CodeMediaType)
	ani.post(send, `{"body":"a"}`, header{"Content-Type", "application/json; charset=UTF-8"}).want(201)
	ani.post(th+"/leave", `{"x":1}`).problem(422, gotong.CodeInvalid)
	ani.post(th+"/join", `{}`).want(200)
	ani.post(th+"/join", nil).want(200)
}

// TestRejectedTextIsNotRepeated puts a marker wherever a client can put text,
// and looks for it in every answer and in the log.
func TestRejectedTextIsNotRepeated(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	id := ani.say(th, "Halo").str("message_id")
	const marker = "RaHaSiA"
	long := marker + strings.Repeat("x", 300)
	bodies := []string{
		`{"` + marker + ` x":1}`, `{"body":["` + marker + `"]}`, marker, `{"body":"` + marker + `"`, `["` + marker + `"]`,
		`{"body":"` + marker + strings.Repeat("x", 5000) + `"}`, `{"body":"a","reply_to":"` + marker + `"}`,
		`{"scope_id":"` + long + `","privacy_level":"` + marker + `"}`, `{"user_id":"` + marker + ` x","role":"` + marker + `"}`,
		`{"email":"` + marker + `","pass":"` + long + `","username":"` + long + `","community_id":"` + long + `"}`,
		`{"policy":"` + marker + `"}`, `{"until_ms":"` + marker + `"}`, `{"message_id":"` + marker + `"}`,
		`{"name":"` + long + `","entity_type":"` + marker + `","join_policy":"` + marker + `"}`, `{"refresh":"` + marker + `"}`,
		`{"body":"a","attachments":[{"` + marker + `":1}]}`, `{"body":"a","revision":"` + marker + `"}`,
	}
	paths := []string{
		"POST /v1/chat/threads", "POST " + th + "/messages/send", "PATCH " + th + "/messages/" + id, "PUT " + th + "/history",
		"POST " + th + "/members", "POST " + th + "/members/" + ani.id + "/mute", "POST " + th + "/members/" + ani.id + "/role",
		"POST " + th + "/read-cursor", "POST /v1/auth/signup", "POST /v1/auth/signin", "POST /v1/auth/refresh", "POST /v1/groups",
		"POST " + th + "/join",
	}
	for _, route := range paths {
		method, path, _ := strings.Cut(route, " ")
		for _, body := range bodies {
			a := ani.do(method, path, body)
			if a.code < 400 || strings.Contains(string(a.body), marker) {
				t.Errorf("%s with %s: %d %s", route, body, a.code, a.body)
			}
		}
	}
	for _, query := range []string{"limit=" + marker, "cursor=" + marker, marker + "=1", "since_message_id=" + marker, "after_seq=" + marker} {
		for _, path := range []string{"/v1/chat/threads", th + "/messages", "/v1/groups", th + "/" + marker} {
			if a := ani.get(path + "?" + query); strings.Contains(string(a.body), marker) {
				t.Errorf("%s?%s: %s", path, query, a.body)
			}
		}
	}
	for _, name := range []string{"Idempotency-Key", "If-Match", "Authorization", "X-Correlation-Id", "X-Request-Id", "Content-Type"} {
		a := w.do(http.MethodDelete, th+"/messages/"+id, `{}`, header{"Authorization", "Bearer " + ani.token}, header{name, marker + " x"})
		if strings.Contains(string(a.body)+fmt.Sprint(a.header), marker) {
			t.Errorf("%s: %s %v", name, a.body, a.header)
		}
	}
	if strings.Contains(w.log.String(), marker) {
		t.Error("the log has the marker")
	}
}

func TestPanicCauseIsNotSent(t *testing.T) {
	w := newWorld(t, func(o *httpapi.Options) {
		o.Routes = append(o.Routes, func(api *httpapi.API) {
			httpapi.Register(api, httpapi.Route{
				ID: "boom", Method: http.MethodGet, Path: "/boom", Tag: "Test", Summary: "Boom", Public: true,
			}, func(context.Context, *struct{}) (*struct{}, error) { panic("secret cause") })
			httpapi.Register(api, httpapi.Route{
				ID: "fail", Method: http.MethodGet, Path: "/fail", Tag: "Test", Summary: "Fail", Public: true,
			}, func(context.Context, *struct{}) (*struct{}, error) { return nil, errors.New("secret cause") })
			httpapi.Register(api, httpapi.Route{
				ID: "late", Method: http.MethodGet, Path: "/late", Tag: "Test", Summary: "Late", Public: true,
			}, func(context.Context, *struct{}) (*struct{}, error) {
				return nil, fmt.Errorf("secret cause: %w", context.DeadlineExceeded)
			})
		})
	})
	for _, path := range []string{"/boom", "/fail", "/late"} {
		status, code := 500, gotong.CodeInternal
		if path == "/late" { // a repetition may succeed
			status, code = 503, gotong.CodeBusy
		}
		a := w.do(http.MethodGet, path, nil).problem(status, code)
		if strings.Contains(string(a.body), "secret") {
			t.Errorf("%s", a.body)
		}
		if !strings.Contains(w.log.String(), a.str("trace_id")) {
			t.Errorf("%s: the log does not have the trace id", path)
		}
	}
}

func TestRateLimits(t *testing.T) {
	slow := httpapi.Rate{PerSecond: 0.5, Burst: 3}
	tests := []struct {
		name   string
		limits httpapi.Limits
		try    func(*world, *person) *answer
		free   func(*world, *person) *answer // counted elsewhere
	}{
		{"address", httpapi.Limits{Address: slow}, func(w *world, _ *person) *answer { return w.do("GET", "/livez", nil) }, nil},
		{"user", httpapi.Limits{User: slow}, func(_ *world, p *person) *answer { return p.get("/v1/auth/me") },
			func(w *world, _ *person) *answer { return w.do("GET", "/livez", nil) }},
		{"strict", httpapi.Limits{Strict: slow}, func(w *world, _ *person) *answer {
			return w.post("/v1/auth/signin", map[string]any{"email": "x@example.org", "pass": "wrong"})
		}, func(_ *world, p *person) *answer { return p.get("/v1/auth/me") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, func(o *httpapi.Options) { o.Limits = test.limits })
			ani := w.signUp("ani")
			w.clock.Pass(time.Minute)
			for i := range 3 {
				if a := test.try(w, ani); a.code == 429 {
					t.Fatalf("request %d was refused", i)
				}
			}
			a := test.try(w, ani).problem(429, gotong.CodeRateLimited)
			// Of an address, it is spread over the 6 s in which the bucket fills.
			most := 2
			if test.name != "user" {
				most += 6
			}
			if got, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || got < 2 || got > most {
				t.Errorf("Retry-After %d, %v", got, err)
			}
			if test.free != nil {
				test.free(w, ani).want(200)
			}
			w.clock.Pass(2 * time.Second)
			if a := test.try(w, ani); a.code == 429 {
				t.Error("still refused after the wait")
			}
		})
	}
}

func TestCORS(t *testing.T) {
	w := newWorld(t, func(o *httpapi.Options) { o.Origins = []string{"https://rt05.example"} })
	preflight := func(origin string) http.Header {
		return w.do(http.MethodOptions, "/v1/chat/threads", nil, header{"Origin", origin},
			header{"Access-Control-Request-Method", "POST"}).want(204).header
	}
	h := preflight("https://rt05.example")
	if h.Get("Access-Control-Allow-Origin") != "https://rt05.example" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Idempotency-Key") ||
		!strings.Contains(h.Get("Access-Control-Allow-Methods"), "PATCH") || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%v", h)
	}
	for _, origin := range []string{"https://evil.example", "https://rt05.example.evil", "null", "http://rt05.example"} {
		if h := preflight(origin); h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is allowed", origin)
		}
	}
	a := w.do(http.MethodGet, "/v1/auth/me", nil, header{"Origin", "https://rt05.example"}).problem(401, gotong.CodeUnauthorized)
	if a.header.Get("Access-Control-Allow-Origin") == "" || a.header.Get("Vary") != "Origin" {
		t.Errorf("%v", a.header)
	}
}

func TestReadyzFollowsChecksAndDraining(t *testing.T) {
	draining, broken := false, error(nil)
	w := newWorld(t, func(o *httpapi.Options) {
		o.Draining = func() bool { return draining }
		o.Checks = []httpapi.Check{
			{Name: "store", Test: func(context.Context) error { return broken }},
			{Name: "redis", Test: func(context.Context) error { return errors.New("not there") }, Soft: true},
		}
		o.Version.Commit, o.Version.Development = "abc", true
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	})
	admin := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		w.server.Admin().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return rec
	}
	w.do("GET", "/livez", nil).want(200)
	if a := w.do("GET", "/readyz", nil).want(200); strings.Contains(string(a.body), "store") {
		t.Errorf("details in public: %s", a.body)
	}
	if a := w.do("GET", "/version", nil).want(200); a.str("version") != "0.1.0" || strings.Contains(string(a.body), "abc") ||
		!strings.Contains(string(a.body), `"development":true`) {
		t.Errorf("%s", a.body)
	}
	if rec := admin("/readyz"); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"store":"ok"`) ||
		!strings.Contains(rec.Body.String(), `"redis":"degraded: not there"`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	broken = errors.New("disk gone")
	w.do("GET", "/readyz", nil).want(503)
	if rec := admin("/readyz"); rec.Code != 503 || !strings.Contains(rec.Body.String(), "disk gone") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	broken, draining = nil, true
	if a := w.do("GET", "/readyz", nil).want(503); a.str("reason") != "draining" {
		t.Errorf("%s", a.body)
	}
	w.do("GET", "/livez", nil).want(200)
	for path, want := range map[string]string{"/version": "abc", "/metrics": "up 1", "/debug/pprof/": "goroutine"} {
		if rec := admin(path); rec.Code != 200 || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
		if path != "/version" {
			w.do("GET", path, nil).problem(404, gotong.CodeNotFound)
		}
	}
	if rec := admin("/v1/auth/me"); rec.Code != 404 {
		t.Errorf("the operators' handler serves the API: %d", rec.Code)
	}
	levels := map[string]string{"GET /livez": "DEBUG", "GET /readyz": "DEBUG", "GET /metrics": "DEBUG", "GET /version": "INFO"}
	for text := range strings.Lines(w.log.String()) {
		var line struct {
			Level string `json:"level"`
			Msg   string `json:"msg"`
			Route string `json:"route"`
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if want := levels[line.Route]; line.Msg == "request" && want != "" && line.Level != want {
			t.Errorf("want %s: %s", want, text)
		}
	}
	for route := range levels {
		if !strings.Contains(w.log.String(), fmt.Sprintf(`"route":%q`, route)) {
			t.Errorf("no line of a request to %s", route)
		}
	}
}

func TestPagesLoadNothingForeign(t *testing.T) {
	w := newWorld(t)
	a := w.do("GET", "/docs", nil).want(200)
	page := string(a.body)
	for _, want := range []string{`id="send-message"`, `id="schema-ChatMessageView"`, `id="problem-busy"`, "/v1/groups/{id}/join"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, foreign := range []string{"<script", "style=", "onclick", "=\"http", "=\"//", "url("} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page has %s", foreign)
		}
	}
	if csp := a.header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "style-src 'self'") {
		t.Errorf("CSP %q", csp)
	}
	w.do("GET", "/docs/style.css", nil).want(200)
	w.do("GET", "/openapi.json", nil).want(200)
	for _, e := range httpapi.Entries() {
		a := html.UnescapeString(string(w.do("GET", e.Type(), nil).want(200).body))
		for _, text := range []string{e.Title, e.Cause, e.Cure} {
			if text == "" || !strings.Contains(a, text) {
				t.Errorf("%s has no %q", e.Type(), text)
			}
		}
	}
	w.do("GET", "/problems/made_up", nil).problem(404, gotong.CodeNotFound)
}

// A part of a query that nobody can read is no part that is not there: it could
// be the position to read from.
func TestUnreadableQueries(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	messages := ani.thread("public") + "/messages"
	for _, query := range []string{
		"after_seq=%zz", "after_seq=k3f9:1;limit=2", "min_seq=%", "limit=5&after_seq=k3f9:1;x",
	} {
		ani.get(messages+"?"+query).problem(400, httpapi.CodeBadRequest)
	}
	for _, query := range []string{"after_seq=", "before_seq", "since_created_at_ms=", "min_seq=", "after_seq=k3f9:0&after_seq=k3f9:1", "limit=1&limit=2"} {
		ani.get(messages+"?"+query).problem(422, gotong.CodeInvalid)
	}
	ani.get("/v1/groups?cursor=%zz").problem(400, httpapi.CodeBadRequest)
	ani.get(messages + "?after_seq=k3f9:0&limit=2").want(200)
}

// TestThePageHasEachOperation: in the order of tasks, with an example whose
// command and answer are there.
func TestThePageHasEachOperation(t *testing.T) {
	w := newWorld(t)
	page := html.UnescapeString(string(w.do("GET", "/docs", nil).want(200).body))
	var doc struct {
		Paths map[string]map[string]struct {
			ID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(w.server.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, operations := range doc.Paths {
		for _, op := range operations {
			_, section, ok := strings.Cut(page, `<section id="`+op.ID+`">`)
			section, _, _ = strings.Cut(section, "</section>")
			if !ok || !strings.Contains(section, "curl -sS") {
				t.Errorf("the page has no example of %s", op.ID)
			}
		}
	}
	at := -1
	for _, id := range []string{"start", "sign-up", "create-thread", "send-message", "follow", "add-member", "create-group", "schemas", "problems"} {
		i := strings.Index(page, `id="`+id+`"`)
		if i < at {
			t.Errorf("%s is not in the order of tasks", id)
		}
		at = i
	}
}
