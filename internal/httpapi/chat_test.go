package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
)

func TestThreadCreationIsIdempotent(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	body := map[string]any{"scope_id": "rt05", "privacy_level": "public"}
	a := ani.post("/v1/chat/threads", body, key("t1")).want(201)
	th := a.header.Get("Location")
	if a.str("my_role") != "owner" || a.num("member_count") != 1 || a.num("unread") != 0 || a.num("seq") != 1 || a.str("as_of") == "" {
		t.Errorf("%s", a.body)
	}
	again := ani.post("/v1/chat/threads", body, key("t1")).want(201)
	if again.str("thread_id") != a.str("thread_id") || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("a retried create: %s %v", again.body, again.header)
	}
	if a.header.Get("Idempotency-Replayed") != "" {
		t.Error("the first answer says it is replayed")
	}
	ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt06", "privacy_level": "public"}, key("t1")).problem(422, gotong.CodeReused)
	other := budi.post("/v1/chat/threads", body, key("t1")).want(201)
	if other.str("thread_id") == a.str("thread_id") {
		t.Error("two actors share a thread by equal keys")
	}
	// A public thread is known to all, and shows no more than that.
	seen := budi.get(th).want(200)
	if seen.object()["unread"] != nil || seen.object()["my_role"] != nil {
		t.Errorf("%s", seen.body)
	}
	budi.get(th+"/messages").problem(404, gotong.CodeNotFound)
	tag := seen.header.Get("ETag")
	budi.get(th, ifNoneMatch(tag)).want(304)
	ani.say(th, "Halo")
	budi.get(th, ifNoneMatch(tag)).want(200)
	for _, bad := range []string{`{"scope_id":"rt05"}`, `{"scope_id":"rt05","privacy_level":"secret"}`, `{"scope_id":"a b","privacy_level":"public"}`,
		`{"scope_id":"rt05","privacy_level":"public","members":"home"}`} {
		ani.post("/v1/chat/threads", bad).problem(422, gotong.CodeInvalid)
	}
	ani.post("/v1/chat/threads", map[string]any{"scope_id": "ent-none", "privacy_level": "public"}).problem(404, gotong.CodeNotFound)
}

