package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

func TestMessagesAreListedInPages(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	for i := range 10 {
		w.clock.Pass(time.Millisecond)
		a := ani.say(th, fmt.Sprint("pesan ", i))
		if a.num("n") != int64(i+1) || a.num("seq") != int64(i+2) || a.num("revision") != 0 || a.header.Get("ETag") != `"0"` {
			t.Fatalf("%s %v", a.body, a.header)
		}
		if got := ani.get(a.header.Get("Location")).want(200); !reflect.DeepEqual(got.object(), a.object()) {
			t.Errorf("%s\n%s", got.body, a.body)
		}
	}
	all := ani.get(th + "/messages").want(200).list()
	tests := []struct {
		query    string
		from, to int // of all
		more     bool
	}{
		{"", 0, 10, false}, {"limit=3", 7, 10, true}, {"limit=10", 0, 10, false}, {"after_seq=k3f9:0", 0, 10, false},
		{"after_seq=start", 0, 10, false}, {"after_seq=k3f9:0&limit=4", 0, 4, true}, {"after_seq=k3f9:5", 4, 10, false}, {"after_seq=k3f9:11", 10, 10, false},
		{"before_seq=k3f9:5", 0, 3, false}, {"before_seq=k3f9:8&limit=2", 4, 6, true}, {"before_seq=k3f9:1", 0, 0, false}, {"before_seq=k3f9:0", 0, 0, false},
		{"since_created_at_ms=0", 0, 10, false}, {"since_created_at_ms=0&limit=1", 0, 1, true},
		{fmt.Sprintf("since_created_at_ms=%.0f", all[3]["created_at_ms"]), 4, 10, false},
		{fmt.Sprintf("since_created_at_ms=%.0f&since_message_id=%s", all[3]["created_at_ms"], all[3]["message_id"]), 4, 10, false},
		{fmt.Sprintf("since_created_at_ms=%.0f", all[9]["created_at_ms"]), 10, 10, false},
		{"min_seq=k3f9:11", 0, 10, false},
	}
	for _, path := range []string{"/messages", "/messages/poll"} {
		for _, test := range tests {
			a := ani.get(th + path + "?" + test.query).want(200)
			if got := a.list(); !reflect.DeepEqual(got, append([]map[string]any{}, all[test.from:test.to]...)) {
				t.Errorf("%s?%s: %d messages: %s", path, test.query, len(got), a.body)
			}
			if a.header.Get("X-Has-More") != fmt.Sprint(test.more) || a.header.Get("X-As-Of") == "" {
				t.Errorf("%s?%s: %v", path, test.query, a.header)
			}
		}
	}
	var walked []map[string]any
	next := "start"
	for range 20 {
		a := ani.get(th + "/messages?limit=3&after_seq=" + next).want(200)
		walked, next = append(walked, a.list()...), a.header.Get("X-Next-Seq")
		if a.header.Get("X-Has-More") == "false" {
			break
		}
	}
	if !reflect.DeepEqual(walked, all) {
		t.Errorf("walking gives %d messages", len(walked))
	}
	ani.get(th+"/messages?since_message_id="+all[0]["message_id"].(string)).problem(400, httpapi.CodeBadRequest)
	ani.get(th+"/messages?after_seq=k3f9:1&before_seq=k3f9:2").problem(400, httpapi.CodeBadRequest)
	ani.get(th+"/messages?after_seq=k3f9:99").problem(409, gotong.CodeCursorAhead)
	ani.get(th+"/messages?before_seq=k3f9:99").problem(409, gotong.CodeCursorAhead)
	for _, bad := range []string{"limit=0", "limit=201", "limit=x", "since_created_at_ms=0&since_message_id=nope"} {
		ani.get(th+"/messages?"+bad).problem(422, gotong.CodeInvalid)
	}
	ani.get(th+"/messages/nope").problem(404, gotong.CodeNotFound)
	ani.get(th+"/messages/"+gotong.NewEventID(w.now(), 1).String()).problem(404, gotong.CodeNotFound)
}

// TestTupleWithinOneMillisecond: messages of one millisecond are distinguished by
// their id.
func TestTupleWithinOneMillisecond(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	w.clock.Pass(time.Minute)
	ani.say(th, "then the log alone moves on")
	w.clock.Step(-time.Minute)
	var ids []string
	var ms []int64
	for range 4 {
		a := ani.say(th, "x")
		ids, ms = append(ids, a.str("message_id")), append(ms, a.num("created_at_ms"))
	}
	if ms[0] != ms[3] && ms[0]+1 != ms[3] {
		t.Fatalf("not one or two milliseconds: %v", ms)
	}
	for i, id := range ids {
		got := ani.get(fmt.Sprintf("%s/messages?since_created_at_ms=%d&since_message_id=%s", th, ms[i], id)).want(200).list()
		if len(got) != len(ids)-1-i {
			t.Errorf("after %d: %d messages", i, len(got))
		}
	}
}

