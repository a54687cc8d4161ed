package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
)

// group makes a group and returns its path.
func (p *person) group(policy string) string {
	p.w.t.Helper()
	return p.post("/v1/groups", map[string]any{"name": "RT 05", "entity_type": "kelompok", "join_policy": policy}).
		want(http.StatusCreated).header.Get("Location")
}

// again signs a person in, whose token may have expired.
func (p *person) again() {
	p.w.t.Helper()
	in := map[string]any{"email": p.name + "@example.org", "pass": "rahasia-" + p.name}
	p.token = p.w.post("/v1/auth/signin", in).want(200).str("access_token")
}

func TestAGroupIsCreatedJoinedChangedAndLeft(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	body := map[string]any{"name": "  RT 05 ", "description": "Warga", "entity_type": "kelompok", "join_policy": "terbuka"}
	a := ani.post("/v1/groups", body, key("g1")).want(201)
	g := a.header.Get("Location")
	if a.str("name") != "RT 05" || a.str("my_role") != "admin" || a.str("my_membership_status") != "approved" || a.num("member_count") != 1 {
		t.Errorf("%s", a.body)
	}
	if again := ani.post("/v1/groups", body, key("g1")).want(201); again.str("group_id") != a.str("group_id") {
		t.Error("a retried create made another group")
	}
	budi.get(g, ifNoneMatch(a.header.Get("ETag"))).want(200) // another reader, another view
	ani.get(g, ifNoneMatch(a.header.Get("ETag"))).want(304)
	joined := budi.post(g+"/join", nil, key("j1")).want(200)
	if joined.str("role") != "anggota" || joined.str("name") != "budi" || joined.str("joined_at") == "" {
		t.Errorf("%s", joined.body)
	}
	budi.do(http.MethodPatch, g, map[string]any{"name": "x"}).problem(403, gotong.CodeForbidden)
	ani.do(http.MethodPatch, g, map[string]any{}).problem(422, gotong.CodeInvalid)
	if a := ani.do(http.MethodPatch, g, map[string]any{"name": "RT 05 baru"}).want(200); a.str("name") != "RT 05 baru" || a.str("description") != "Warga" {
		t.Errorf("%s", a.body)
	}
	ani.post(g+"/leave", nil).problem(409, gotong.CodeConflict)
	budi.post(g+"/members/"+ani.id+"/role", map[string]any{"role": "anggota"}).problem(403, gotong.CodeForbidden)
	if a := ani.post(g+"/members/"+budi.id+"/role", map[string]any{"role": "moderator"}).want(200); a.str("role") != "moderator" {
		t.Errorf("%s", a.body)
	}
	if a := budi.post(g+"/leave", nil, key("l1")).want(200); a.object()["left"] != true {
		t.Errorf("%s", a.body)
	}
	if again := budi.post(g+"/join", nil, key("j1")).want(200); again.str("joined_at") != joined.str("joined_at") {
		t.Errorf("%s\n%s", joined.body, again.body)
	}
	removed := ani.post(g+"/members/"+budi.id+"/remove", nil).want(200)
	if removed.object()["removed"] != false {
		t.Errorf("%s", removed.body)
	}
	ani.post(g+"/members", map[string]any{"user_id": budi.id}, key("a1")).want(201)
	first := ani.post(g+"/members/"+budi.id+"/remove", nil, key("r1")).want(200)
	again := ani.post(g+"/members/"+budi.id+"/remove", nil, key("r1")).want(200)
	if first.object()["removed"] != true || !slices.Equal(first.body, again.body) {
		t.Errorf("%s %s", first.body, again.body)
	}
	if a := ani.post(g+"/members", map[string]any{"user_id": budi.id}, key("a1")).want(201); a.object()["replayed"] != true {
		t.Errorf("a replayed add of somebody who is gone: %s", a.body)
	}
}

