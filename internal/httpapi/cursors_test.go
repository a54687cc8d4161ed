package httpapi_test

import (
	"encoding/base64"
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
	user := text([]byte("i:" + ani.id))
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
