package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// TestAThreadShowsItsTitle: in its detail, in lists and in its timeline, to those
// who may know of it; a change gives it another ETag.
func TestAThreadShowsItsTitle(t *testing.T) {
	w := newWorld(t)
	ani, budi, mod := w.signUp("ani"), w.signUp("budi"), w.withRole("mod", gotong.RoleModerator)
	create := func(privacy string) string {
		return ani.post("/v1/chat/threads", map[string]any{
			"scope_id": "rt05", "privacy_level": privacy, "name": " Banjir ", "topic": "Pompa", "icon": "❤",
		}).want(201).header.Get("Location")
	}
	public, private := create("public"), create("private")
	shown := func(a *answer) string {
		o := a.want(200).object()
		return fmt.Sprint(o["name"], o["topic"], o["icon"])
	}
	for _, p := range []*person{ani, budi} {
		if got := shown(p.get(public)); got != "BanjirPompa❤️" {
			t.Errorf("%s gets %s", p.name, got)
		}
	}
	list := ani.get("/v1/chat/threads").want(200).list()
	if len(list) != 2 || list[0]["name"] != "Banjir" || list[1]["icon"] != "❤️" {
		t.Errorf("listed: %v", list)
	}
	tag := budi.get(public).header.Get("ETag")
	if got := shown(ani.do(http.MethodPatch, public, map[string]any{"name": "Surut", "icon": ""})); got != "SurutPompa<nil>" {
		t.Errorf("after a change: %s", got)
	}
	budi.get(public, ifNoneMatch(tag)).want(200)
	budi.do(http.MethodPatch, public, map[string]any{"name": "x"}).problem(403, gotong.CodeForbidden)
	mod.do(http.MethodPatch, public, map[string]any{"topic": ""}).want(200)
	ani.do(http.MethodPatch, public, map[string]any{"name": "a\u202eb"}).problem(422, gotong.CodeInvalid)
	if line := ani.get(public + "/timeline").want(200); !strings.Contains(string(line.body), `"Surut"`) {
		t.Errorf("timeline: %s", line.body)
	}
	for _, stranger := range []*person{budi, mod} {
		for _, path := range []string{private, private + "/timeline", "/v1/chat/threads", "/v1/chat/threads?scope_id=rt05", "/v1/chat/unread"} {
			if a := stranger.get(path); strings.Contains(string(a.body), "Banjir") || strings.Contains(string(a.body), strings.TrimPrefix(private, "/v1/chat/threads/")) {
				t.Errorf("%s gets %s: %s", stranger.name, path, a.body)
			}
		}
		stranger.do(http.MethodPatch, private, map[string]any{"name": "x"}).problem(404, gotong.CodeNotFound)
	}
}

// TestArchivedThreadsAreListedOnRequest: and nobody can write in them.
func TestArchivedThreadsAreListedOnRequest(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	all := []string{ani.thread("public"), ani.thread("private"), ani.thread("public")}
	archive := func(th string, is bool) *answer { return ani.do(http.MethodPatch, th, map[string]any{"archived": is}) }
	if a := archive(all[0], true).want(200); a.num("archived_at_ms") == 0 {
		t.Errorf("%s", a.body)
	}
	archive(all[2], true).want(200)
	ids := func(p *person, query string) string {
		var list []string
		for _, m := range p.get("/v1/chat/" + query).want(200).list() {
			for i, th := range all {
				if strings.HasSuffix(th, m["thread_id"].(string)) {
					list = append(list, fmt.Sprint(i))
				}
			}
		}
		return strings.Join(list, " ")
	}
	for query, want := range map[string][2]string{
		"threads": {"1", ""}, "threads?archived=true": {"2 0", ""}, "threads?scope_id=rt05": {"1", ""}, "unread": {"1", ""},
		"threads?scope_id=rt05&archived=true": {"2 0", "2 0"}, "threads?limit=1": {"1", ""}, "threads?limit=1&archived=true": {"2", ""},
	} {
		if mine, other := ids(ani, query), ids(budi, query); mine != want[0] || other != want[1] {
			t.Errorf("%s: got %q and %q, want %q", query, mine, other, want)
		}
	}
	ani.post(all[0]+"/messages/send", map[string]any{"body": "x"}).problem(409, gotong.CodeArchived)
	if a := archive(all[0], false).want(200); a.object()["archived_at_ms"] != nil {
		t.Errorf("%s", a.body)
	}
	ani.say(all[0], "Halo")
}

// TestADirectThread: two users have one, which shows each the other, and which nobody
// else can find.
func TestADirectThread(t *testing.T) {
	w := newWorld(t)
	ani, budi, mod := w.signUp("ani"), w.signUp("budi"), w.withRole("mod", gotong.RoleModerator)
	start := func(p, other *person) *answer { return p.do(http.MethodPut, "/v1/chat/direct/"+other.id, nil) }
	a := start(ani, budi).want(200)
	th := "/v1/chat/threads/" + a.str("thread_id")
	if a.str("scope_id") != "direct" || a.str("my_role") != "member" || fmt.Sprint(a.object()["with"]) != fmt.Sprint(map[string]any{"user_id": budi.id, "name": "budi"}) {
		t.Errorf("%s", a.body)
	}
	if b := start(budi, ani).want(200); b.str("thread_id") != a.str("thread_id") || b.num("seq") != 1 || b.object()["with"].(map[string]any)["name"] != "ani" {
		t.Errorf("%s", b.body)
	}
	for _, path := range []string{"/v1/chat/threads", "/v1/chat/threads?scope_id=direct"} {
		if list := budi.get(path).want(200).list(); len(list) != 1 || list[0]["with"].(map[string]any)["user_id"] != ani.id {
			t.Errorf("%s: %v", path, list)
		}
		if list := mod.get(path).want(200).list(); len(list) != 0 {
			t.Errorf("a stranger: %s: %v", path, list)
		}
	}
	w.unknownTo(th, ani.say(th, "rahasia").str("message_id"), ani, mod)
	ani.do(http.MethodPatch, th, map[string]any{"name": "x"}).problem(403, gotong.CodeForbidden)
	start(ani, ani).problem(422, gotong.CodeInvalid)
	ani.do(http.MethodPut, "/v1/chat/direct/nobody", nil).problem(404, gotong.CodeNotFound)
	ani.post("/v1/chat/threads", map[string]any{"scope_id": "direct", "privacy_level": "public"}).problem(422, gotong.CodeInvalid)

	budi.post(th+"/leave", nil).want(200)
	ani.post(th+"/messages/send", map[string]any{"body": "Halo?"}).problem(409, gotong.CodeConflict)
	if b := start(ani, budi).want(200); b.num("member_count") != 1 || b.header.Get("ETag") == a.header.Get("ETag") {
		t.Errorf("starting it again brought somebody back: %s", b.body)
	}
	budi.get(th).problem(404, gotong.CodeNotFound)
	if b := start(budi, ani).want(200); b.num("member_count") != 2 || b.num("unread") != 0 {
		t.Errorf("%s", b.body)
	}
	ani.say(th, "Halo lagi")
}
