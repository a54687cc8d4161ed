package httpapi_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
)

// TestSecretIsShownToItsRequestAlone: a repetition of a request shows the secret
// that it created, as long as that signs, and none that another admin created.
func TestSecretIsShownToItsRequestAlone(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	group := ani.post("/v1/groups", map[string]any{"name": "RT 05", "entity_type": "kelompok", "join_policy": "undangan"}).
		want(http.StatusCreated).str("group_id")
	ani.post("/v1/groups/"+group+"/members", map[string]any{"user_id": budi.id}).want(http.StatusCreated)
	ani.post("/v1/groups/"+group+"/members/"+budi.id+"/role", map[string]any{"role": "admin"}).want(http.StatusOK)
	hook := map[string]any{"scope_id": group, "url": "https://hooks.example.org/", "description": " to the\u202e archive\u0000"}
	create := func() *answer { return ani.do("POST", "/v1/webhooks", hook, key("create")).want(http.StatusCreated) }
	secret := func(a *answer) string { s, _ := a.object()["secret"].(string); return s }
	first := create()
	of := "/v1/webhooks/" + first.str("webhook_id")
	if got := first.str("description"); got != "to the archive" {
		t.Errorf("the description is %q", got)
	}
	if got := ani.do("PATCH", of, map[string]any{"description": "\u2066x"}, key("describe")).want(200).str("description"); got != "x" {
		t.Errorf("the new description is %q", got)
	}
	if secret(first) == "" || secret(create()) != secret(first) {
		t.Error("the repetition does not show the first secret")
	}
	rotate := func(id string, hours int) *answer {
		return budi.do("POST", of+"/rotate", map[string]any{"keep_hours": hours}, key(id)).want(http.StatusOK)
	}
	second := rotate("rotate-1", 24)
	if secret(second) == secret(first) || secret(create()) != secret(first) || secret(rotate("rotate-1", 24)) != secret(second) {
		t.Error("a repetition shows the secret of another request")
	}
	if rotate("rotate-2", 0); secret(create()) != secret(first) || secret(rotate("rotate-1", 24)) != "" {
		t.Error("a repetition shows a secret, though its own signs no more")
	}
	budi.do("POST", "/v1/webhooks", hook, key("create")).want(http.StatusCreated)
	ani.do("PATCH", of, map[string]any{"description": "x"}, key("create")).problem(http.StatusUnprocessableEntity, gotong.CodeReused)
}

// TestWebhooksAreMembers: a webhook that was added to a thread or case is listed among
// its members, page by page, and is removed there as they are.
func TestWebhooksAreMembers(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	g := ani.group("undangan")
	ani.post(g+"/members", map[string]any{"user_id": budi.id}).want(201)
	hook := ani.post("/v1/webhooks", map[string]any{"scope_id": id(g), "url": "https://hooks.example.org/"}).want(201).str("webhook_id")
	thread := func(members string) string {
		return ani.post("/v1/chat/threads", map[string]any{"scope_id": id(g), "privacy_level": "private", "members": members}).
			want(201).header.Get("Location")
	}
	own, lent := thread("own"), thread("home")
	ani.post(own+"/members", map[string]any{"user_id": budi.id}).want(201)
	affair := ani.post("/v1/cases", map[string]any{
		"scope_id": id(g), "track": "tuntaskan", "title": "Selokan", "privacy_level": "private",
	}).want(201).header.Get("Location")
	ani.do("PUT", affair+"/members/"+budi.id, map[string]any{"track_roles": []string{"saksi"}}).want(200)
	for _, of := range []string{own, lent, affair} {
		budi.do("PUT", of+"/webhooks/"+hook, nil).problem(403, gotong.CodeForbidden)
		ani.do("PUT", of+"/webhooks/"+hook, nil).want(200)
		ani.do("PUT", of+"/webhooks/"+hook, nil).want(200)
		all := budi.get(of + "/members").want(200).list()
		ids := []string{ani.id, budi.id, hook}
		slices.Sort(ids)
		next := "?limit=1"
		for i, m := range all {
			hooked := m["user_id"] == hook
			roles, _ := m["track_roles"].([]any)
			if m["user_id"] != ids[i] || (m["webhook"] == true) != hooked || (m["role"] == nil && len(roles) == 0) != hooked || m["joined_at_ms"] == 0.0 {
				t.Errorf("%s: member %d is %v, want %s", of, i, m, ids[i])
			}
			page := budi.get(of + "/members" + next).want(200)
			next = "?limit=1&cursor=" + page.header.Get("X-Next-Cursor")
			if one := page.list(); len(one) != 1 || one[0]["user_id"] != ids[i] || page.header.Get("X-Has-More") == "true" != (i < 2) {
				t.Errorf("%s: page %d is %s", of, i, page.body)
			}
		}
		if len(all) != 3 {
			t.Errorf("%s has the members %v", of, all)
		}
		budi.do("DELETE", of+"/members/"+hook, nil).problem(403, gotong.CodeForbidden)
		citra.do("DELETE", of+"/members/"+hook, nil).problem(404, gotong.CodeNotFound)
		first := ani.do("DELETE", of+"/members/"+hook, nil, key("off-"+id(of))).want(200)
		if gone := first.object(); gone["left"] != true && (gone["webhook"] != true || gone["user_id"] != hook || gone["left_at_ms"] == nil) {
			t.Errorf("%s: the removal is %s", of, first.body)
		}
		if again := ani.do("DELETE", of+"/members/"+hook, nil, key("off-"+id(of))).want(200); !bytes.Equal(again.body, first.body) {
			t.Errorf("%s: repeated %s, at first %s", of, again.body, first.body)
		}
		if left := ani.get(of + "/members").want(200); len(left.list()) != 2 || strings.Contains(string(left.body), hook) {
			t.Errorf("%s after the removal: %s", of, left.body)
		}
		ani.do("DELETE", of+"/members/"+hook, nil, key("again-"+id(of))) // changes nothing, whatever it answers
		ani.do("PUT", of+"/webhooks/"+hook, nil).want(200)
		if m := ani.get(of + "/members").want(200).list(); len(m) != 3 {
			t.Errorf("%s added again: %v", of, m)
		}
	}
}

