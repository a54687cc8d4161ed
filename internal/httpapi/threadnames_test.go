package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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
	if a.str("scope_id") != "direct" || a.str("my_role") != "member" || fmt.Sprint(a.object()["with"]) != fmt.Sprint(map[string]any{"user_id": budi.id, "name": "budi", "username": "budi"}) {
		t.Errorf("%s", a.body)
	}
	if b := start(budi, ani).want(200); b.str("thread_id") != a.str("thread_id") || b.num("seq") != 1 || b.object()["with"].(map[string]any)["name"] != "ani" {
		t.Errorf("%s", b.body)
	}
	for _, path := range []string{"/v1/chat/threads", "/v1/chat/threads?scope_id=direct"} {
		if list := budi.get(path).want(200).list(); len(list) != 1 || fmt.Sprint(list[0]["with"]) != fmt.Sprint(map[string]any{"user_id": ani.id, "name": "ani", "username": "ani"}) {
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

// TestADisplayNameIsShown: in place of the user name in messages and timelines, and
// beside it in lists of members.
func TestADisplayNameIsShown(t *testing.T) {
	w := newWorld(t)
	ani, budi, boss := w.signUp("ani"), w.signUp("budi"), w.withRole("boss", gotong.RoleAdmin)
	th, g := ani.thread("public"), ani.group("terbuka")
	ani.say(th, "Halo")
	direct := "/v1/chat/threads/" + budi.do(http.MethodPut, "/v1/chat/direct/"+ani.id, nil).want(200).str("thread_id")
	tag := budi.get(direct).header.Get("ETag")
	set := func(name string) *answer {
		return ani.do(http.MethodPut, "/v1/auth/me/name", map[string]any{"name": name})
	}
	if a := set(" Bu\u00a0Ani 🌷 ").want(200); a.str("name") != "Bu Ani 🌷" || a.str("username") != "ani" {
		t.Errorf("%s", a.body)
	}
	if a := ani.get("/v1/auth/me").want(200); a.str("name") != "Bu Ani 🌷" {
		t.Errorf("%s", a.body)
	}
	for _, path := range []string{th + "/members", g + "/members"} {
		if m := ani.get(path).want(200).list()[0]; m["name"] != "Bu Ani 🌷" || m["username"] != "ani" {
			t.Errorf("%s: %v", path, m)
		}
	}
	for path, user := range map[string]bool{th + "/messages": false, th + "/timeline": true, g + "/timeline": true} {
		if a := ani.get(path).want(200); !strings.Contains(string(a.body), `"name":"Bu Ani 🌷"`) || strings.Contains(string(a.body), `"ani"`) != user {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := budi.get(direct, ifNoneMatch(tag)).want(200); a.object()["with"].(map[string]any)["name"] != "Bu Ani 🌷" {
		t.Errorf("%s", a.body)
	}
	if a := boss.get("/v1/admin/users?user=ani").want(200); a.str("username") != "ani" {
		t.Errorf("%s", a.body)
	}
	set("a\u202eb").problem(422, gotong.CodeInvalid)
	if a := set("").want(200); a.str("name") != "ani" {
		t.Errorf("%s", a.body)
	}
}

// TestAThreadIsMutedForOneself: it shows to the user alone, changes no count, is kept
// beside the read mark, and ends by itself.
func TestAThreadIsMutedForOneself(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	mid := ani.say(th, "Halo").str("message_id")
	state := func(p *person) string {
		o, list, unread := p.get(th).want(200).object(), p.get("/v1/chat/threads").want(200).list()[0], p.get("/v1/chat/unread").want(200).list()[0]
		if fmt.Sprint(o["muted"], o["muted_until_ms"], o["unread"]) != fmt.Sprint(list["muted"], list["muted_until_ms"], list["unread"]) || fmt.Sprint(o["muted"]) != fmt.Sprint(unread["muted"]) {
			t.Errorf("%v, %v and %v differ", o, list, unread)
		}
		return fmt.Sprintf("muted %t, until %t, %v unread", o["muted"] == true, o["muted_until_ms"] != nil, unread["unread"])
	}
	mute := func(body any, headers ...header) *answer {
		return budi.do(http.MethodPut, th+"/mute", body, headers...)
	}
	check := func(want string) {
		t.Helper()
		if got := state(budi); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	seq := budi.get(th).num("seq")
	check("muted false, until false, 1 unread")
	tag := budi.get(th).header.Get("ETag")
	mute(nil).want(200)
	check("muted true, until false, 1 unread")
	budi.get(th, ifNoneMatch(tag)).want(200)
	budi.get(th+"/read-cursor").problem(404, gotong.CodeNotFound)
	until := map[string]any{"until_ms": w.now().Milli() + 60_000}
	if a := mute(until, key("m1")).want(200); a.object()["muted_until_ms"] == nil {
		t.Errorf("%s", a.body)
	}
	budi.post(th+"/read-cursor", map[string]any{"message_id": mid}).want(200)
	check("muted true, until true, 0 unread")
	budi.do(http.MethodDelete, th+"/mute", nil).want(200)
	check("muted false, until false, 0 unread")
	if a := mute(until, key("m1")).want(200); a.header.Get("Idempotency-Replayed") != "true" || a.object()["muted"] == true {
		t.Errorf("a late retry: %s", a.body)
	}
	mute(nil, key("m1")).problem(422, gotong.CodeReused)
	mute(until).want(200)
	tag = budi.get(th).header.Get("ETag")
	w.clock.Pass(time.Minute)
	check("muted false, until false, 0 unread")
	budi.get(th, ifNoneMatch(tag)).want(200)
	for _, bad := range []int64{-1, 1, w.now().Milli(), 253402300800000} {
		mute(map[string]any{"until_ms": bad}).problem(422, gotong.CodeInvalid)
	}
	if got := state(ani); got != "muted false, until false, 0 unread" || ani.get(th).num("seq") != seq {
		t.Errorf("ani gets %s", got)
	}
	w.signUp("citra").do(http.MethodPut, th+"/mute", nil).problem(404, gotong.CodeNotFound)
}
