package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
)

// A ban ends the membership and keeps out, in threads and in groups, until it is
// lifted or over.
func TestABanEndsTheMembershipUntilItIsLifted(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	for name, base := range map[string]string{"thread": ani.thread("public"), "group": ani.group("terbuka")} {
		t.Run(name, func(t *testing.T) {
			budi.post(base+"/join", nil).want(200)
			ban := base + "/members/" + budi.id + "/ban"
			citra.do(http.MethodPut, ban, nil).problem(403, gotong.CodeForbidden)
			ani.do(http.MethodPut, ban, map[string]any{"until_ms": 0}).problem(422, gotong.CodeInvalid)
			ani.do(http.MethodPut, ban, map[string]any{"until_ms": 1000}).problem(422, gotong.CodeInvalid)
			first := ani.do(http.MethodPut, ban, nil, key("ban")).want(200)
			if again := ani.do(http.MethodPut, ban, nil, key("ban")).want(200); !slices.Equal(again.body, first.body) {
				t.Errorf("%s, then %s", first.body, again.body)
			}
			ani.do(http.MethodPut, base+"/members/"+citra.id+"/ban", nil, key("ban")).problem(422, gotong.CodeReused)
			budi.post(base+"/join", nil).problem(403, gotong.CodeForbidden)
			ani.post(base+"/members", map[string]any{"user_id": budi.id}).problem(409, gotong.CodeConflict)
			citra.do(http.MethodDelete, ban, nil).problem(403, gotong.CodeForbidden)
			ani.do(http.MethodDelete, ban, nil).want(200)
			budi.post(base+"/join", nil).want(200)

			until := w.now().Milli() + 60_000
			ani.do(http.MethodPut, ban, map[string]any{"until_ms": until}).want(200)
			budi.post(base+"/join", nil).problem(403, gotong.CodeForbidden)
			ani.do(http.MethodPut, base+"/members/"+citra.id+"/ban", nil).want(200) // who never was a member
			citra.post(base+"/join", nil).problem(403, gotong.CodeForbidden)
			w.clock.Pass(61 * time.Second)
			budi.post(base+"/join", nil).want(200)
		})
	}
}

// What nobody can lead is listed for admins, who appoint somebody.
func TestAnAdminAppointsALeaderIfNobodyCanLead(t *testing.T) {
	w := newWorld(t)
	ani, budi, dewi := w.signUp("ani"), w.signUp("budi"), w.signUp("dewi")
	admin := w.withRole("admin", gotong.RoleAdmin)
	th, g, open := ani.thread("private"), ani.group("undangan"), ani.thread("private")
	secret := ani.say(th, "before")
	for _, base := range []string{th, g, open} {
		ani.post(base+"/members", map[string]any{"user_id": budi.id}).want(201)
	}
	ani.post(open+"/members/"+budi.id+"/role", map[string]any{"role": "owner"}).want(200)
	list := func() []map[string]any { return admin.get("/v1/admin/ownerless").want(200).list() }
	if got := list(); len(got) != 0 {
		t.Errorf("all can be led, and there is %v", got)
	}
	thread, group := "/v1/admin/threads/"+th[len("/v1/chat/threads/"):], "/v1/admin/groups/"+g[len("/v1/groups/"):]
	me := func(p *person) map[string]any { return map[string]any{"user_id": p.id} }
	admin.post(thread+"/appoint", me(budi)).problem(404, gotong.CodeNotFound)
	admin.post("/v1/admin/users/"+ani.id+"/disable", nil).want(200)
	budi.get("/v1/admin/ownerless").problem(403, gotong.CodeForbidden)
	budi.post(thread+"/appoint", me(budi)).problem(403, gotong.CodeForbidden)
	for _, found := range list() {
		candidates, _ := found["candidates"].([]any)
		if len(candidates) != 1 || found["outsider"] != false || candidates[0].(map[string]any)["user_id"] != budi.id {
			t.Errorf("found %v", found)
		}
	}
	if got := list(); len(got) != 2 {
		t.Errorf("found %v", got)
	}
	admin.post(thread+"/appoint", me(dewi)).problem(409, gotong.CodeConflict)
	admin.post(thread+"/appoint", map[string]any{"user_id": "nobody"}).problem(404, gotong.CodeNotFound)
	admin.post(thread+"/appoint", me(budi), key("a")).want(200)
	if again := admin.post(thread+"/appoint", me(budi), key("a")).want(200); again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%v", again.header)
	}
	admin.post(group+"/appoint", me(budi)).want(200)
	if got := budi.get(th).want(200).str("my_role"); got != "owner" {
		t.Errorf("the role is %q", got)
	}
	admin.post("/v1/admin/users/"+budi.id+"/disable", nil).want(200)
	if got := list(); len(got) != 3 || got[0]["outsider"] != true {
		t.Errorf("found %v", got)
	}
	admin.post(thread+"/appoint", me(dewi)).want(200)
	if got := dewi.get(th + "/messages").want(200).list(); len(got) != 0 {
		t.Errorf("an outsider sees %v", got)
	}
	dewi.get(th+"/messages/"+secret.str("message_id")).problem(404, gotong.CodeNotFound)
	if dewi.say(th, "after").want(201); len(dewi.get(th+"/messages").want(200).list()) != 1 || dewi.unread(th) != 0 {
		t.Error("an outsider does not see what came after")
	}
}

// An admin shuts nobody's last door: not their own.
func TestTheLastAdminStays(t *testing.T) {
	w := newWorld(t)
	admin, other := w.withRole("admin", gotong.RoleAdmin), w.withRole("other", gotong.RoleAdmin)
	self := "/v1/admin/users/" + admin.id
	admin.post(self+"/disable", nil).problem(403, gotong.CodeForbidden)
	admin.post(self+"/role", map[string]any{"role": "user"}).problem(403, gotong.CodeForbidden)
	admin.post("/v1/admin/users/"+other.id+"/disable", nil).want(200)
	admin.get("/v1/auth/me").want(200)
}

// TestAPlatformModeratorListsNoMembers of what they are no member of, though they may act
// on one member and get that one as the answer.
func TestAPlatformModeratorListsNoMembers(t *testing.T) {
	w := newWorld(t)
	ani, budi, mod := w.signUp("ani"), w.signUp("budi"), w.withRole("mod", gotong.RoleModerator)
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	if a := mod.post(th+"/members/"+budi.id+"/mute", map[string]any{"until_ms": w.now().Milli() + 60_000}).want(200); !strings.Contains(string(a.body), budi.id) {
		t.Errorf("a moderator who mutes a member gets %s", a.body)
	}
	for base, code := range map[string]gotong.Code{
		th: gotong.CodeNotFound, ani.thread("private"): gotong.CodeNotFound, ani.group("undangan"): gotong.CodeNotFound,
		ani.group("persetujuan"): gotong.CodeForbidden, "/v1/cases/" + ani.affair(): gotong.CodeForbidden,
	} {
		status := map[gotong.Code]int{gotong.CodeNotFound: 404, gotong.CodeForbidden: 403}[code]
		mod.get(base+"/members").problem(status, code)
	}
}
