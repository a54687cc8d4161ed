package httpapi_test

import (
	"net/http"
	"testing"

	"gotong.dev/gotong"
)

// TestTimelines: a thread and a group list their events with filters and in pages,
// for those who may see them; a message is as its edit left it.
func TestTimelines(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	th, rt := ani.thread("private"), ani.group("undangan")
	ani.post(th+"/members", map[string]any{"user_id": budi.id}).want(http.StatusCreated)
	ani.post(rt+"/members", map[string]any{"user_id": budi.id}).want(http.StatusCreated)
	one := ani.say(th, "satu").str("message_id")
	budi.say(th, "dua")
	ani.do(http.MethodPatch, th+"/messages/"+one, map[string]any{"body": "ralat"}, ifMatch(`"0"`)).want(http.StatusOK)
	for path, n := range map[string]int{
		th + "/timeline": 5, rt + "/timeline": 2,
		th + "/timeline?type=message.posted":                     2,
		th + "/timeline?type=message.posted&actor=" + budi.id:    1,
		rt + "/timeline?type=member.added&actor=" + ani.id:       1,
		rt + "/timeline?actor=" + budi.id:                        0,
		th + "/timeline?limit=2&after_seq=start":                 2,
		th + "/timeline?after_seq=start&type=thread.no_such_one": 0,
	} {
		if list := budi.get(path).want(http.StatusOK).list(); len(list) != n {
			t.Errorf("%s: %d entries, want %d: %v", path, len(list), n, list)
		}
		citra.get(path).problem(http.StatusNotFound, gotong.CodeNotFound)
	}
	page := budi.get(th + "/timeline?limit=3").want(http.StatusOK)
	rest := budi.get(th + "/timeline?after_seq=" + page.header.Get("X-Next-Seq")).want(http.StatusOK)
	if page.header.Get("X-Has-More") != "true" || rest.header.Get("X-Has-More") != "false" || len(rest.list()) != 2 {
		t.Errorf("%v, then %v", page.header, rest.header)
	}
	first := budi.get(th + "/timeline?type=message.posted&limit=1").list()[0]
	actor, _ := first["actor"].(map[string]any)
	content, _ := first["content"].(map[string]any)
	if content["body"] != "ralat" || actor["username"] != "ani" || first["event_hash"] == "" {
		t.Errorf("%v", first)
	}
}