func TestAReplyNeedsAMessageOfTheThread(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	first := ani.say(th, "pertama").str("message_id")
	a := ani.post(th+"/messages/send", map[string]any{"body": "jawab", "reply_to": first}).want(201)
	if a.str("reply_to") != first {
		t.Errorf("%s", a.body)
	}
	ani.post(th+"/messages/send", map[string]any{"body": "x", "reply_to": gotong.NewEventID(w.now(), 1)}).problem(404, gotong.CodeNotFound)
	a = ani.post(th+"/messages/send", map[string]any{"body": "dulu", "sent_at_ms": 1000, "sent_by": "Pak RT"}).want(201)
	if a.str("sent_by") != "Pak RT" || a.num("sent_at_ms") != 1000 {
		t.Errorf("%s", a.body)
	}
}

func TestEditsAndDeletionsAnswerByRevision(t *testing.T) {
	w := newWorld(t)
	ani, budi, mod := w.signUp("ani"), w.signUp("budi"), w.withRole("mod", gotong.RoleModerator)
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	m := th + "/messages/" + budi.say(th, "salah").str("message_id")
	edit := func(p *person, body string, h ...header) *answer { return p.do(http.MethodPatch, m, body, h...) }
	edit(budi, `{"body":"benar"}`).problem(428, gotong.CodePrecondRequired)
	edit(budi, `{"body":"benar","revision":0}`, ifMatch(`"0"`)).problem(422, gotong.CodeInvalid)
	edit(budi, `{"body":"benar"}`, ifMatch(`"0", *`)).problem(422, gotong.CodeInvalid)
	edit(ani, `{"body":"benar","revision":0}`).problem(403, gotong.CodeForbidden)
	a := edit(budi, `{"body":"benar"}`, ifMatch(`"0"`), key("e1")).want(200)
	if a.str("body") != "benar" || a.num("revision") != 1 || a.header.Get("ETag") != `"1"` || a.num("edited_at_ms") <= 0 {
		t.Errorf("%s %v", a.body, a.header)
	}
	edit(budi, `{"body":"lagi"}`, ifMatch(`"0"`)).problem(412, gotong.CodePrecondition)
	edit(budi, `{"body":"lagi","revision":0}`).problem(409, gotong.CodeVersion)
	edit(budi, `{"body":"benar"}`, ifMatch(`"1"`), key("e1")).problem(422, gotong.CodeReused)
	if a := edit(budi, `{"body":"benar"}`, ifMatch(`"0"`), key("e1")).want(200); a.header.Get("Idempotency-Replayed") != "true" {
		t.Error("a retried edit is not replayed")
	}
	budi.get(m, ifNoneMatch(`"1"`)).want(304)
	budi.get(m, ifNoneMatch(`"0"`)).want(200)

	w.clock.Pass(16 * time.Minute)
	edit(budi, `{"body":"terlambat","revision":1}`).problem(403, gotong.CodeForbidden)
	ani.do(http.MethodDelete, m, nil, ifMatch(`"0"`)).problem(412, gotong.CodePrecondition)
	mod.do(http.MethodDelete, m, nil, key("d1")).want(200) // not a member: no content for them
	a = budi.get(m).want(200)
	if a.str("body") != "" || a.num("deleted_at_ms") <= 0 || a.num("revision") != 2 {
		t.Errorf("%s", a.body)
	}
	mod.do(http.MethodDelete, m, nil, key("d1")).want(200)
	ani.do(http.MethodDelete, m, nil).want(200)
	edit(budi, `{"body":"x","revision":2}`).problem(409, gotong.CodeTargetDeleted)
	if got := budi.get(th + "/messages").list(); len(got) != 1 || got[0]["body"] != "" {
		t.Errorf("%v", got)
	}
	budi.do(http.MethodDelete, th+"/messages/nope", nil).problem(404, gotong.CodeNotFound)
}

func TestReactionsAreListedByEmoji(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	m := th + "/messages/" + ani.say(th, "Halo").str("message_id")
	thumb := m + "/reactions/" + url.PathEscape("👍🏽")
	ani.do(http.MethodPut, thumb, nil).want(200)
	ani.do(http.MethodPut, thumb, nil).want(200)
	a := budi.do(http.MethodPut, thumb, nil).want(200)
	want := []any{map[string]any{"emoji": "👍🏽", "count": 2.0, "user_ids": []any{ani.id, budi.id}}}
	if got := a.object()["reactions"]; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	tag := budi.get(m).want(200).header.Get("ETag")
	budi.get(m, ifNoneMatch(tag)).want(304)
	budi.get(m, ifNoneMatch(`"0"`)).want(200)
	if got := budi.get(th + "/messages").list()[0]["reactions"]; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	ani.do(http.MethodDelete, thumb, nil).want(200)
	a = budi.do(http.MethodDelete, thumb, nil).want(200)
	if got := a.object()["reactions"]; !reflect.DeepEqual(got, []any{}) {
		t.Errorf("%v", got)
	}
	if a := budi.get(m, ifNoneMatch(tag)).want(200); a.header.Get("ETag") != `"0"` {
		t.Errorf("ETag %s", a.header.Get("ETag"))
	}
	ani.do(http.MethodDelete, m, nil, ifMatch(tag)).want(200)
	ani.do(http.MethodPut, m+"/reactions/abc", nil).problem(422, gotong.CodeInvalid)
}
