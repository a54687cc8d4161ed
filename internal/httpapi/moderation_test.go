package httpapi_test

import (
	"encoding/json"
	"fmt"
	"math"
	"path"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/report"
	"gotong.dev/gotong/internal/moderation"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// village is a private thread of ani, where budi, citra and dewi talk.
type village struct {
	*world
	ani, budi, citra, dewi, mod *person

	th, id string
	jobs   int
}

func newVillage(t *testing.T) *village {
	t.Helper()
	w := newWorld(t)
	v := &village{world: w, ani: w.signUp("ani"), budi: w.signUp("budi"), citra: w.signUp("citra"), dewi: w.signUp("dewi"), mod: w.withRole("mod", gotong.RoleModerator)}
	v.th = v.ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "private"}).want(201).header.Get("Location")
	v.id = path.Base(v.th)
	for _, p := range []*person{v.budi, v.citra, v.dewi} {
		v.ani.post(v.th+"/members", map[string]any{"user_id": p.id}).want(201)
	}
	return v
}

// content posts a message and returns its id in moderation.
func (v *village) content(p *person, body string) (content, message string) {
	v.t.Helper()
	message = p.say(v.th, body).want(201).str("message_id")
	return v.id + ":" + message, message
}

// count has the thread count the reports on a message, as the job does.
func (v *village) count(message string) {
	v.t.Helper()
	v.jobs++
	h := moderation.Handler(v.store, store.NewCodec(kinds()), v.engine)
	body := fmt.Appendf(nil, `{"thread":%q,"message_id":%q}`, "thread/"+v.id, message)
	if _, err := h.Run(v.t.Context(), store.Job{ID: fmt.Sprint("moderation-", v.jobs), Body: body}); err != nil {
		v.t.Fatal(err)
	}
}

// follow has the reader see the events of a thread after this one, and runs its jobs.
func (v *village) follow(after uint64) {
	v.t.Helper()
	codec, stream := store.NewCodec(kinds()), gotong.Stream("thread/"+v.id)
	snap, err := v.store.Load(v.t.Context(), store.Need{Events: []store.EventRange{{Stream: stream, From: after, To: math.MaxInt64}}})
	if err != nil {
		v.t.Fatal(err)
	}
	step, err := moderation.Reader(codec).Read(nil, []reader.Commit{{Events: snap.Events[0]}})
	if err != nil {
		v.t.Fatal(err)
	}
	for _, job := range step.Jobs {
		if _, err := moderation.Handler(v.store, codec, v.engine).Run(v.t.Context(), job); err != nil {
			v.t.Fatal(err)
		}
	}
}

// TestTheTextsOfReportsGoWithTheMessage: after a deletion, and after the erasure of a
// message or of its edit, no report on it has a text; the report on another keeps its own. One that is
// filed at that moment loses its text when it is counted.
func TestTheTextsOfReportsGoWithTheMessage(t *testing.T) {
	for name, end := range map[string]func(v *village, boss *person, seq uint64, path string){
		"deleted": func(v *village, _ *person, _ uint64, path string) { v.budi.do("DELETE", path, nil).want(200) },
		"erased": func(v *village, boss *person, seq uint64, _ string) {
			boss.post("/v1/admin/erasures", map[string]any{"stream": "thread/" + v.id, "seqs": []uint64{seq}, "reason": "x"}).want(200)
		},
		"its edit erased": func(v *village, boss *person, seq uint64, _ string) {
			boss.post("/v1/admin/erasures", map[string]any{"stream": "thread/" + v.id, "seqs": []uint64{seq + 1}, "reason": "x"}).want(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVillage(t)
			boss := v.withRole("boss", gotong.RoleAdmin)
			beside, _ := v.content(v.budi, "lain")
			content, message := v.content(v.budi, "KENARI-satu")
			seq := uint64(v.ani.get(v.th + "/messages/" + message).want(200).object()["seq"].(float64))
			v.budi.do("PATCH", v.th+"/messages/"+message, map[string]any{"body": "KENARI-dua", "revision": 0}).want(200)
			reporters := []*person{v.citra, v.dewi}
			for i := 0; name == "deleted" && i < 100; i++ { // more than are read at once
				reporters = append(reporters, &person{id: fmt.Sprint("warga-", i)})
			}
			for _, p := range reporters {
				v.report(p, content, "KENARI-laporan")
			}
			v.report(v.dewi, beside, "tetap")
			end(v, boss, seq, v.th+"/messages/"+message)
			v.follow(seq)
			v.follow(seq) // a job may run twice
			if got := strings.Join(v.texts(content, reporters...), ""); got != "" {
				t.Errorf("reports keep %q", got)
			}
			if got := v.texts(beside, v.dewi); got[0] != "tetap" {
				t.Errorf("the other report has %q", got)
			}
			if name == "its edit erased" {
				return
			}
			v.report(v.ani, content, "KENARI-terlambat")
			v.count(message)
			if got := v.texts(content, v.ani); got[0] != "" {
				t.Errorf("the late report keeps %q", got)
			}
		})
	}
}

