package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gotong.dev/gotong/client"
)

// TestAnIDRevealsNothingAboutAStranger: neither a block nor a ban reveals to a user who
// has an id, or whether anybody has; those whom they have met have a name, and stay on
// the list of the blocked.
func TestAnIDRevealsNothingAboutAStranger(t *testing.T) {
	w := startTown(t, 1, "")
	people := map[string]client.Auth{"bob": w.bob}
	for _, name := range []string{"kenari", "cici", "dedi", "eka"} {
		var a client.Auth
		w.call(0, "", http.MethodPost, "/v1/auth/signup", map[string]any{
			"email": name + "@example.org", "pass": "selokan bersih", "username": name, "community_id": "rt05",
		}, &a)
		people[name] = a
	}
	ann := func(method, path string, body any) (int, string) {
		t.Helper()
		status, text := w.ask(0, w.ann.AccessToken, method, path, body)
		return status, string(text)
	}
	for _, id := range []string{people["kenari"].UserID, "nobody", "import:bapak", strings.Repeat("x", 128)} {
		if status, text := ann(http.MethodPut, "/v1/blocks/"+id, nil); status != http.StatusNotFound || strings.Contains(text, "kenari") {
			t.Errorf("a block of the stranger %.10s: %d %s", id, status, text)
		}
	}
	for _, id := range []string{"a%20b", "%C3%A9", strings.Repeat("x", 129), w.ann.UserID} {
		if status, text := ann(http.MethodPut, "/v1/blocks/"+id, nil); status != http.StatusUnprocessableEntity && status != http.StatusBadRequest {
			t.Errorf("a block of %.10s: %d %s", id, status, text)
		}
	}
	member := w.path + "/members/" + people["kenari"].UserID
	for path, method := range map[string]string{member: http.MethodDelete, member + "/ban": http.MethodPut} {
		if status, text := ann(method, path, nil); status != http.StatusOK || strings.Contains(text, `kenari"`) {
			t.Errorf("%s %s: %d %s", method, path, status, text)
		}
	}

	// cici invites ann, dedi leaves the thread, and eka had a direct thread with ann.
	var group struct {
		ID string `json:"group_id"`
	}
	cici, dedi, eka := people["cici"], people["dedi"], people["eka"]
	w.call(0, cici.AccessToken, http.MethodPost, "/v1/groups", map[string]any{"name": "RT 05", "entity_type": "kelompok", "join_policy": "undangan"}, &group)
	w.call(0, cici.AccessToken, http.MethodPost, "/v1/groups/"+group.ID+"/invite", map[string]any{"user_id": w.ann.UserID}, nil)
	w.call(0, dedi.AccessToken, http.MethodPost, w.path+"/join", nil, nil)
	w.call(0, dedi.AccessToken, http.MethodPost, w.path+"/leave", nil, nil)
	var direct client.Thread
	w.call(0, eka.AccessToken, http.MethodPut, "/v1/chat/direct/"+w.ann.UserID, nil, &direct)
	w.call(0, w.ann.AccessToken, http.MethodPost, "/v1/chat/threads/"+direct.ThreadID+"/leave", nil, nil)
	for _, name := range []string{"bob", "cici", "dedi", "eka"} {
		if status, text := ann(http.MethodPut, "/v1/blocks/"+people[name].UserID, nil); status != http.StatusOK || !strings.Contains(text, fmt.Sprintf("%q", name)) {
			t.Errorf("a block of %s: %d %s", name, status, text)
		}
	}
	w.call(0, cici.AccessToken, http.MethodDelete, "/v1/groups/"+group.ID+"/invitations/"+w.ann.UserID, nil, nil)
	if status, text := ann(http.MethodPut, "/v1/blocks/"+cici.UserID, nil); status != http.StatusOK {
		t.Errorf("a block of a user who is blocked: %d %s", status, text)
	}
	if _, text := ann(http.MethodGet, "/v1/blocks", nil); strings.Contains(text, "kenari") || !strings.Contains(text, "dedi") {
		t.Errorf("blocks: %s", text)
	}
}
