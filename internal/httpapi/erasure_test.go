package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// TestErasedTextIsGoneFromEveryRead: a platform admin erases a message and its
// edit. No read shows either any more, also one that a client could have kept by
// its ETag, and a retry gets the first answer.
func TestErasedTextIsGoneFromEveryRead(t *testing.T) {
	w := newWorld(t)
	ani, boss := w.signUp("ani"), w.withRole("boss", gotong.RoleAdmin)
	th := ani.thread("public")
	stream := "thread/" + strings.TrimPrefix(th, "/v1/chat/threads/")
	m := ani.say(th, "canary one").want(201)
	at := th + "/messages/" + m.str("message_id")
	ani.say(th, "another").want(201)
	ani.do("PATCH", at, map[string]any{"body": "canary two"}, ifMatch(m.header.Get("ETag"))).want(200)
	tag := ani.get(at).want(200).header.Get("ETag")
	order := map[string]any{"stream": stream, "seqs": []int64{m.num("seq")}, "reason": "a \u202ecourt\u0000 order"}
	for range 2 {
		a := boss.post("/v1/admin/erasures", order, key("order-1")).want(200)
		if a.num("erased") != 2 || !strings.HasSuffix(a.str("as_of"), ":6") {
			t.Errorf("erased %s", a.body)
		}
	}
	for what, a := range map[string]*answer{
		"the message": ani.get(at, ifNoneMatch(tag)).want(200), "the list": ani.get(th + "/messages").want(200),
		"a page":       ani.get(th + "/messages?after_seq=k3f9:0").want(200),
		"the timeline": ani.get(th + "/timeline").want(200),
	} {
		if strings.Contains(string(a.body), "canary") {
			t.Errorf("%s shows it: %s", what, a.body)
		}
	}
	if line := ani.get(th + "/timeline"); !strings.Contains(string(line.body), `"a court order"`) {
		t.Errorf("the reason is not shown: %s", line.body)
	}
	if a := ani.get(at); a.object()["erased"] != true || a.str("body") != "" || a.num("revision") != 1 {
		t.Errorf("the message: %s", a.body)
	}
	if a := boss.post("/v1/admin/erasures", order, key("order-2")).want(200); a.num("erased") != 0 {
		t.Errorf("again: %s", a.body)
	}
	order["seqs"] = []int64{99}
	boss.post("/v1/admin/erasures", order).problem(404, gotong.CodeNotFound)
}

// TestOnlyPlatformAdminsErase: everybody else gets the answer that every route of
// admins gives them, whatever they name.
func TestOnlyPlatformAdminsErase(t *testing.T) {
	w := newWorld(t)
	ani, boss := w.signUp("ani"), w.withRole("boss", gotong.RoleAdmin)
	mod, stranger := w.withRole("mod", gotong.RoleModerator), w.signUp("stranger")
	th := ani.thread("private")
	stream := "thread/" + strings.TrimPrefix(th, "/v1/chat/threads/")
	seq := ani.say(th, "halo").want(201).num("seq")
	for _, order := range []map[string]any{
		{"stream": stream, "seqs": []int64{seq}, "reason": "x"}, {"stream": stream, "seqs": []int64{99}, "reason": "x"},
		{"stream": "thread/none", "seqs": []int64{1}, "reason": "x"}, {"stream": "kind/none", "seqs": []int64{1}, "reason": "x"},
	} {
		w.post("/v1/admin/erasures", order).problem(401, gotong.CodeUnauthorized)
		for _, p := range []*person{ani, mod, stranger} {
			p.post("/v1/admin/erasures", order).problem(403, gotong.CodeForbidden)
		}
		if known := order["stream"] == stream && fmt.Sprint(order["seqs"]) != "[99]"; !known {
			boss.post("/v1/admin/erasures", order).problem(404, gotong.CodeNotFound)
		}
	}
	if body := ani.get(th + "/messages").want(200).body; !strings.Contains(string(body), "halo") {
		t.Errorf("erased by somebody else: %s", body)
	}
	for _, order := range []map[string]any{
		{"stream": stream, "seqs": []int64{}, "reason": "x"}, {"stream": stream, "seqs": []int64{seq}},
		{"stream": stream, "seqs": []int64{seq}, "reason": " "}, {"stream": "thread", "seqs": []int64{seq}, "reason": "x"},
		{"stream": stream, "seqs": []int64{seq}, "reason": strings.Repeat("x", 501)},
	} {
		boss.post("/v1/admin/erasures", order).problem(422, gotong.CodeInvalid)
	}
}
