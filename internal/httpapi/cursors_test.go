package httpapi_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// A cursor that no list gave is refused: never "from the beginning", never
// "from somewhere" (contract D10).
func TestListCursors(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th, g := ani.thread("public"), ani.group("terbuka")
	ani.thread("public")
	ani.group("terbuka")
	entry := ani.get("/v1/chat/threads?limit=1").want(200).header.Get("X-Next-Cursor")
	text := base64.RawURLEncoding.EncodeToString
	user := text([]byte("k3f9:i:" + ani.id))
	for _, list := range []struct{ path, good, foreign string }{
		{"/v1/chat/threads", entry, user}, {"/v1/chat/threads?scope_id=rt05", entry, user}, {"/v1/chat/unread", entry, user},
		{"/v1/groups", entry, user}, {"/v1/groups/me", entry, user},
		{th + "/members", user, entry}, {g + "/members", user, entry},
	} {
		with := func(cursor string) *answer {
			sep := "?"
			if list.path == "/v1/chat/threads?scope_id=rt05" {
				sep = "&"
			}
			return ani.get(list.path + sep + "cursor=" + cursor)
		}
		with(list.good).want(200)
		for name, bad := range map[string]string{
			"empty": "", "no base64": "***", "of another list": list.foreign, "of nothing": text([]byte{0}),
			"padded": list.good + "=", "a word": text([]byte("start")), "other bits": "zz" + list.good,
			"a long one": text(make([]byte, 4000)),
		} {
			if a := with(bad); a.code != 400 {
				t.Errorf("%s: a cursor %s: %d %s", list.path, name, a.code, a.body)
			} else {
				a.problem(400, gotong.CodeCursorInvalid)
			}
		}
	}
}

// Every place where a client supplies a position takes epoch:seq and nothing
// else, and a position of another epoch is answered epoch_changed: after a
// restore the same seq names another event, and who goes on from it would miss
// what took its place.
func TestPositionsOfAnotherEpoch(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th, g := ani.thread("public"), ani.group("terbuka")
	ani.thread("public")
	ani.group("terbuka")
	ani.say(th, "satu")
	for _, path := range []string{
		th + "?min_seq=", th + "/messages?min_seq=", th + "/messages?after_seq=", th + "/messages?before_seq=",
		th + "/messages/poll?min_seq=", th + "/messages/poll?after_seq=", th + "/messages/poll?before_seq=",
	} {
		ani.get(path + "k3f9:2").want(200)
		ani.get(path+"zzzz:2").problem(409, gotong.CodeEpochChanged)
		for _, bad := range []string{"2", "0", ":2", "k3f9", "k3f9:", "k3f9:-1", "k3f9:+2", "k3f9:02", "K3F9:2", "k3f9:2:2", "k3f9:9223372036854775808"} {
			ani.get(path+bad).problem(400, gotong.CodeCursorInvalid)
		}
	}
	entry, err := base64.RawURLEncoding.DecodeString(ani.get("/v1/chat/threads?limit=1").want(200).header.Get("X-Next-Cursor"))
	if err != nil || !strings.HasPrefix(string(entry), "k3f9:") {
		t.Fatalf("%q %v", entry, err)
	}
	for path, name := range map[string]string{
		"/v1/chat/threads": string(entry[len("k3f9:"):]), "/v1/chat/unread": string(entry[len("k3f9:"):]),
		"/v1/groups": string(entry[len("k3f9:"):]), "/v1/groups/me": string(entry[len("k3f9:"):]),
		th + "/members": "i:" + ani.id, g + "/members": "i:" + ani.id,
		"/v1/auth/audit": "i:" + gotong.NewEventID(w.now(), 1).String(),
	} {
		cursor := func(text string) string { return "?cursor=" + base64.RawURLEncoding.EncodeToString([]byte(text)) }
		ani.get(path + cursor("k3f9:"+name)).want(200)
		ani.get(path+cursor("zzzz:"+name)).problem(409, gotong.CodeEpochChanged)
		ani.get(path+cursor(name)).problem(400, gotong.CodeCursorInvalid)
	}
}

// The answer of a write names the cursor after what it wrote, by which a read
// on any node asks for it.
func TestWriteNamesItsCursor(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	a := ani.post(th+"/messages/send", map[string]any{"body": "satu"}, key("k1")).want(201)
	if got := a.header.Get("X-Cursor"); got != fmt.Sprint("k3f9:", a.num("seq")) {
		t.Fatalf("X-Cursor is %q: %s", got, a.body)
	}
	ani.say(th, "dua")
	again := ani.post(th+"/messages/send", map[string]any{"body": "satu"}, key("k1")).want(201)
	if again.header.Get("X-Cursor") != a.header.Get("X-Cursor") {
		t.Errorf("the replay has %q", again.header.Get("X-Cursor"))
	}
	if l := ani.get(th + "/messages?min_seq=" + a.header.Get("X-Cursor")).want(200).list(); len(l) != 2 {
		t.Errorf("%d messages", len(l))
	}
}
