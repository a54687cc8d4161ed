package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/accounts"
	"gotong.dev/gotong/internal/httpapi/chat"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/store"
)

func TestSignUpSignInAndMe(t *testing.T) {
	w := newWorld(t)
	body := map[string]any{"email": "Ani@example.org", "pass": "rahasia-ani", "username": "ani", "community_id": "rt05"}
	a := w.post("/v1/auth/signup", body, key("s1")).want(200)
	again := w.post("/v1/auth/signup", body, key("s1")).want(200)
	if again.str("user_id") != a.str("user_id") || again.header.Get("Idempotency-Replayed") != "true" || a.str("role") != "user" {
		t.Errorf("%s\n%s", a.body, again.body)
	}
	w.post("/v1/auth/signup", map[string]any{"email": "other@example.org", "pass": "rahasia-ani", "username": "ani2", "community_id": "rt05"}, key("s1")).
		problem(422, gotong.CodeReused)
	w.signUp("budl")
	for _, taken := range []map[string]any{
		{"email": "ani@EXAMPLE.org", "pass": "rahasia-ani", "username": "ani2", "community_id": "rt05"},
		{"email": "ani2@example.org", "pass": "rahasia-ani", "username": "ANI", "community_id": "rt05"},
		{"email": "ani2@example.org", "pass": "rahasia-ani", "username": "bud1", "community_id": "rt05"},
	} {
		if p := w.post("/v1/auth/signup", taken).problem(409, gotong.CodeExists); strings.Contains(string(p.body), "look") {
			t.Errorf("%s", p.body)
		}
	}
	for name, bad := range map[string]any{"email": "x", "pass": "short", "username": "ab", "community_id": ""} {
		wrong := map[string]any{"email": "new@example.org", "pass": "rahasia-ani", "username": "new", "community_id": "rt05"}
		wrong[name] = bad
		p := w.post("/v1/auth/signup", wrong).problem(422, gotong.CodeInvalid)
		if !strings.Contains(string(p.body), `"`+name+`"`) {
			t.Errorf("%s is not named: %s", name, p.body)
		}
	}
	unknown := w.post("/v1/auth/signin", map[string]any{"email": "nobody@example.org", "pass": "rahasia-ani"}).problem(401, gotong.CodeUnauthorized)
	wrong := w.post("/v1/auth/signin", map[string]any{"email": "ani@example.org", "pass": "wrong"}).problem(401, gotong.CodeUnauthorized)
	if untraced(unknown) != untraced(wrong) {
		t.Errorf("%s\n%s", unknown.body, wrong.body)
	}
	signIn := map[string]any{"email": "ani@example.org", "pass": "rahasia-ani"}
	in, twice := w.post("/v1/auth/signin", signIn, key("i1")).want(200), w.post("/v1/auth/signin", signIn, key("i1")).want(200)
	if !bytes.Equal(in.body, twice.body) || twice.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s\n%s", in.body, twice.body)
	}
	w.post("/v1/auth/signin", map[string]any{"email": " ani@example.org", "pass": "rahasia-ani"}, key("i1")).problem(422, gotong.CodeReused)
	ani := &person{w: w, token: w.post("/v1/auth/signin", map[string]any{"email": "ani@example.org", "pass": "rahasia-ani"}).want(200).str("access_token")}
	me := ani.get("/v1/auth/me").want(200)
	if me.str("access_token") != ani.token || me.object()["refresh_token"] != nil || me.str("username") != "ani" {
		t.Errorf("%s", me.body)
	}
	for _, secret := range []string{"rahasia-ani", "example.org", ani.token} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

