package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// A used key names its request: the operation, the body and what it is about.
// On another target it is never answered as done.
func TestAUsedKeyOnAnotherTargetIsRejected(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	admin := w.withRole("admin", gotong.RoleAdmin)
	th, g := ani.thread("public"), ani.group("terbuka")
	for _, p := range []*person{budi, citra} {
		p.post(th+"/join", nil).want(200)
		p.post(g+"/join", nil).want(200)
	}
	one, two := ani.say(th, "1").str("message_id"), ani.say(th, "2").str("message_id")
	heart, thumb := "/reactions/"+url.PathEscape("❤️"), "/reactions/"+url.PathEscape("👍")
	until := map[string]any{"until_ms": w.now().Milli() + 1_000_000}
	user := func(p *person) map[string]any { return map[string]any{"user_id": p.id} }
	message := func(id string) map[string]any { return map[string]any{"message_id": id} }
	type request struct {
		method, path string
		body         any
	}
	for name, tc := range map[string]struct {
		by     *person
		first  request
		others []request
	}{
		"react": {ani, request{"PUT", th + "/messages/" + one + thumb, nil}, []request{
			{"PUT", th + "/messages/" + two + thumb, nil}, {"PUT", th + "/messages/" + one + heart, nil}, {"DELETE", th + "/messages/" + one + thumb, nil},
		}},
		"edit": {ani, request{"PATCH", th + "/messages/" + one, map[string]any{"body": "x", "revision": 0}}, []request{
			{"PATCH", th + "/messages/" + two, map[string]any{"body": "x", "revision": 0}},
			{"PATCH", th + "/messages/" + one, map[string]any{"body": "y", "revision": 0}},
		}},
		"mute": {ani, request{"POST", th + "/members/" + budi.id + "/mute", until}, []request{{"POST", th + "/members/" + citra.id + "/mute", until}}},
		"role": {ani, request{"POST", th + "/members/" + budi.id + "/role", map[string]any{"role": "admin"}}, []request{
			{"POST", th + "/members/" + citra.id + "/role", map[string]any{"role": "admin"}},
		}},
		"read mark": {budi, request{"POST", th + "/read-cursor", message(one)}, []request{{"POST", th + "/read-cursor", message(two)}}},
		"group role": {ani, request{"POST", g + "/members/" + budi.id + "/role", map[string]any{"role": "moderator"}}, []request{
			{"POST", g + "/members/" + citra.id + "/role", map[string]any{"role": "moderator"}},
		}},
		"add":       {ani, request{"POST", th + "/members", user(admin)}, []request{{"POST", th + "/members", user(citra)}}},
		"group add": {ani, request{"POST", g + "/members", user(admin)}, []request{{"POST", g + "/members", user(citra)}}},
		"unban": {ani, request{"DELETE", th + "/members/" + budi.id + "/ban", nil}, []request{
			{"DELETE", th + "/members/" + citra.id + "/ban", nil}, {"DELETE", th + "/members/" + budi.id, nil},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if a := tc.by.do(tc.first.method, tc.first.path, tc.first.body, key(strings.ReplaceAll(name, " ", "-"))); a.code >= 300 {
				t.Fatalf("%d %s", a.code, a.body)
			}
			for _, other := range tc.others {
				tc.by.do(other.method, other.path, other.body, key(strings.ReplaceAll(name, " ", "-"))).problem(422, gotong.CodeReused)
			}
			if a := tc.by.do(tc.first.method, tc.first.path, tc.first.body, key(strings.ReplaceAll(name, " ", "-"))); a.header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("%d %s", a.code, a.body)
			}
		})
	}
	t.Run("what ends", func(t *testing.T) {
		ani.do("DELETE", th+"/messages/"+one, nil, key("delete")).want(200)
		ani.do("DELETE", th+"/messages/"+two, nil, key("delete")).problem(422, gotong.CodeReused)
		if got := ani.get(th + "/messages/" + two).want(200).str("body"); got == "" {
			t.Error("the other message is gone")
		}
		for _, base := range []string{th, g} {
			remove := func(p *person) (string, string) {
				if base == g {
					return "POST", base + "/members/" + p.id + "/remove"
				}
				return "DELETE", base + "/members/" + p.id
			}
			method, path := remove(budi)
			ani.do(method, path, nil, key("remove")).want(200)
			_, other := remove(citra)
			ani.do(method, other, nil, key("remove")).problem(422, gotong.CodeReused)
			ani.do("PUT", base+"/members/"+budi.id+"/ban", nil, key("remove")).problem(422, gotong.CodeReused)
		}
		accounts := "/v1/admin/users/"
		admin.post(accounts+budi.id+"/disable", nil, key("disable")).want(200)
		admin.post(accounts+budi.id+"/enable", nil, key("disable")).problem(422, gotong.CodeReused)
	})
}

// A request that had nothing to change is answered as at first, also to somebody
// who may not ask for it any more.
func TestARepeatedNoOpGetsTheFirstAnswerAfterTheRightIsGone(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	th := ani.thread("public")
	ani.post(th+"/members", map[string]any{"user_id": budi.id, "role": "admin"}).want(201)
	seq := func() int64 { return ani.get(th).want(200).num("seq") }
	remove := func(k string) *answer { return budi.do(http.MethodDelete, th+"/members/"+citra.id, nil, key(k)) }
	first := remove("k").want(200)
	citra.post(th+"/join", nil).want(200) // by now it would remove somebody
	ani.post(th+"/members/"+budi.id+"/role", map[string]any{"role": "member"}).want(200)
	before := seq()
	remove("other").problem(403, gotong.CodeForbidden)
	again := remove("k").want(200)
	if again.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Idempotency-Replayed") != "" || seq() != before {
		t.Errorf("first %s, then %s %v", first.body, again.body, again.header)
	}
	ani.do(http.MethodDelete, th+"/members/"+budi.id, nil).want(200)
	if a := remove("k").want(200); a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s %v", a.body, a.header)
	}
}