// TestAMessageFromBeforeHasNoModeration: the server shows no decision about a message to a
// member who may not see that message, not even to an admin.
func TestAMessageFromBeforeHasNoModeration(t *testing.T) {
	v := newVillage(t)
	v.ani.do("PUT", v.th+"/history", map[string]any{"policy": "from_join"}).want(200)
	v.ani.do("DELETE", v.th+"/members/"+v.dewi.id, nil).want(200)
	content, _ := v.content(v.budi, "KENARI-satu")
	v.ani.post(v.th+"/members", map[string]any{"user_id": v.dewi.id}).want(201)
	v.citra.get("/v1/moderations/" + content).want(200)
	v.dewi.get("/v1/moderations/"+content).problem(404, gotong.CodeNotFound)
	v.ani.post("/v1/moderations", map[string]any{"content_id": content, "moderation_action": "hold_for_review"}).want(201)
	v.ani.post(v.th+"/members/"+v.dewi.id+"/role", map[string]any{"role": "admin"}).want(200)
	for p, waits := range map[*person]bool{v.ani: true, v.dewi: false} {
		if a := string(p.get(v.th + "/reviews").want(200).body); strings.Contains(a, "KENARI") != waits {
			t.Errorf("what waits for %s: %s", p.name, a)
		}
	}
}

// report files a report without the edge, which would not accept one on a message that is gone.
func (v *village) report(p *person, content, text string) {
	v.t.Helper()
	of, id, _ := strings.Cut(content, ":")
	message, err := gotong.ParseEventID(id)
	if err != nil {
		v.t.Fatal(err)
	}
	row, _, err := store.FindEvent(v.t.Context(), v.store, gotong.Stream("thread/"+of), message, math.MaxInt64)
	if err != nil {
		v.t.Fatal(err)
	}
	data := report.File{
		Filed:   report.Filed{Thread: row.Stream, Home: row.Stream, MessageID: message, Seq: row.Seq, Reason: "spam"},
		Details: report.Details{Text: text},
	}
	if _, err := v.engine.Execute(v.t.Context(), gotong.Command{
		Stream: report.StreamOf(p.id, row.Stream, message), Type: report.CmdFile, Actor: gotong.Actor{UserID: p.id, Role: gotong.RoleUser},
		RequestID: "report-" + text, Data: data,
	}); err != nil {
		v.t.Fatal(err)
	}
}

// texts is what the reports of these users on a message have as their text.
func (v *village) texts(content string, by ...*person) (list []string) {
	v.t.Helper()
	of, id, _ := strings.Cut(content, ":")
	message, _ := gotong.ParseEventID(id)
	for _, p := range by {
		s := report.StreamOf(p.id, gotong.Stream("thread/"+of), message)
		snap, err := v.store.Load(v.t.Context(), store.Need{Events: []store.EventRange{{Stream: s, To: 1}}})
		if err != nil || len(snap.Events[0]) == 0 {
			v.t.Fatalf("%s has no report: %v", p.name, err)
		}
		e, err := store.NewCodec(kinds()).Event(&snap.Events[0][0])
		if err != nil {
			v.t.Fatal(err)
		}
		details, _ := e.Content.(report.Details)
		list = append(list, details.Text)
	}
	return list
}

// everything is what somebody gets by every route about the thread and its messages.
func (v *village) everything(p *person, messages ...string) (all string, codes []int) {
	v.t.Helper()
	paths := []string{
		v.th, v.th + "/messages", v.th + "/messages/poll", v.th + "/timeline?limit=100", v.th + "/members", v.th + "/reviews", v.th + "/read-cursor",
		"/v1/chat/unread", "/v1/chat/threads", "/v1/chat/threads?scope_id=rt05", "/v1/moderations/review-queue",
	}
	for _, m := range messages {
		paths = append(paths, v.th+"/messages/"+m, "/v1/moderations/"+v.id+":"+m)
	}
	for _, to := range paths {
		a := p.get(to)
		all, codes = all+"\n"+to+": "+string(a.body), append(codes, a.code)
	}
	return all, codes
}