func TestARetriedRefreshReplaysAndALogoutEndsTheLogin(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	refresh := map[string]any{"refresh": ani.refreshWith}
	first := w.post("/v1/auth/refresh", refresh, key("r1")).want(200)
	second := w.post("/v1/auth/refresh", refresh, key("r1")).want(200)
	if first.str("refresh_token") != second.str("refresh_token") || second.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s\n%s", first.body, second.body)
	}
	ani.token = first.str("access_token")
	ticket := ani.post("/v1/realtime/tickets", nil).want(201)
	once, twice := ani.post("/v1/realtime/tickets", nil, key("t1")).want(201), ani.post("/v1/realtime/tickets", nil, key("t1")).want(201)
	if !bytes.Equal(once.body, twice.body) || twice.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s\n%s", once.body, twice.body)
	}
	p, err := w.door.UseTicket(context.Background(), ticket.str("ticket"))
	if err != nil || p.UserID != ani.id || ticket.num("expires_at_ms") <= 0 {
		t.Errorf("%v %v", p, err)
	}
	ani.post("/v1/auth/logout", nil).want(204)
	ani.get("/v1/auth/me").problem(401, gotong.CodeUnauthorized)
	w.post("/v1/auth/refresh", map[string]any{"refresh": first.str("refresh_token")}).problem(401, gotong.CodeUnauthorized)
	w.post("/v1/auth/refresh", map[string]any{"refresh": "not-a-token"}).problem(401, gotong.CodeUnauthorized)

	// Two tabs send one token, each with a key of its own: both get the same. Once
	// the next one was used, a spent token that comes again ends the login.
	budi := w.signUp("budi")
	next := w.post("/v1/auth/refresh", map[string]any{"refresh": budi.refreshWith}).want(200)
	tab := w.post("/v1/auth/refresh", map[string]any{"refresh": budi.refreshWith}).want(200)
	if tab.str("refresh_token") != next.str("refresh_token") || tab.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s\n%s", next.body, tab.body)
	}
	budi.token = next.str("access_token")
	budi.get("/v1/auth/me").want(200)
	w.clock.Pass(11 * time.Second)
	w.post("/v1/auth/refresh", map[string]any{"refresh": budi.refreshWith}).problem(401, gotong.CodeUnauthorized)
	budi.get("/v1/auth/me").problem(401, gotong.CodeUnauthorized)
}

// TestARequestForMailShowsNoAccount: the answer and the work are the same for every address.
func TestARequestForMailShowsNoAccount(t *testing.T) {
	w := newWorld(t)
	w.signUp("ani")
	ask := func(email string) *answer {
		return w.post("/v1/auth/reset-requests", map[string]any{"email": email}, key("r1"))
	}
	known, unknown := ask("ani@example.org").want(202), ask("nobody@example.org").want(202)
	if !bytes.Equal(known.body, unknown.body) || len(known.header) != len(unknown.header) {
		t.Errorf("%s %v\n%s %v", known.body, known.header, unknown.body, unknown.header)
	}
	if want := []string{"ani@example.org", "nobody@example.org"}; !slices.Equal(w.mail, want) {
		t.Errorf("%q", w.mail) // whose account it is comes after the answer
	}
	ask("ani@example.org\r\nBcc: budi@example.org").problem(422, gotong.CodeInvalid)
	for _, email := range []string{"ani@example.org", "nobody@example.org"} {
		ask(email).want(202)
		ask(email).want(202)
		if ask(email).problem(429, gotong.CodeRateLimited).header.Get("Retry-After") == "" {
			t.Error("when?")
		}
	}
	if len(w.mail) != 6 || strings.Contains(w.log.String(), "example.org") {
		t.Errorf("%q %s", w.mail, w.log)
	}
	if !strings.Contains(string(w.do(http.MethodGet, "/v1/auth/reset-requests", nil).want(200).body), "true") {
		t.Error("not offered")
	}
	off := newWorld(t, func(o *httpapi.Options) {
		o.Routes = []func(*httpapi.API){accounts.Routes(accounts.Options{Door: w.door})}
	})
	off.post("/v1/auth/reset-requests", map[string]any{"email": "ani@example.org"}).problem(404, gotong.CodeNotFound)
	if !strings.Contains(string(off.do(http.MethodGet, "/v1/auth/reset-requests", nil).want(200).body), "false") {
		t.Error("offered")
	}
}

