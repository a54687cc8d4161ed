package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// Lengths are those of the normalised text: the form in which a keyboard writes
// it does not make it too long.
func TestLengthsAreCountedAfterTheStep(t *testing.T) {
	w := newWorld(t)
	whole, apart := strings.Repeat("\u00e9", 200), strings.Repeat("e\u0301", 200)
	account := map[string]any{"email": "long@rt05.example", "pass": whole, "username": "Bu.Long", "community_id": "rt05"}
	w.post("/v1/auth/signup", account).want(200)
	account["pass"] = apart
	w.post("/v1/auth/signin", map[string]any{"email": "long@rt05.example", "pass": apart}).want(200)
	account["email"], account["username"] = "longer@rt05.example", "Bu.Longer"
	w.post("/v1/auth/signup", account).want(200)
	account["pass"] = whole + whole
	w.post("/v1/auth/signup", account).problem(422, gotong.CodeInvalid)

	group := map[string]any{"name": apart[:3*128], "entity_type": "kelompok", "join_policy": "terbuka"}
	ani := w.signUp("ani")
	ani.post("/v1/groups", group).want(201)
	group["name"] = apart[:3*129]
	ani.post("/v1/groups", group).problem(422, gotong.CodeInvalid)
}

// What two keyboards write in two ways is one text, wherever it comes in.
func TestTextsAreNormalisedAtTheGate(t *testing.T) {
	w := newWorld(t)
	account := map[string]any{
		"email": "cafe\u0301@rt05.example", "pass": "cafe\u0301-rt05", "username": "Bu.Cafe", "community_id": "rt05",
	}
	w.post("/v1/auth/signup", account).want(200)
	w.post("/v1/auth/signin", map[string]any{"email": " CAF\u00c9@rt05.example", "pass": "caf\u00e9-rt05"}).want(200)
	w.post("/v1/auth/signin", map[string]any{"email": "caf\u00e9@rt05.example", "pass": "cafe-rt05"}).problem(401, gotong.CodeUnauthorized)

	ani := w.signUp("ani")
	th := ani.thread("public")
	m := ani.say(th, "\n    if halo {\n    }\n").want(201)
	if got := m.str("body"); got != "    if halo {\n    }" {
		t.Errorf("the message is %q", got)
	}
	at := th + "/messages/" + m.str("message_id") + "/reactions/"
	for _, heart := range []string{"❤", "❤️", "❤\ufe0e"} {
		list, _ := ani.do(http.MethodPut, at+url.PathEscape(heart), nil).want(200).object()["reactions"].([]any)
		if len(list) != 1 || list[0].(map[string]any)["emoji"] != "❤️" {
			t.Errorf("%q: reactions are %v", heart, list)
		}
	}
	if list, _ := ani.do(http.MethodDelete, at+url.PathEscape("❤"), nil).want(200).object()["reactions"].([]any); len(list) != 0 {
		t.Errorf("taken back, and there is %v", list)
	}
	group := map[string]any{"name": "RT\u202e05", "entity_type": "kelompok", "join_policy": "terbuka"}
	ani.post("/v1/groups", group).problem(422, gotong.CodeInvalid)
	group["name"] = " Cafe\u0301 RT\u00a005"
	if got := ani.post("/v1/groups", group).want(201).str("name"); got != "Caf\u00e9 RT 05" {
		t.Errorf("the group is called %q", got)
	}
}

// A message names users by id, with their names of now, wherever it is read.
func TestAMessageShowsWhomItMentions(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	m := ani.say(th, "Halo @budi, @citra dan @here").want(201)
	of := func(a *answer) string { return fmt.Sprint(a.want(200).object()["mentions"]) }
	at := th + "/messages/" + m.str("message_id")
	want := func(name string) string {
		return fmt.Sprintf("[map[from:5 name:%s to:10 user_id:%s] map[from:23 group:here to:28]]", name, budi.id)
	}
	if got := of(budi.get(at)); got != want("budi") {
		t.Errorf("got %s", got)
	}
	budi.do(http.MethodPut, "/v1/auth/me/name", map[string]any{"name": "Pak Budi"}).want(200)
	if got := of(budi.get(at)); got != want("Pak Budi") {
		t.Errorf("after a change of name: %s", got)
	}
	// The name did not exist when it was first looked up.
	dewi := w.signUp("dewi")
	citra.post(th+"/join", nil).want(200)
	if got := of(ani.do(http.MethodPatch, at, map[string]any{"body": "Halo @citra", "revision": 0})); !strings.Contains(got, citra.id) || strings.Contains(got, budi.id) {
		t.Errorf("edited: %s", got)
	}
	ani.say(th, "Halo @eko").want(201)
	eko := w.signUp("eko")
	eko.post(th+"/join", nil).want(200)
	if got := ani.say(th, "Halo @eko").want(201); !strings.Contains(string(got.body), eko.id) {
		t.Errorf("a new account is not mentioned: %s", got.body)
	}
	if got := ani.say(th, "Halo @dewi").want(201); strings.Contains(string(got.body), dewi.id) {
		t.Errorf("a stranger is mentioned: %s", got.body)
	}
	ani.do(http.MethodDelete, at, nil).want(200)
	for _, path := range []string{at, th + "/messages", th + "/timeline"} {
		if body := string(budi.get(path).want(200).body); strings.Contains(body, `"from":5,"to":11`) {
			t.Errorf("%s shows a mention of what was deleted: %s", path, body)
		}
	}
}