func (v *village) hides(p *person, canaries []string, messages ...string) {
	v.t.Helper()
	all, _ := v.everything(p, messages...)
	for _, canary := range canaries {
		if at := strings.Index(all, canary); at >= 0 {
			v.t.Errorf("%s gets %s: …%s", p.name, canary, all[max(0, at-200):at+len(canary)])
		}
	}
}

// TestAReportOpensExactlyItsMessages: a platform moderator who is not a member reads the
// reported message with its revisions and the chosen context, by one route, and each
// look is recorded. Neither the reporter nor the text of the report reaches a member.
func TestAReportOpensExactlyItsMessages(t *testing.T) {
	v := newVillage(t)
	_, other := v.content(v.dewi, "KENARI-lain")
	beside, context := v.content(v.budi, "KENARI-konteks")
	content, message := v.content(v.budi, "KENARI-satu")
	v.budi.do("PATCH", v.th+"/messages/"+message, map[string]any{"body": "KENARI-dua", "revision": 0}).want(200)
	_, later := v.content(v.dewi, "KENARI-kemudian")
	all := []string{other, context, message, later}

	block := map[string]any{"content_id": content, "moderation_action": "block", "reason_code": "kasar", "reasoning": "KENARI-alasan"}
	closed := func() {
		t.Helper()
		v.mod.get("/v1/moderations/"+content).problem(404, gotong.CodeNotFound)
		v.mod.post("/v1/moderations/"+content+"/open", nil).problem(404, gotong.CodeNotFound)
		v.mod.post("/v1/moderations", block).problem(404, gotong.CodeNotFound)
	}
	closed()
	filed := map[string]any{"content_id": content, "reason": "harassment", "text": "KENARI-laporan", "context": []string{context}}
	v.mod.post("/v1/reports", filed).problem(404, gotong.CodeNotFound)
	v.budi.post("/v1/reports", filed).problem(409, gotong.CodeConflict) // budi wrote the message
	first := v.citra.post("/v1/reports", filed).want(201)
	filed["text"], filed["reason"] = "again", "spam"
	if again := v.citra.post("/v1/reports", filed).want(201); again.num("reported_at_ms") != first.num("reported_at_ms") || first.str("noop") != "" ||
		again.str("noop") != "already_reported" || again.str("reason") != "harassment" {
		t.Errorf("a second report: %s", again.body)
	}
	closed() // until the report is counted
	v.count(message)

	if queue := v.mod.get("/v1/moderations/review-queue").want(200).list(); len(queue) != 1 || queue[0]["content_id"] != content || queue[0]["report_count"] != 1.0 {
		t.Errorf("the queue is %v", queue)
	}
	opened := v.mod.post("/v1/moderations/"+content+"/open", nil, key("look-1")).want(200)
	for _, canary := range []string{"KENARI-satu", "KENARI-dua", "KENARI-konteks", "KENARI-laporan"} {
		if !strings.Contains(string(opened.body), canary) {
			t.Errorf("a report does not open %s: %s", canary, opened.body)
		}
	}
	for _, canary := range []string{"KENARI-lain", "KENARI-kemudian", v.citra.id, "again"} {
		if strings.Contains(string(opened.body), canary) {
			t.Errorf("a report opens %s: %s", canary, opened.body)
		}
	}
	if again := v.mod.post("/v1/moderations/"+content+"/open", nil, key("look-1")).want(200); strings.Contains(string(again.body), "KENARI") {
		t.Errorf("a look without an event: %s", again.body)
	}
	v.mod.post("/v1/moderations/"+beside+"/open", nil).problem(404, gotong.CodeNotFound)
	v.budi.do("PATCH", v.th+"/messages/"+context, map[string]any{"body": "KENARI-baru", "revision": 0}).want(200)
	if a := string(v.mod.post("/v1/moderations/"+content+"/open", nil).want(200).body); strings.Contains(a, "KENARI-konteks") || !strings.Contains(a, "KENARI-baru") {
		t.Errorf("of a message opened with another, not the newest text alone: %s", a)
	}
	v.budi.do("DELETE", v.th+"/messages/"+context, nil).want(200)
	if a := string(v.mod.post("/v1/moderations/"+content+"/open", nil).want(200).body); strings.Contains(a, "KENARI-konteks") || strings.Contains(a, "KENARI-baru") {
		t.Errorf("of a deleted message opened with another, a text: %s", a)
	}
	v.hides(v.mod, []string{"KENARI", v.citra.id, "rt05\""}, all...)
	v.hides(v.budi, []string{"KENARI-laporan", "report_count", v.mod.id}, all...)
	v.hides(v.dewi, []string{"KENARI-laporan", "report_count", v.mod.id}, all...)
	if looks := string(v.ani.get("/v1/moderations/" + content).want(200).body); !strings.Contains(looks, v.mod.id) || strings.Contains(looks, v.citra.id) {
		t.Errorf("the owner gets %s", looks)
	}

	decided := v.mod.post("/v1/moderations", block).want(201)
	if decided.str("variant") != "Moderator" || decided.str("moderation_status") != "rejected" {
		t.Errorf("%s", decided.body)
	}
	v.hides(v.dewi, []string{"KENARI-dua", "KENARI-alasan", v.mod.id}, all...)
	v.hides(v.budi, []string{"KENARI-alasan", v.mod.id, "decided_by"}, all...)
	if own := v.budi.get(v.th + "/messages/" + message).want(200); own.str("body") != "KENARI-dua" || own.object()["rejected"] != true {
		t.Errorf("the author gets %s", own.body)
	}
	if mine := v.budi.get("/v1/moderations/" + content).want(200); mine.str("variant") != "Author" || mine.str("reason_code") != "kasar" {
		t.Errorf("the author gets %s", mine.body)
	}
	v.budi.post("/v1/moderations/"+content+"/appeal", map[string]any{"reason": "KENARI-banding"}).want(200)
	v.hides(v.dewi, []string{"KENARI-banding"}, all...)
	v.ani.post("/v1/moderations", map[string]any{"content_id": content, "moderation_action": "publish_with_warning", "reason_code": "kasar"}).want(201)
	if shown := v.dewi.get(v.th + "/messages/" + message).want(200); shown.str("body") != "KENARI-dua" || shown.str("warning") != "kasar" {
		t.Errorf("%s", shown.body)
	}
	closed()
}