// TestUsersKeepTheirAccounts: password, address, logins, reset and deletion over REST;
// the server's log has none of the secrets.
func TestUsersKeepTheirAccounts(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	phone := w.post("/v1/auth/signin", map[string]any{"email": "ani@example.org", "pass": "rahasia-ani"}, header{"User-Agent", "Telepon/1"}).want(200)
	list := ani.get("/v1/auth/logins").want(200)
	if !strings.Contains(string(list.body), `"agent":"Telepon/1"`) || strings.Count(string(list.body), `"current":true`) != 1 {
		t.Errorf("%s", list.body)
	}
	change := map[string]any{"current": "rahasia-ani", "pass": "kata-sandi-baru"}
	ani.do(http.MethodPut, "/v1/auth/me/password", map[string]any{"current": "salah", "pass": "kata-sandi-baru"}).problem(403, gotong.CodeForbidden)
	ani.do(http.MethodPut, "/v1/auth/me/password", map[string]any{"current": "rahasia-ani", "pass": "pendek"}).problem(422, gotong.CodeInvalid)
	for range 2 {
		ani.do(http.MethodPut, "/v1/auth/me/password", change, key("p1")).want(204)
	}
	w.do(http.MethodGet, "/v1/auth/me", nil, header{"Authorization", "Bearer " + phone.str("access_token")}).problem(401, gotong.CodeUnauthorized)
	again := w.post("/v1/auth/signin", map[string]any{"email": "ani@example.org", "pass": "kata-sandi-baru"}).want(200)
	p, err := w.door.Verify(t.Context(), again.str("access_token"))
	if err != nil {
		t.Fatal(err)
	}
	budi.do(http.MethodDelete, "/v1/auth/logins/"+p.LoginID, nil).want(204) // as for one that has ended
	if n := strings.Count(string(ani.get("/v1/auth/logins").want(200).body), "login_id"); n != 2 {
		t.Errorf("%d logins", n)
	}
	ani.do(http.MethodDelete, "/v1/auth/logins/"+p.LoginID, nil).want(204)
	w.do(http.MethodGet, "/v1/auth/me", nil, header{"Authorization", "Bearer " + again.str("access_token")}).problem(401, gotong.CodeUnauthorized)
	ani.do(http.MethodDelete, "/v1/auth/logins/none", nil).problem(404, gotong.CodeNotFound)
	ani.do(http.MethodPut, "/v1/auth/me/email", map[string]any{"email": "budi@example.org", "pass": "kata-sandi-baru"}).problem(409, gotong.CodeExists)
	ani.do(http.MethodPut, "/v1/auth/me/email", map[string]any{"email": "ani@baru.example", "pass": "kata-sandi-baru"}).want(204)

	token, _, err := w.door.ResetToken(t.Context(), ani.id)
	if err != nil {
		t.Fatal(err)
	}
	w.post("/v1/auth/reset", map[string]any{"token": "p1.x", "pass": "sandi-yang-lain"}).problem(401, gotong.CodeUnauthorized)
	w.post("/v1/auth/reset", map[string]any{"token": token, "pass": "sandi-yang-lain"}).want(204)
	ani.get("/v1/auth/me").problem(401, gotong.CodeUnauthorized)
	ani.token = w.post("/v1/auth/signin", map[string]any{"email": "ani@baru.example", "pass": "sandi-yang-lain"}).want(200).str("access_token")
	ani.post("/v1/auth/me/delete", map[string]any{"pass": "salah"}).problem(403, gotong.CodeForbidden)
	ani.post("/v1/auth/me/delete", map[string]any{"pass": "sandi-yang-lain"}).want(204)
	ani.get("/v1/auth/me").problem(401, gotong.CodeUnauthorized)
	for _, secret := range []string{"rahasia-ani", "kata-sandi-baru", "sandi-yang-lain", "baru.example", token} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

func TestTheRecordIsForTheUserAndAdmins(t *testing.T) {
	w := newWorld(t)
	ani, budi, admin := w.signUp("ani"), w.signUp("budi"), w.withRole("admin", gotong.RoleAdmin)
	wrong := map[string]any{"email": "ani@example.org", "pass": "wrong"}
	w.post("/v1/auth/signin", wrong, key("w1")).problem(401, gotong.CodeUnauthorized)
	wrong["email"] = "nobody@example.org"
	w.post("/v1/auth/signin", wrong).problem(401, gotong.CodeUnauthorized)

	first := ani.get("/v1/auth/audit?limit=1").want(200)
	if first.header.Get("X-Has-More") != "true" || !strings.Contains(string(first.body), "sign_in_failed") ||
		!strings.Contains(string(first.body), `"request_id":"w1"`) {
		t.Errorf("%s", first.body)
	}
	rest := ani.get("/v1/auth/audit?cursor=" + first.header.Get("X-Next-Cursor")).want(200)
	if rest.header.Get("X-Has-More") == "true" || !strings.Contains(string(rest.body), "signed_up") ||
		strings.Contains(string(rest.body), "sign_in_failed") {
		t.Errorf("%s", rest.body)
	}
	ani.get("/v1/auth/audit?cursor=eA").problem(400, gotong.CodeCursorInvalid)
	// One's own only; admins see all.
	if a := budi.get("/v1/auth/audit").want(200); strings.Contains(string(a.body), "sign_in_failed") {
		t.Errorf("%s", a.body)
	}
	budi.get("/v1/admin/users/"+ani.id+"/audit").problem(403, gotong.CodeForbidden)
	(&person{w: w}).get("/v1/auth/audit").problem(401, gotong.CodeUnauthorized)
	if a := admin.get("/v1/admin/users/" + ani.id + "/audit").want(200); !strings.Contains(string(a.body), "sign_in_failed") {
		t.Errorf("%s", a.body)
	}
	if a := admin.get("/v1/admin/users/anonymous/audit").want(200); strings.Count(string(a.body), "sign_in_failed") != 1 {
		t.Errorf("%s", a.body)
	}
	admin.post("/v1/admin/users/"+ani.id+"/disable", map[string]any{"reason": "spam"}).want(200)
	if a := admin.get("/v1/admin/users/" + ani.id + "/audit?limit=1").want(200); !strings.Contains(string(a.body), `"by":"`+admin.id) ||
		strings.Contains(string(a.body), "spam") {
		t.Errorf("%s", a.body)
	}
}

func TestAdminsFindAnAccountByNameOrID(t *testing.T) {
	w := newWorld(t)
	ani, admin := w.signUp("ani"), w.withRole("admin", gotong.RoleAdmin)
	for _, who := range []string{"ani", "ANI", ani.id} {
		if a := admin.get("/v1/admin/users?user=" + who).want(200); a.str("user_id") != ani.id || a.str("role") != "user" {
			t.Errorf("%s: %s", who, a.body)
		}
	}
	for _, who := range []string{"nobody", "ani@example.org", "a%2Fb"} {
		admin.get("/v1/admin/users?user="+who).problem(404, gotong.CodeNotFound)
	}
	ani.get("/v1/admin/users?user=ani").problem(403, gotong.CodeForbidden)
	// A name that is somebody's id does not stand before that id.
	w.signUp(ani.id)
	if a := admin.get("/v1/admin/users?user=" + ani.id).want(200); a.str("username") != "ani" {
		t.Errorf("%s", a.body)
	}
}

func TestOnlyAdminsChangeAccounts(t *testing.T) {
	w := newWorld(t)
	ani, admin, mod := w.signUp("ani"), w.withRole("admin", gotong.RoleAdmin), w.withRole("mod", gotong.RoleModerator)
	path := "/v1/admin/users/" + ani.id
	for _, p := range []*person{ani, mod} {
		there := p.post(path+"/disable", nil).problem(403, gotong.CodeForbidden)
		if not := p.post("/v1/admin/users/nobody/disable", nil); untraced(there) != untraced(not) {
			t.Errorf("%s\n%s", there.body, not.body)
		}
	}
	admin.post("/v1/admin/users/nobody/disable", nil).problem(404, gotong.CodeNotFound)
	a := admin.post(path+"/disable", map[string]any{"reason": "spam"}, key("d1")).want(200)
	if a.object()["enabled"] != false || a.str("username") != "ani" || a.num("seq") != 2 {
		t.Errorf("%s", a.body)
	}
	ani.get("/v1/auth/me").problem(401, gotong.CodeUnauthorized)
	signIn := map[string]any{"email": "ani@example.org", "pass": "rahasia-ani"}
	if a := w.post("/v1/auth/signin", signIn); a.code != 401 && a.code != 403 {
		t.Errorf("a disabled account signs in: %d %s", a.code, a.body)
	}
	if a := admin.post(path+"/enable", nil).want(200); a.object()["enabled"] != true {
		t.Errorf("%s", a.body)
	}
	ani.token = w.post("/v1/auth/signin", signIn).want(200).str("access_token")
	if a := admin.post(path+"/role", map[string]any{"role": "moderator"}).want(200); a.str("role") != "moderator" {
		t.Errorf("%s", a.body)
	}
	ani.get("/v1/auth/me").problem(401, gotong.CodeUnauthorized) // its token carries the old role
	admin.post(path+"/role", map[string]any{"role": "system"}).problem(422, gotong.CodeInvalid)
}

// broken is an engine whose outcome is always this error.
type broken struct{ err error }

func (b broken) Execute(context.Context, gotong.Command) (gotong.Receipt, error) {
	return gotong.Receipt{}, b.err
}

func TestStorageFaults(t *testing.T) {
	tests := []struct {
		err    error
		status int
		code   gotong.Code
		retry  bool
	}{
		{gotong.NewError(gotong.CodeBusy, "x"), 503, gotong.CodeBusy, true},
		{gotong.NewError(gotong.CodeStorageFailed, "x"), 503, gotong.CodeStorageFailed, true},
		{gotong.NewError(gotong.CodeStorageFull, "x"), 507, gotong.CodeStorageFull, true},
		{gotong.NewError(gotong.CodeInProgress, "x"), 409, gotong.CodeInProgress, true},
		{gotong.NewError(gotong.CodeCorruptEvent, "x"), 500, gotong.CodeCorruptEvent, false},
		{errors.New("table messages has no column text"), 500, gotong.CodeInternal, false},
	}
	for _, test := range tests {
		t.Run(string(test.code), func(t *testing.T) {
			w := newWorld(t)
			token := w.signUp("ani").token
			failing := newWorldOver(t, w, broken{test.err})
			ani := &person{w: failing, token: token}
			a := ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "public"}, key("k"))
			a.problem(test.status, test.code)
			if (a.header.Get("Retry-After") != "") != test.retry || a.header.Get("Idempotency-Key") != "k" {
				t.Errorf("%v", a.header)
			}
			if strings.Contains(string(a.body), "column") {
				t.Errorf("%s", a.body)
			}
		})
	}
}

// newWorldOver is the edge of w before another engine.
func newWorldOver(t *testing.T, w *world, engine httpapi.Executor) *world {
	t.Helper()
	server := httpapi.New(httpapi.Options{
		Auth: httpapi.Tokens(w.door), Clock: w.clock, Epoch: w.hub.Epoch(), Log: discard(),
		Routes: []func(*httpapi.API){
			chat.Routes(chat.Options{
				Options: members.Options{
					Engine: engine, Delivery: w.hub, Names: w.door.Names, Users: w.door.Usernames, Store: w.store, Codec: store.NewCodec(kinds()), Views: w.views,
				},
				Signals: w.hub.Signals(), Marks: w.store, Now: w.now, Rules: threads(), Texts: w.store,
			}),
		},
	})
	return &world{t: t, server: server, spec: newSpec(t, server.OpenAPI()), log: w.log}
}