func TestThreadListsArePagedAndFiltered(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	var own []string
	for range 5 {
		own = append(own, ani.thread("private"))
	}
	public := ani.thread("public")
	elsewhere := ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt06", "privacy_level": "private"}).want(201).header.Get("Location")
	ids := func(a *answer) []string {
		var list []string
		for _, m := range a.want(200).list() {
			list = append(list, "/v1/chat/threads/"+m["thread_id"].(string))
		}
		return list
	}
	want := append([]string{elsewhere, public}, reversed(own)...)
	if got := ids(ani.get("/v1/chat/threads")); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := ids(ani.get("/v1/chat/threads?scope_id=rt05")); !slices.Equal(got, want[1:]) {
		t.Errorf("in the scope: got %v, want %v", got, want[1:])
	}
	if got := ids(budi.get("/v1/chat/threads?scope_id=rt05")); !slices.Equal(got, []string{public}) {
		t.Errorf("somebody else: got %v", got)
	}
	if got := ids(budi.get("/v1/chat/threads")); got != nil {
		t.Errorf("somebody else without a scope: got %v", got)
	}
	var paged []string
	cursor, pages := "", 0
	for ; pages < 10; pages++ {
		a := ani.get("/v1/chat/threads?limit=3" + cursor)
		paged = append(paged, ids(a)...)
		next := a.header.Get("X-Next-Cursor")
		if (a.header.Get("X-Has-More") == "true") != (next != "") {
			t.Errorf("%v", a.header)
		}
		if cursor = "&cursor=" + next; next == "" {
			break
		}
	}
	if !slices.Equal(paged, want) || pages != 2 {
		t.Errorf("paged in %d: got %v", pages, paged)
	}
	ani.get("/v1/chat/threads?limit=0").problem(422, gotong.CodeInvalid)
	ani.get("/v1/chat/threads?limit=201").problem(422, gotong.CodeInvalid)
	ani.get("/v1/chat/threads?unknown=1").problem(422, gotong.CodeInvalid)
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// TestAPrivateThreadIs404ForStrangers: for who may not know of it, a private thread is one that never
// existed, on every route: same status, same body but for the trace id.
func TestAPrivateThreadIs404ForStrangers(t *testing.T) {
	w := newWorld(t)
	ani, budi, mod := w.signUp("ani"), w.signUp("budi"), w.withRole("mod", gotong.RoleModerator)
	th := ani.thread("private")
	mid := ani.say(th, "rahasia").str("message_id")
	removed := w.signUp("citra")
	ani.post(th+"/members", map[string]any{"user_id": removed.id}).want(201)
	ani.do(http.MethodDelete, th+"/members/"+removed.id, nil).want(200)
	w.unknownTo(th, mid, ani, budi, mod, removed)
	budi.post(th+"/leave", nil).problem(404, gotong.CodeNotFound)
	for _, bad := range []string{"/v1/chat/threads/a%20b", "/v1/chat/threads/a%2Fb"} {
		budi.get(bad).problem(404, gotong.CodeNotFound)
	}
}

// A thread in a group by invitation is public for who may know of the group; for
// all others it is one that never existed, as a private one is.
func TestAPublicThreadInAHiddenGroupIs404ForStrangers(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra, mod := w.signUp("ani"), w.signUp("budi"), w.signUp("citra"), w.withRole("mod", gotong.RoleModerator)
	g := strings.TrimPrefix(ani.group("undangan"), "/v1/groups/")
	th := ani.post("/v1/chat/threads", map[string]any{"scope_id": g, "privacy_level": "public"}).want(201).header.Get("Location")
	w.unknownTo(th, ani.say(th, "Halo").str("message_id"), ani, budi, mod)
	if list := budi.get("/v1/chat/threads?scope_id=" + g).want(200).list(); len(list) != 0 {
		t.Errorf("listed for a stranger: %v", list)
	}
	ani.post("/v1/chat/threads", map[string]any{"scope_id": g, "privacy_level": "public"}).want(201)
	page := budi.get("/v1/chat/threads?limit=1&scope_id=" + g).want(200)
	if page.header.Get("X-Has-More") != "false" || page.header.Get("X-Next-Cursor") != "" {
		t.Errorf("a stranger gets the total: %v", page.header)
	}
	ani.post("/v1/groups/"+g+"/members", map[string]any{"user_id": citra.id}).want(201)
	citra.get(th).want(200)
	citra.post(th+"/join", nil).want(200)
	if list := citra.get("/v1/chat/threads?scope_id=" + g).want(200).list(); len(list) != 2 {
		t.Errorf("not listed for a member of the group: %v", list)
	}
}

// The last member who leaves a thread or a group closes it.
func TestTheLastMemberWhoLeavesClosesTheThread(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th, g := ani.thread("public"), ani.group("terbuka")
	for _, path := range []string{th, g} {
		if a := budi.get(path).want(200); a.object()["closed"] != nil {
			t.Errorf("%s", a.body)
		}
		ani.post(path+"/leave", nil).want(200)
		budi.post(path+"/join", nil).problem(409, gotong.CodeConflict)
		ani.post(path+"/join", nil).problem(409, gotong.CodeConflict)
		if a := budi.get(path).want(200); a.object()["closed"] != true || a.num("member_count") != 0 {
			t.Errorf("%s", a.body)
		}
	}
	ani.get(th+"/messages").problem(404, gotong.CodeNotFound)
	budi.post(th+"/messages/send", map[string]any{"body": "x"}).problem(403, gotong.CodeForbidden)
	if list := budi.get("/v1/chat/threads?scope_id=rt05").want(200).list(); len(list) != 0 {
		t.Errorf("a closed thread is listed: %v", list)
	}
	if items := budi.get("/v1/groups").want(200).object()["items"].([]any); len(items) != 0 {
		t.Errorf("a closed group is listed: %v", items)
	}
}

// unknownTo holds every route of a thread, which ani is in, against that of one
// that never was: same status, same headers, same body but for the trace id.
func (w *world) unknownTo(th, mid string, ani *person, strangers ...*person) {
	t := w.t
	t.Helper()
	never := "/v1/chat/threads/" + gotong.DeriveID("thread", "x", "y")
	routes := []struct {
		method, path string
		body         any
	}{
		{"GET", "", nil}, {"GET", "/messages", nil}, {"GET", "/messages/poll?after_seq=k3f9:0", nil},
		{"GET", "/messages?since_created_at_ms=0", nil}, {"GET", "/messages/" + mid, nil}, {"GET", "/members", nil},
		{"GET", "/read-cursor", nil}, {"GET", "/presence", nil}, {"POST", "/join", nil},
		{"POST", "/messages/send", map[string]any{"body": "x"}},
		{"PATCH", "/messages/" + mid, map[string]any{"body": "x", "revision": 0}}, {"DELETE", "/messages/" + mid, nil},
		{"PUT", "/messages/" + mid + "/reactions/" + url.PathEscape("👍"), nil},
		{"DELETE", "/messages/" + mid + "/reactions/" + url.PathEscape("👍"), nil},
		{"POST", "/read-cursor", map[string]any{"message_id": mid}}, {"PUT", "/history", map[string]any{"policy": "all"}},
		{"PATCH", "", map[string]any{"name": "x"}}, {"PUT", "/mute", nil}, {"DELETE", "/mute", nil}, {"GET", "/timeline", nil},
		{"POST", "/members", map[string]any{"user_id": ani.id}}, {"DELETE", "/members/" + ani.id, nil},
		{"POST", "/members/" + ani.id + "/mute", map[string]any{"until_ms": 0}},
		{"POST", "/members/" + ani.id + "/role", map[string]any{"role": "member"}},
	}
	for _, r := range routes {
		for _, p := range strangers {
			there, not := p.do(r.method, th+r.path, r.body), p.do(r.method, never+r.path, r.body)
			there.problem(404, gotong.CodeNotFound)
			if got, want := untraced(there), untraced(not); got != want || there.code != not.code {
				t.Errorf("%s %s as %s:\n%d %s\n%d %s", r.method, r.path, p.name, there.code, got, not.code, want)
			}
			if a, b := headerNames(there), headerNames(not); !slices.Equal(a, b) {
				t.Errorf("%s %s as %s: headers %v and %v", r.method, r.path, p.name, a, b)
			}
		}
	}
}

func untraced(a *answer) string { return strings.ReplaceAll(string(a.body), a.str("trace_id"), "…") }

func headerNames(a *answer) []string {
	var names []string
	for name := range a.header {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestMembersAreAddedListedAndRemoved(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	th := ani.thread("public")
	a := budi.post(th+"/join", nil).want(200)
	if a.str("role") != "member" || a.str("name") != "budi" || a.num("joined_at_ms") <= 0 {
		t.Errorf("%s", a.body)
	}
	ani.post(th+"/members", map[string]any{"user_id": citra.id, "role": "admin"}).want(201)
	ani.post(th+"/members", map[string]any{"user_id": citra.id, "role": "owner"}).problem(409, gotong.CodeConflict)
	budi.post(th+"/members", map[string]any{"user_id": "x"}).problem(403, gotong.CodeForbidden)
	page := ani.get(th + "/members?limit=2").want(200)
	rest := ani.get(th + "/members?limit=2&cursor=" + page.header.Get("X-Next-Cursor")).want(200)
	if len(page.list()) != 2 || page.header.Get("X-Has-More") != "true" || len(rest.list()) != 1 || rest.header.Get("X-Has-More") != "false" {
		t.Errorf("%s\n%s", page.body, rest.body)
	}
	until := w.now().Add(time.Hour).Milli()
	a = citra.post(th+"/members/"+budi.id+"/mute", map[string]any{"until_ms": until}).want(200)
	if a.num("mute_until_ms") != until {
		t.Errorf("%s", a.body)
	}
	budi.post(th+"/messages/send", map[string]any{"body": "x"}).problem(403, gotong.CodeForbidden)
	budi.get(th + "/messages").want(200)
	citra.post(th+"/members/"+budi.id+"/mute", map[string]any{"until_ms": 1}).problem(422, gotong.CodeInvalid)
	citra.post(th+"/members/"+budi.id+"/mute", map[string]any{"until_ms": 0}).want(200)
	budi.say(th, "lagi")
	citra.do(http.MethodDelete, th+"/members/"+ani.id, nil).problem(403, gotong.CodeForbidden)
	citra.post(th+"/members/"+budi.id+"/role", map[string]any{"role": "admin"}).problem(403, gotong.CodeForbidden)
	if a := ani.post(th+"/members/"+budi.id+"/role", map[string]any{"role": "admin"}).want(200); a.str("role") != "admin" {
		t.Errorf("%s", a.body)
	}
	ani.post(th+"/leave", nil).problem(409, gotong.CodeConflict)
	a = citra.do(http.MethodDelete, th+"/members/"+budi.id, nil).want(200)
	if a.num("left_at_ms") <= 0 {
		t.Errorf("%s", a.body)
	}
	budi.get(th+"/messages").problem(404, gotong.CodeNotFound)
	budi.get(th+"/members").problem(404, gotong.CodeNotFound)
	citra.post(th+"/messages/send", map[string]any{"body": "x"}).want(201)
	ani.do(http.MethodPut, th+"/history", map[string]any{"policy": "from_join"}).want(200)
	if a := ani.get(th).want(200); a.str("history") != "from_join" {
		t.Errorf("%s", a.body)
	}
}

// TestARepeatedLeaveGetsTheFirstAnswer: the answer of a join or leave stays what it was, however
// often the member came and went since.
func TestARepeatedLeaveGetsTheFirstAnswer(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	steps := []string{"/join", "/leave", "/leave", "/join", "/join", "/leave"}
	var first []*answer
	for i, step := range steps {
		w.clock.Pass(time.Second)
		first = append(first, budi.post(th+step, nil, key(fmt.Sprint("move-", i))).want(200))
	}
	w.clock.Pass(time.Second)
	budi.post(th+"/join", nil).want(200)
	for i, step := range steps {
		again := budi.post(th+step, nil, key(fmt.Sprint("move-", i))).want(200)
		if again.header.Get("Idempotency-Replayed") != "true" || !slices.Equal(again.body, first[i].body) {
			t.Errorf("%d %s: replayed %q\n%s\n%s", i, step, again.header.Get("Idempotency-Replayed"), again.body, first[i].body)
		}
	}
	// Who never was a member leaves without effect.
	citra := w.signUp("citra")
	a := citra.post(th+"/leave", nil, key("never")).want(200)
	if again := citra.post(th+"/leave", nil, key("never")).want(200); !slices.Equal(again.body, a.body) || a.object()["role"] != nil {
		t.Errorf("%s\n%s", a.body, again.body)
	}
}

func TestARepeatedSendPostsOnce(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	const twins = 32
	answers := make([]*answer, twins)
	var wg sync.WaitGroup
	for i := range twins {
		wg.Go(func() { answers[i] = w.quiet(ani, th+"/messages/send", `{"body":"sekali"}`, "twin") })
	}
	wg.Wait()
	replayed := 0
	for _, a := range answers {
		if a.code != 201 || !slices.Equal(a.body, answers[0].body) || a.header.Get("Location") != answers[0].header.Get("Location") {
			t.Fatalf("%d %s\n%s", a.code, a.body, answers[0].body)
		}
		if a.header.Get("Idempotency-Replayed") == "true" {
			replayed++
		}
	}
	if replayed != twins-1 {
		t.Errorf("%d of %d say that they are replayed", replayed, twins)
	}
	if got := ani.get(th + "/messages").list(); len(got) != 1 {
		t.Errorf("%d messages", len(got))
	}
	ani.post(th+"/messages/send", `{"body":"lain"}`, key("twin")).problem(422, gotong.CodeReused)
	ani.post(th+"/messages/send", `{"body": "sekali"}`, key("twin")).problem(422, gotong.CodeReused)
	if a := budi.post(th+"/messages/send", `{"body":"sekali"}`, key("twin")).want(201); a.header.Get("Idempotency-Replayed") != "" {
		t.Error("somebody else's equal key is replayed")
	}
}

// TestARepeatedSendAfterRemovalGetsTheReceipt: who may no longer read gets the receipt and nothing
// of the message.
func TestARepeatedSendAfterRemovalGetsTheReceipt(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("private")
	ani.post(th+"/members", map[string]any{"user_id": budi.id}).want(201)
	sent := budi.post(th+"/messages/send", `{"body":"rahasia"}`, key("m1")).want(201)
	edit := func(header ...header) *answer {
		return budi.do(http.MethodPatch, th+"/messages/"+sent.str("message_id"), `{"body":"rahasia lain"}`, append(header, ifMatch("*"))...)
	}
	edit(key("e1")).want(200)
	ani.do(http.MethodDelete, th+"/members/"+budi.id, nil).want(200)
	if a := edit(key("e1")).want(200); strings.Contains(string(a.body), "rahasia") || a.object()["replayed"] != true {
		t.Errorf("%s", a.body)
	}
	edit(key("e2")).problem(404, gotong.CodeNotFound)
	a := budi.post(th+"/messages/send", `{"body":"rahasia"}`, key("m1")).want(201)
	if strings.Contains(string(a.body), "rahasia") || a.object()["replayed"] != true || a.header.Get("ETag") != "" {
		t.Errorf("%s %v", a.body, a.header)
	}
	ids, _ := a.object()["event_ids"].([]any)
	if len(ids) != 1 || ids[0] != sent.str("message_id") {
		t.Errorf("%s", a.body)
	}
	budi.post(th+"/messages/send", `{"body":"lain"}`, key("m1")).problem(422, gotong.CodeReused)
	budi.post(th+"/messages/send", `{"body":"baru"}`, key("m2")).problem(404, gotong.CodeNotFound)
}

func TestPresenceListsTheFollowersForMembers(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("private")
	if users := ani.get(th + "/presence").want(200).object()["users"].([]any); len(users) != 0 {
		t.Errorf("%v", users)
	}
	session, err := w.hub.Open(gotong.Viewer{UserID: ani.id, Role: gotong.RoleUser}, live.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	stream := gotong.Stream("thread/" + th[len("/v1/chat/threads/"):])
	if err := session.Subscribe(live.Subscription{Stream: stream}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := session.Outcome(ctx, stream); err != nil {
		t.Fatal(err)
	}
	users := ani.get(th + "/presence").want(200).object()["users"].([]any)
	if !reflect.DeepEqual(users, []any{map[string]any{"user_id": ani.id, "name": "ani"}}) {
		t.Errorf("%v", users)
	}
}

// quiet sends a POST without looking at the answer, for goroutines.
func (w *world) quiet(p *person, path, body, id string) *answer {
	return w.send(http.MethodPost, path, body, []header{{"Authorization", "Bearer " + p.token}, key(id)})
}
