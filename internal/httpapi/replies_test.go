package httpapi_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
)

// bodies are the texts of messages, in order.
func bodies(a *answer) (list []string) {
	for _, m := range a.want(http.StatusOK).list() {
		list = append(list, m["body"].(string))
	}
	return list
}

func TestRepliesAreCountedAndListed(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	other, asked := ani.say(th, "Halo").str("message_id"), ani.say(th, "Siapa bisa?").str("message_id")
	at := th + "/messages/" + asked
	tag := ani.get(at).want(200).header.Get("ETag")
	if got := bodies(ani.get(at + "/replies")); got != nil {
		t.Errorf("got %q", got)
	}
	var want []string
	for i := range 5 {
		ani.say(th, "sela")
		body := fmt.Sprint("Saya ", i)
		want = append(want, body)
		said := ani.post(th+"/messages/send", map[string]any{"body": body, "reply_to": asked}).want(201)
		if i == 3 {
			ani.do("DELETE", th+"/messages/"+said.str("message_id"), nil).want(200)
			want[3] = ""
		}
	}
	a := ani.get(at).want(200)
	if a.num("replies") != 5 || a.header.Get("ETag") == tag || ani.get(th + "/messages/" + other).want(200).object()["replies"] != nil {
		t.Errorf("%s %v", a.body, a.header)
	}
	for _, m := range ani.get(th + "/messages").want(200).list() {
		if n, _ := m["replies"].(float64); (n == 5) != (m["message_id"] == asked) || n != 0 && n != 5 {
			t.Errorf("got %v", m)
		}
	}
	if got := bodies(ani.get(at + "/replies")); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	var walked []string
	next, more := "start", "true"
	for more == "true" {
		a := ani.get(at + "/replies?limit=2&after_seq=" + next)
		walked = append(walked, bodies(a)...)
		next, more = a.header.Get("X-Next-Seq"), a.header.Get("X-Has-More")
	}
	if !reflect.DeepEqual(walked, want) || next != a.header.Get("X-As-Of") {
		t.Errorf("walked %q to %s, as of %s", walked, next, a.header.Get("X-As-Of"))
	}
	ani.get(at+"/replies?after_seq=k3f9:99").problem(409, gotong.CodeCursorAhead)
	ani.get(at+"/replies?limit=201").problem(422, gotong.CodeInvalid)
	ani.get(th+"/messages/"+gotong.NewEventID(w.now(), 1).String()+"/replies").problem(404, gotong.CodeNotFound)
}

// TestOnlyVisibleRepliesCount: what came while a member was away is neither listed nor
// counted, and a message from then has no list.
func TestOnlyVisibleRepliesCount(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	ani.do("PUT", th+"/history", map[string]any{"policy": "from_join"}).want(200)
	budi.post(th+"/join", nil).want(200)
	reply := func(to, body string) string {
		return ani.post(th+"/messages/send", map[string]any{"body": body, "reply_to": to}).want(201).str("message_id")
	}
	asked := ani.say(th, "Siapa?").str("message_id")
	reply(asked, "1")
	budi.post(th+"/leave", nil).want(200)
	away := reply(asked, "2")
	ani.do("PUT", th+"/messages/"+asked+"/pin", nil).want(200)
	reply(away, "3")
	budi.get(th+"/messages/"+asked+"/replies").problem(404, gotong.CodeNotFound)
	budi.get(th+"/pins").problem(404, gotong.CodeNotFound)
	budi.post(th+"/join", nil).want(200)
	reply(asked, "4")
	reply(away, "5")
	at := th + "/messages/" + asked
	if got := bodies(budi.get(at + "/replies")); !reflect.DeepEqual(got, []string{"1", "4"}) || budi.get(at).want(200).num("replies") != 2 {
		t.Errorf("budi gets %q, %s", got, budi.get(at).body)
	}
	if got := bodies(ani.get(at + "/replies")); !reflect.DeepEqual(got, []string{"1", "2", "4"}) || ani.get(at).num("replies") != 3 {
		t.Errorf("ani gets %q, %s", got, ani.get(at).body)
	}
	budi.get(th+"/messages/"+away+"/replies").problem(404, gotong.CodeNotFound)
	if got := bodies(budi.get(th + "/pins")); got != nil || len(bodies(ani.get(th+"/pins"))) != 1 {
		t.Errorf("budi gets %q", got)
	}
}

// TestManyRepliesAreCountedToABound: more than one read of the listing holds, also
// those that the viewer does not see, and the messages beside are counted exactly.
func TestManyRepliesAreCountedToABound(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	ani.do("PUT", th+"/history", map[string]any{"policy": "from_join"}).want(200)
	budi.post(th+"/join", nil).want(200)
	first, second := ani.say(th, "a").str("message_id"), ani.say(th, "b").str("message_id")
	budi.post(th+"/leave", nil).want(200)
	id, err := gotong.ParseEventID(first)
	if err != nil {
		t.Fatal(err)
	}
	for range 1002 {
		if _, err := ani.execute(th, thread.CmdPost, thread.Post{Body: "x", ReplyTo: id}); err != nil {
			t.Fatal(err)
		}
	}
	budi.post(th+"/join", nil).want(200)
	for _, to := range []string{first, second, second} {
		ani.post(th+"/messages/send", map[string]any{"body": "y", "reply_to": to}).want(201)
	}
	start := ani.get(th + "/messages?limit=1&after_seq=start").want(200).header.Get("X-As-Of")
	epoch, _, _ := strings.Cut(start, ":")
	for who, want := range map[*person][2]float64{ani: {999, 2}, budi: {1, 2}} {
		list := who.get(th + "/messages?limit=2&after_seq=" + epoch + ":0").want(200).list()
		if list[0]["replies"] != want[0] || list[1]["replies"] != want[1] {
			t.Errorf("%s: %v", who.id, list)
		}
	}
	if got := bodies(budi.get(th + "/messages/" + first + "/replies")); !reflect.DeepEqual(got, []string{"y"}) {
		t.Errorf("budi gets %q", got)
	}
}

func TestPinnedMessagesAreListedNewestPinFirst(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	ids := map[string]string{}
	for _, body := range []string{"1", "2", "3", "4"} {
		ids[body] = ani.say(th, body).str("message_id")
	}
	pin := func(body string) string { return th + "/messages/" + ids[body] + "/pin" }
	for _, body := range []string{"3", "1", "4", "2"} {
		if a := ani.do("PUT", pin(body), nil).want(200); !a.object()["pinned"].(bool) {
			t.Errorf("%s", a.body)
		}
	}
	budi.do("PUT", pin("1"), nil).problem(403, gotong.CodeForbidden)
	budi.do("DELETE", pin("1"), nil).problem(403, gotong.CodeForbidden)
	if got := bodies(budi.get(th + "/pins")); !reflect.DeepEqual(got, []string{"2", "4", "1", "3"}) {
		t.Errorf("got %q", got)
	}
	ani.do("DELETE", pin("4"), nil).want(200)
	ani.do("DELETE", th+"/messages/"+ids["1"], nil).want(200)
	ani.do("PATCH", th+"/messages/"+ids["3"], map[string]any{"body": "drei", "revision": 0}).want(200)
	ani.post(th+"/messages/send", map[string]any{"body": "ya", "reply_to": ids["3"]}).want(201)
	a := budi.get(th + "/pins")
	if got := bodies(a); !reflect.DeepEqual(got, []string{"2", "drei"}) || a.list()[1]["replies"] != 1.0 || a.header.Get("X-As-Of") == "" {
		t.Errorf("got %q: %s", got, a.body)
	}
}
