package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
)

func TestARequestToJoinIsAnswered(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	g := ani.group("persetujuan")
	first := budi.post(g+"/requests", map[string]any{"message": "Saya tetangga"}, key("q1")).want(201)
	request := first.str("request_id")
	if again := budi.post(g+"/requests", nil).want(201); again.str("request_id") != request || again.str("message") != "Saya tetangga" {
		t.Errorf("another request: %s", again.body)
	}
	if a := budi.get(g).want(200); a.str("my_membership_status") != "pending" || a.str("my_request") != request || a.object()["pending_requests"] != nil {
		t.Errorf("the applicant gets %s", a.body)
	}
	citra.get(g+"/requests").problem(403, gotong.CodeForbidden)
	citra.post(g+"/requests/"+request+"/withdraw", nil).problem(404, gotong.CodeNotFound)
	citra.post(g+"/requests/"+request+"/approve", nil).problem(403, gotong.CodeForbidden)
	for _, list := range []any{ani.get(g + "/requests").want(200).list()[0], ani.get(g).want(200).object()["pending_requests"].([]any)[0]} {
		if r := list.(map[string]any); r["request_id"] != request || r["name"] != "budi" || r["status"] != "pending" || r["message"] != "Saya tetangga" {
			t.Errorf("got %v", r)
		}
	}
	approve := ani.post(g+"/requests/"+request+"/approve", nil, key("a1")).want(200)
	if approve.str("user_id") != budi.id || approve.str("role") != "anggota" {
		t.Errorf("got %s", approve.body)
	}
	if again := ani.post(g+"/requests/"+request+"/approve", nil, key("a1")).want(200); again.str("user_id") != budi.id {
		t.Errorf("a repetition: %s", again.body)
	}
	if again := budi.post(g+"/requests", map[string]any{"message": "Saya tetangga"}, key("q1")).want(201); again.object()["replayed"] != true {
		t.Errorf("a repetition of what was approved: %s", again.body)
	}
	ani.post(g+"/requests/"+request+"/approve", nil).problem(404, gotong.CodeNotFound)
	budi.post(g+"/requests", nil).problem(409, gotong.CodeConflict)

	for answer, by := range map[string]*person{"reject": ani, "withdraw": citra} {
		request := citra.post(g+"/requests", nil).want(201).str("request_id")
		by.post(g+"/requests/"+request+"/"+answer, nil).want(200)
		if a := citra.get(g).want(200); a.str("my_membership_status") != "none" || len(ani.get(g+"/requests").want(200).list()) != 0 {
			t.Errorf("%s: %s", answer, a.body)
		}
	}
}