// TestAModeratorWhoLeftGetsNothingAboutTheirOwnMessage: neither who reviews it nor
// that it was reported.
func TestAModeratorWhoLeftGetsNothingAboutTheirOwnMessage(t *testing.T) {
	v := newVillage(t)
	v.ani.post(v.th+"/members", map[string]any{"user_id": v.mod.id}).want(201)
	content, message := v.content(v.mod, "Halo")
	v.mod.post(v.th+"/leave", nil).want(200)
	v.citra.post("/v1/reports", map[string]any{"content_id": content, "reason": "spam"}).want(201)
	v.count(message)
	v.mod.get("/v1/moderations/"+content).problem(404, gotong.CodeNotFound)
	if queue := v.mod.get("/v1/moderations/review-queue").want(200).list(); len(queue) != 0 {
		t.Errorf("the queue is %v", queue)
	}
}

// TestWhatChangesNothingSaysSo: a decision that was taken before, and the end of a hold
// that must not end.
func TestWhatChangesNothingSaysSo(t *testing.T) {
	v := newVillage(t)
	boss := v.withRole("boss", gotong.RoleAdmin)
	v.ani.post(v.th+"/members", map[string]any{"user_id": boss.id, "role": "member"}).want(201)
	content, _ := v.content(v.budi, "Halo")
	decide := func(action, code, noop string) {
		t.Helper()
		a := v.ani.post("/v1/moderations", map[string]any{"content_id": content, "moderation_action": action, "reason_code": code}).want(201)
		if a.str("noop") != noop || a.str("reason_code") != code {
			t.Errorf("%s for %s: %s", action, code, a.body)
		}
		if tag := v.ani.get("/v1/moderations/" + content).want(200).header.Get("ETag"); tag != a.header.Get("ETag") {
			t.Errorf("the tag is %s, then %s", a.header.Get("ETag"), tag)
		}
	}
	end := func(noop string) {
		t.Helper()
		if a := boss.post("/v1/moderations/"+content+"/end-hold", nil).want(200); a.str("noop") != noop {
			t.Errorf("want %s: %s", noop, a.body)
		}
	}
	decide("publish_now", "", "already_published")
	decide("block", "spam", "")
	end("auto_release_not_applicable")
	decide("block", "spam", "already_rejected")
	decide("block", "kasar", "")
	decide("publish_now", "kasar", "")
	decide("publish_now", "kasar", "already_published")
	decide("publish_with_warning", "kasar", "")
	decide("publish_with_warning", "kasar", "already_published")
	decide("hold_for_review", "kasar", "")
	decide("hold_for_review", "kasar", "") // a longer one
	end("auto_release_disabled")
	v.ani.post("/v1/moderations/"+content+"/end-hold", nil).problem(404, gotong.CodeNotFound)
	v.ani.post("/v1/moderations", map[string]any{
		"content_id": content, "moderation_action": "hold_for_review", "auto_release_if_no_action": true, "hold_duration_minutes": 5,
	}).want(201)
	boss.post("/v1/moderations/"+content+"/end-hold", nil).problem(409, gotong.CodeConflict)
	v.clock.Pass(5 * time.Minute)
	end("")
	if got := v.budi.get("/v1/moderations/" + content).want(200); got.str("moderation_status") != "published" || got.str("reason_code") != "auto_release" {
		t.Errorf("%s", got.body)
	}
}

