package httpapi_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
)

func TestTheReadMarkMovesForwardOnly(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th, other := ani.thread("public"), ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	var ids []string
	for i := range 6 {
		ids = append(ids, ani.say(th, fmt.Sprint(i)).str("message_id"))
	}
	foreign := ani.say(other, "x").str("message_id")
	cursor := th + "/read-cursor"
	budi.get(cursor).problem(404, gotong.CodeNotFound)
	a := budi.post(cursor, map[string]any{"message_id": ids[3]}).want(200)
	if a.str("last_read_message_id") != ids[3] || a.num("n") != 4 || a.str("user_id") != budi.id || a.num("last_read_at_ms") <= 0 {
		t.Errorf("%s", a.body)
	}
	if a := budi.post(cursor, map[string]any{"message_id": ids[1]}).want(200); a.num("n") != 4 {
		t.Errorf("it moved back: %s", a.body)
	}
	if a := budi.get(cursor).want(200); a.str("last_read_message_id") != ids[3] {
		t.Errorf("%s", a.body)
	}
	ani.get(cursor).problem(404, gotong.CodeNotFound)
	budi.post(cursor, map[string]any{"message_id": foreign}).problem(404, gotong.CodeNotFound)
	budi.post(cursor, `{"message_id":"nope"}`).problem(422, gotong.CodeInvalid)
	budi.post(cursor, `{}`).problem(422, gotong.CodeInvalid)

	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() { w.quiet(budi, cursor, `{"message_id":"`+ids[i]+`"}`, fmt.Sprint("mark-", i)) })
	}
	wg.Wait()
	if a := budi.get(cursor).want(200); a.num("n") != 6 {
		t.Errorf("after all at once: %s", a.body)
	}
}

func (p *person) unread(th string) int64 {
	p.w.t.Helper()
	want := p.get(th).want(200).num("unread")
	for _, m := range p.get("/v1/chat/unread").want(200).list() {
		if "/v1/chat/threads/"+m["thread_id"].(string) == th {
			if got := int64(m["unread"].(float64)); got != want {
				p.w.t.Errorf("the thread says %d unread, the list %d", want, got)
			}
			return want
		}
	}
	p.w.t.Error("the thread is not in the list of unread")
	return want
}

func TestUnreadCountsMessagesAboveTheMark(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	for range 3 {
		ani.say(th, "sebelum")
	}
	budi.post(th+"/join", nil).want(200)
	if got := budi.unread(th); got != 0 {
		t.Errorf("from before he came: %d unread", got)
	}
	var ids []string
	for range 5 {
		ids = append(ids, ani.say(th, "sesudah").str("message_id"))
	}
	ani.do(http.MethodDelete, th+"/messages/"+ids[1], nil).want(200)
	ani.do(http.MethodDelete, th+"/messages/"+ids[3], nil).want(200)
	if got := budi.unread(th); got != 3 {
		t.Errorf("two deleted: %d unread", got)
	}
	budi.post(th+"/read-cursor", map[string]any{"message_id": ids[1]}).want(200)
	if got := budi.unread(th); got != 2 {
		t.Errorf("after the mark: %d unread", got)
	}
	budi.post(th+"/read-cursor", map[string]any{"message_id": ids[4]}).want(200)
	if got := budi.unread(th); got != 0 {
		t.Errorf("all read: %d unread", got)
	}
	// Under from_join, messages posted during their absence are hidden from them.
	ani.do(http.MethodPut, th+"/history", map[string]any{"policy": "from_join"}).want(200)
	budi.post(th+"/leave", nil).want(200)
	for range 4 {
		ani.say(th, "tanpa budi")
	}
	budi.post(th+"/join", nil).want(200)
	if got := budi.unread(th); got != 0 {
		t.Errorf("while away: %d unread", got)
	}
	ani.say(th, "lagi")
	if got := budi.unread(th); got != 1 {
		t.Errorf("after coming back: %d unread", got)
	}
	if got := len(budi.get(th + "/messages").want(200).list()); got != 9 {
		t.Errorf("%d messages to be seen", got)
	}
}

// TestUnreadOfBorrowedMembersFollowsTheGroup: the stretches are the group's, the messages the
// thread's.
func TestUnreadOfBorrowedMembersFollowsTheGroup(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	group := ani.group("terbuka")
	th := ani.post("/v1/chat/threads", map[string]any{
		"scope_id": group[len("/v1/groups/"):], "privacy_level": "private", "members": "home", "history": "from_join",
	}).want(201).header.Get("Location")
	for range 3 {
		ani.say(th, "sebelum")
	}
	budi.get(th).problem(404, gotong.CodeNotFound)
	budi.post(group+"/join", nil).want(200)
	if got := budi.unread(th); got != 0 {
		t.Errorf("%d unread", got)
	}
	ani.say(th, "sesudah")
	if got := budi.unread(th); got != 1 {
		t.Errorf("%d unread", got)
	}
	a := budi.get(th).want(200)
	if a.str("my_role") != "member" || a.num("member_count") != 2 || a.str("members") != "home" {
		t.Errorf("%s", a.body)
	}
	members := budi.get(th + "/members").want(200).list()
	roles := map[any]any{}
	for _, m := range members {
		roles[m["name"]] = m["role"]
	}
	if len(members) != 2 || roles["ani"] != "owner" || roles["budi"] != "member" {
		t.Errorf("%v", members)
	}
	until := w.now().Add(time.Hour).Milli()
	ani.post(th+"/members/"+budi.id+"/mute", map[string]any{"until_ms": until}).want(200)
	for _, m := range budi.get(th + "/members").want(200).list() {
		if muted := m["mute_until_ms"] != nil; muted != (m["name"] == "budi") {
			t.Errorf("%v", m)
		}
	}
	budi.post(th+"/messages/send", map[string]any{"body": "x"}).problem(403, gotong.CodeForbidden)
	budi.post(th+"/leave", nil).problem(409, gotong.CodeConflict)
	if a := budi.post(th+"/join", nil).want(200); a.str("role") != "member" {
		t.Errorf("%s", a.body)
	}
	ani.post(th+"/members", map[string]any{"user_id": "somebody"}).problem(409, gotong.CodeConflict)
	ani.post(group+"/members/"+budi.id+"/remove", nil).want(200)
	budi.get(th).problem(404, gotong.CodeNotFound)
	budi.get(th+"/messages").problem(404, gotong.CodeNotFound)
	if got := budi.get("/v1/chat/threads").want(200).list(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
