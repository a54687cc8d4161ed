package httpapi_test

import (
	"context"
	"fmt"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/regutest"
)

// order runs a command of a team, which has no routes.
func (p *person) order(team gotong.Stream, typ string, data any) {
	p.w.t.Helper()
	_, err := p.w.engine.Execute(context.Background(), gotong.Command{
		Stream: team, Type: typ, Data: data, RequestID: gotong.DeriveID(typ, p.id, fmt.Sprint(data)),
		Actor: gotong.Actor{UserID: p.id, Role: gotong.RoleUser},
	})
	if err != nil {
		p.w.t.Fatal(err)
	}
}

// A thread of a team in a group has those members who are in both. Removing one
// from the group ends what they see, know and count of the thread.
func TestAThreadOfATeamHasMembersWhoAreInTheGroup(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	g, team := ani.group("undangan"), regutest.StreamOf(ani.id, "team")
	seat := func(p *person) { ani.post(g+"/members", map[string]any{"user_id": p.id}).want(201) }
	ani.order(team, "regu.create", regutest.Create{ScopeID: id(g)})
	for _, p := range []*person{budi, citra} {
		seat(p)
		ani.order(team, "member.seat", regutest.Seat{UserID: p.id, Role: regutest.Crew})
	}
	ani.do("PATCH", g, map[string]any{"description": "of RT 05"}).want(200) // the heads differ
	create := map[string]any{"scope_id": id(g), "privacy_level": "private", "lender": string(team)}
	threads := []string{
		ani.post("/v1/chat/threads", create).want(201).header.Get("Location"),
		ani.post("/v1/chat/threads", create).want(201).header.Get("Location"),
	}
	th := threads[1]
	ani.say(th, "for both")
	detail := citra.get(th).want(200)
	if detail.str("lender") != string(team) || detail.str("members") != "home" || detail.num("member_count") != 3 || detail.num("unread") != 1 {
		t.Errorf("got %s", detail.body)
	}
	_, home := detail.object()["home_as_of"].(string)
	if !home || detail.str("lender_as_of") == detail.str("home_as_of") || detail.str("my_role") != "member" {
		t.Errorf("got %s", detail.body)
	}
	list := ani.get(th + "/members").want(200)
	if n := len(list.list()); n != 3 || list.header.Get("X-As-Of-Home") != detail.str("home_as_of") ||
		list.header.Get("X-As-Of-Lender") != detail.str("lender_as_of") {
		t.Errorf("%d members, %v", n, list.header)
	}
	ani.post(g+"/members/"+citra.id+"/remove", nil).want(200)
	ani.say(th, "without citra")
	for _, m := range ani.get(th + "/members").want(200).list() {
		if m["user_id"] == citra.id {
			t.Error("a user who was removed from the group is listed")
		}
	}
	citra.get(th).problem(404, gotong.CodeNotFound)
	citra.get(th+"/messages").problem(404, gotong.CodeNotFound)
	citra.post("/v1/chat/threads", create, key("late")).problem(404, gotong.CodeNotFound)
	for _, path := range []string{"/v1/chat/threads?limit=1", "/v1/chat/threads?limit=1&scope_id=" + id(g), "/v1/chat/unread?limit=1"} {
		if a := citra.get(path).want(200); len(a.list()) != 0 || a.header.Get("X-Has-More") == "true" {
			t.Errorf("%s: %s, more %s", path, a.body, a.header.Get("X-Has-More"))
		}
		if a := budi.get(path).want(200); len(a.list()) != 1 || a.header.Get("X-Has-More") != "true" {
			t.Errorf("%s of a member: %s", path, a.body)
		}
	}
	if got := budi.get("/v1/chat/threads?scope_id=rt05").want(200); len(got.list()) != 0 {
		t.Errorf("of another scope: %s", got.body)
	}
	seat(citra)
	if a := citra.get(th).want(200); a.num("unread") != 0 || len(citra.get(th+"/messages").want(200).list()) != 2 {
		t.Errorf("who is back has read what came before: %s", a.body)
	}
}

func TestALenderOfAnotherHomeIsRejected(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	g, team := ani.group("undangan"), regutest.StreamOf(ani.id, "team")
	ani.order(team, "regu.create", regutest.Create{ScopeID: "rt05"})
	body := map[string]any{"scope_id": id(g), "privacy_level": "private", "lender": string(team)}
	a := ani.post("/v1/chat/threads", body).problem(422, gotong.CodeInvalid)
	if fields, _ := a.object()["errors"].([]any); len(fields) != 1 || fields[0].(map[string]any)["field"] != "lender" {
		t.Errorf("got %s", a.body)
	}
	body["scope_id"] = "rt05"
	ani.post("/v1/chat/threads", body).want(201)
}