func TestRequestsAreListedInPages(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	g := ani.group("persetujuan")
	var want []string
	for i := range 3 {
		want = append(want, w.signUp(fmt.Sprint("tetangga", i)).post(g+"/requests", nil).want(201).str("request_id"))
	}
	var got []string
	for cursor := ""; len(got) < 4; {
		page := ani.get(g + "/requests?limit=2" + cursor).want(200)
		for _, r := range page.list() {
			got = append(got, r["request_id"].(string))
		}
		if page.header.Get("X-Has-More") != "true" {
			break
		}
		cursor = "&cursor=" + page.header.Get("X-Next-Cursor")
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// An invitation shows the invitee the group's name and description and who sent
// it, and nothing else of a group that is by invitation only.
func TestAnInvitationIsAcceptedOrDeclined(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	g := ani.post("/v1/groups", map[string]any{
		"name": "Dana sosial", "description": "Kas RT", "entity_type": "lembaga", "join_policy": "undangan",
	}).want(201).header.Get("Location")
	mine := "/v1/groups/invitations/" + id(g)
	invite := func(p *person) *answer { return ani.post(g+"/invite", map[string]any{"user_id": p.id}).want(200) }
	open := func(p *person) []any {
		return p.get("/v1/groups/invitations").want(200).object()["items"].([]any)
	}
	if a := invite(budi); a.object()["added"] != false || a.num("expires_at_ms") < w.now().Milli() {
		t.Errorf("got %s", a.body)
	}
	invite(citra)
	items := open(budi)
	if len(items) != 1 {
		t.Fatalf("got %v", items)
	}
	got := items[0].(map[string]any)
	if by := got["invited_by"].(map[string]any); got["name"] != "Dana sosial" || got["description"] != "Kas RT" || by["name"] != "ani" ||
		got["group_id"] != id(g) || len(got) != 6 {
		t.Errorf("got %v", got)
	}
	if list := ani.get(g + "/invitations?limit=1").want(200); len(list.list()) != 1 || list.header.Get("X-Has-More") != "true" {
		t.Errorf("got %s", list.body)
	}
	if a := budi.post(mine+"/accept", nil, key("y1")).want(200); a.str("user_id") != budi.id || a.str("role") != "anggota" {
		t.Errorf("got %s", a.body)
	}
	budi.post(mine+"/accept", nil, key("y1")).want(200)
	budi.get(g).want(200)
	budi.get(g+"/invitations").problem(403, gotong.CodeForbidden)
	if a := invite(budi); a.object()["added"] != true {
		t.Errorf("a member was invited: %s", a.body)
	}
	citra.post(mine+"/decline", nil, key("n1")).want(200)
	citra.post(mine+"/decline", nil, key("n1")).want(200)
	citra.post(mine+"/accept", nil).problem(404, gotong.CodeNotFound)
	if len(open(budi)) != 0 || len(open(citra)) != 0 || len(ani.get(g+"/invitations").want(200).list()) != 0 {
		t.Error("still invited")
	}
	if a := ani.do("DELETE", g+"/invitations/"+citra.id, nil).want(200); a.object()["withdrawn"] != false {
		t.Errorf("got %s", a.body)
	}
	invite(citra)
	if a := ani.do("DELETE", g+"/invitations/"+citra.id, nil).want(200); a.object()["withdrawn"] != true || len(open(citra)) != 0 {
		t.Errorf("got %s", a.body)
	}
}

// An invitation that has expired counts as none and stays out of the lists.
func TestAnInvitationExpires(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	old, newer := ani.group("undangan"), ani.group("undangan")
	body := map[string]any{"user_id": budi.id}
	ani.post(old+"/invite", body).want(200)
	w.clock.Step(time.Hour)
	ani.again()
	ani.post(newer+"/invite", body, key("i1")).want(200)
	w.clock.Step(group.InvitationLife - time.Minute)
	ani.again()
	budi.again()
	page := budi.get("/v1/groups/invitations?limit=1").want(200)
	if items := page.object()["items"].([]any); len(items) != 1 || items[0].(map[string]any)["group_id"] != id(newer) || page.str("cursor") != "" {
		t.Errorf("got %s", page.body)
	}
	if n := len(ani.get(old + "/invitations").want(200).list()); n != 0 {
		t.Errorf("%d invitations that have expired are listed", n)
	}
	budi.post("/v1/groups/invitations/"+id(old)+"/accept", nil).problem(404, gotong.CodeNotFound)
	budi.post("/v1/groups/invitations/"+id(newer)+"/accept", nil).want(200)
}

// Who no longer manages a group gets the bare receipt of what they did (I11).
func TestARepeatedInvitationOfAFormerAdminShowsNothing(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	g := ani.group("undangan")
	ani.post(g+"/members", map[string]any{"user_id": budi.id, "role": "moderator"}).want(201)
	body := map[string]any{"user_id": citra.id}
	budi.post(g+"/invite", body, key("i1")).want(200)
	ani.post(g+"/members/"+budi.id+"/role", map[string]any{"role": "anggota"}).want(200)
	if a := budi.post(g+"/invite", body, key("i1")).want(200); a.object()["replayed"] != true || a.object()["expires_at_ms"] != nil {
		t.Errorf("got %s", a.body)
	}
}