func TestAGroupByInvitationIs404ForStrangers(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	hidden, closed, open := ani.group("undangan"), ani.group("persetujuan"), ani.group("terbuka")
	never := "/v1/groups/ent-" + gotong.DeriveID("group", "x", "y")
	strange := func(invited bool) {
		t.Helper()
		for _, r := range []struct{ method, path, body string }{
			{"GET", "", ""}, {"GET", "/members", ""}, {"POST", "/join", ""}, {"POST", "/leave", ""}, {"PATCH", "", `{"name":"x"}`},
			{"POST", "/members", `{"user_id":"x"}`}, {"POST", "/members/" + ani.id + "/remove", ""},
			{"POST", "/members/" + ani.id + "/role", `{"role":"anggota"}`},
			{"POST", "/requests", ""}, {"GET", "/requests", ""}, {"POST", "/requests/req-0000000000000001/approve", ""},
			{"POST", "/requests/req-0000000000000001/reject", ""}, {"POST", "/requests/req-0000000000000001/withdraw", ""},
			{"POST", "/invite", `{"user_id":"x"}`}, {"GET", "/invitations", ""}, {"DELETE", "/invitations/" + ani.id, ""},
			{"DELETE", "/invitations/" + budi.id, ""}, {"POST", "!/accept", ""}, {"POST", "!/decline", ""},
		} {
			var body any
			if r.body != "" {
				body = r.body
			}
			path := func(g string) string {
				if of, ok := strings.CutPrefix(r.path, "!"); ok {
					return "/v1/groups/invitations/" + id(g) + of
				}
				return g + r.path
			}
			if invited && strings.HasPrefix(r.path, "!") {
				continue
			}
			there, not := budi.do(r.method, path(hidden), body), budi.do(r.method, path(never), body)
			there.problem(404, gotong.CodeNotFound)
			if untraced(there) != untraced(not) || there.code != not.code {
				t.Errorf("%s %s:\n%s\n%s", r.method, r.path, there.body, not.body)
			}
		}
	}
	strange(false)
	invite := map[string]any{"user_id": budi.id}
	ani.post(hidden+"/invite", invite).want(200)
	strange(true)
	ani.do("DELETE", hidden+"/invitations/"+budi.id, nil).want(200)
	strange(false)
	ani.post(hidden+"/invite", invite).want(200)
	w.clock.Step(group.InvitationLife)
	ani.again()
	budi.again()
	strange(false)
	if a := budi.get(closed).want(200); a.object()["members"] != nil {
		t.Errorf("%s", a.body)
	}
	budi.get(closed+"/members").problem(403, gotong.CodeForbidden)
	budi.post(closed+"/join", nil).problem(403, gotong.CodeForbidden)
	if a := budi.get(open).want(200); a.object()["members"] == nil {
		t.Errorf("%s", a.body)
	}
	budi.get(open + "/members").want(200)
	items := func(p *person, path string) int { return len(p.get(path).want(200).object()["items"].([]any)) }
	if got := items(budi, "/v1/groups"); got != 2 {
		t.Errorf("budi sees %d groups", got)
	}
	if got := items(ani, "/v1/groups/me"); got != 3 {
		t.Errorf("ani is in %d groups", got)
	}
	ani.post(hidden+"/members", map[string]any{"user_id": budi.id}).want(201)
	budi.get(hidden).want(200)
	budi.post(hidden+"/leave", nil).want(200)
	budi.get(hidden).problem(404, gotong.CodeNotFound)
}

func TestGroupListsShowWhatTheCallerMayKnow(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	var want []string
	for range 5 {
		want = append([]string{ani.group("terbuka")}, want...)
	}
	var got []string
	cursor := ""
	for range 5 {
		page := ani.get("/v1/groups?limit=2" + cursor).want(200)
		for _, item := range page.object()["items"].([]any) {
			got = append(got, "/v1/groups/"+item.(map[string]any)["group_id"].(string))
		}
		if page.num("total") != 5 {
			t.Errorf("%s", page.body)
		}
		if page.str("cursor") == "" {
			break
		}
		cursor = "&cursor=" + page.str("cursor")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	ani.get("/v1/groups?limit=101").problem(422, gotong.CodeInvalid)

	g := want[0]
	for i := range 5 {
		ani.post(g+"/members", map[string]any{"user_id": w.signUp(fmt.Sprint("anggota", i)).id}).want(201)
	}
	page := ani.get(g + "/members?limit=4").want(200)
	rest := ani.get(g + "/members?limit=4&cursor=" + page.header.Get("X-Next-Cursor")).want(200)
	if len(page.list()) != 4 || len(rest.list()) != 2 || rest.header.Get("X-Has-More") != "false" {
		t.Errorf("%s\n%s", page.body, rest.body)
	}
}