// TestWebhookRoutes: the routes that manage a webhook, for its admins and for others.
func TestWebhookRoutes(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	g := ani.group("terbuka")
	budi.post(g+"/join", nil).want(200)
	hook := func(at string) string {
		w.clock.Pass(time.Second)
		return ani.post("/v1/webhooks", map[string]any{"scope_id": id(g), "url": "https://hooks.example.org/" + at}).want(201).header.Get("Location")
	}
	first, second := hook("1"), hook("2")
	list := "/v1/webhooks?scope_id=" + id(g)
	page := ani.get(list + "&limit=1").want(200)
	rest := ani.get(list + "&limit=1&cursor=" + page.header.Get("X-Next-Cursor")).want(200)
	if page.list()[0]["webhook_id"] != id(second) || rest.list()[0]["webhook_id"] != id(first) || rest.header.Get("X-Has-More") != "false" {
		t.Errorf("listed %s and %s", page.body, rest.body)
	}
	if a := budi.get(list + "&limit=1").want(200); len(a.list()) != 0 || a.header.Get("X-Has-More") == "true" {
		t.Errorf("others are shown %s %v", a.body, a.header)
	}
	for _, bad := range []map[string]any{
		{"url": "http://hooks.example.org/"}, {"url": "https://127.0.0.1/"}, {"url": "https://u:p@hooks.example.org/"},
		{"types": []string{"Message.Posted"}}, {"streams": []string{"thread"}},
	} {
		ani.do("PATCH", first, bad).problem(422, gotong.CodeInvalid)
	}
	before := ani.get(first).want(200)
	ani.do("PATCH", first, map[string]any{"url": "https://hooks.example.org/3", "types": []string{"message.posted"}}).want(200)
	after := ani.get(first).want(200)
	if after.str("url") != "https://hooks.example.org/3" || after.header.Get("ETag") == before.header.Get("ETag") || strings.Contains(string(after.body), "whsec_") {
		t.Errorf("changed to %s", after.body)
	}
	for _, c := range []struct{ method, path, field, want string }{
		{"POST", "/disable", "disabled", "admin"}, {"POST", "/enable", "disabled", ""}, {"POST", "/take-over", "registrant", ani.id},
	} {
		budi.do(c.method, first+c.path, nil).problem(404, gotong.CodeNotFound)
		if a := ani.do(c.method, first+c.path, nil).want(200); a.str(c.field) != c.want {
			t.Errorf("%s: %s", c.path, a.body)
		}
	}
	for _, path := range []string{"/deliveries", "/dead-letters"} {
		budi.get(first+path).problem(404, gotong.CodeNotFound)
		if a := ani.get(first + path).want(200); len(a.list()) != 0 {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	ani.get(first+"/dead-letters?cursor=%25").problem(400, gotong.CodeCursorInvalid)
	ani.post(first+"/skip", map[string]any{"stream": "thread/x"}).problem(409, gotong.CodeConflict)
	ani.do("DELETE", first, nil).want(200)
	ani.do("PATCH", first, map[string]any{"description": "x"}).problem(409, gotong.CodeConflict)
	if left := ani.get(list).want(200).list(); len(left) != 1 || left[0]["webhook_id"] != id(second) {
		t.Errorf("after the removal: %v", left)
	}
}