// TestHeldMessagesDoNotCount: for others than the author, a message does not count as
// unread while it is held, and counts again afterwards.
func TestHeldMessagesDoNotCount(t *testing.T) {
	v := newVillage(t)
	unread := func(want float64) {
		t.Helper()
		if got := v.dewi.get(v.th).want(200).object()["unread"]; got != want {
			t.Errorf("%v unread, want %v", got, want)
		}
	}
	content, _ := v.content(v.budi, "satu")
	v.content(v.budi, "dua")
	unread(2)
	decide := func(action string) {
		v.ani.post("/v1/moderations", map[string]any{"content_id": content, "moderation_action": action}).want(201)
	}
	for action, want := range map[string]float64{"hold_for_review": 1, "block": 1} {
		decide(action)
		unread(want)
		decide("publish_now")
		unread(2)
	}
}

// TestTheQueueIsPaged: pages hold what the caller may decide about, oldest first.
func TestTheQueueIsPaged(t *testing.T) {
	v := newVillage(t)
	var want []string
	for i := range 5 {
		content, _ := v.content(v.budi, fmt.Sprint("pesan ", i))
		v.ani.post("/v1/moderations", map[string]any{"content_id": content, "moderation_action": "hold_for_review"}).want(201)
		want = append(want, content)
	}
	for p, want := range map[*person][]string{v.ani: want, v.mod: want, v.dewi: nil, v.budi: nil} {
		var got []string
		for cursor := ""; ; {
			a := p.get("/v1/moderations/review-queue?limit=2" + cursor).want(200)
			for _, item := range a.list() {
				got = append(got, fmt.Sprint(item["content_id"]))
			}
			if cursor = "&cursor=" + a.header.Get("X-Next-Cursor"); a.header.Get("X-Has-More") != "true" {
				break
			}
		}
		if b, _ := json.Marshal(got); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s gets %s, want %v", p.name, b, want)
		}
	}
	v.ani.get("/v1/moderations/review-queue?cursor=x").problem(400, gotong.CodeCursorInvalid)
	for _, id := range []string{"x", "x:y", v.id, v.id + ":00000000-0000-7000-8000-000000000000"} {
		v.ani.get("/v1/moderations/"+id).problem(404, gotong.CodeNotFound)
		v.ani.post("/v1/moderations", map[string]any{"content_id": id, "moderation_action": "block"}).want(404)
		v.dewi.post("/v1/reports", map[string]any{"content_id": id, "reason": "spam"}).problem(404, gotong.CodeNotFound)
	}
}

// TestSlowModeSaysHowLong is the Retry-After of a message that comes too soon.
func TestSlowModeSaysHowLong(t *testing.T) {
	v := newVillage(t)
	v.ani.do("PATCH", v.th, map[string]any{"slow_mode_s": 600}).want(200)
	v.content(v.budi, "satu")
	if a := v.budi.post(v.th+"/messages/send", map[string]any{"body": "dua"}).problem(429, gotong.CodeRateLimited); len(a.header.Get("Retry-After")) != 3 {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	v.content(v.ani, "pemilik")
}
