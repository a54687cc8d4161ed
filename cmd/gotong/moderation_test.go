package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestModeration: what each command asks for, what it prints for people and as JSON,
// and the exit codes.
func TestModeration(t *testing.T) {
	view := func(more string) string {
		return `{"variant":"Moderator","content_id":"t-1:m-1","moderation_status":"under_review","moderation_action":"hold_for_review","decided_at_ms":1795417200000` + more + `}`
	}
	waits := view(`,"held_by":"reports","auto_release_if_no_action":true,"hold_expires_at_ms":1795420800000,"waits_since_ms":1795417200000,"report_count":5,"flagged":true`)
	decisions := `"decisions":[{"seq":7,"decided_at_ms":1795417200000,"revision":1,"moderation_status":"rejected","held_by":"moderator",` +
		`"reason_code":"spam","warning_label":"w","decided_by":"ani","confidence":0.5,"grounds":{"reasoning":"r","violations":[` +
		`{"category":"spam","severity":"low","snippet":"s","reason":"t"}]},"appeal":"a"}],"looks":[{"user_id":"ani","at_ms":1}]`
	answers := map[string]string{
		"GET /version": "{}",

		"POST /v1/moderations/t-1:m-1/end-hold":  view(`,"noop":"auto_release_disabled"`),
		"POST /v1/moderations/t-2:m-2/end-hold":  `{"stream":"thread/t-2","seq":[9,9],"event_ids":["019af000-0000-7000-8000-000000000001"],"at":"2026-11-29T01:02:03Z","replayed":false}`,
		"GET /v1/moderations/t-1:m-1":            view("," + decisions),
		"GET /v1/moderations/review-queue?c":     "[" + waits + "]",
		"GET /v1/moderations/review-queue?":      "[]",
		"POST /v1/moderations":                   view(``),
		"POST /v1/moderations/t-1:m-1/open":      `{"content":` + waits + `,"messages":[{"message_id":"019af000-0000-7000-8000-000000000001","author_id":"budi","revisions":[{"revision":0,"body":"kasar\u001b[31m","at_ms":1795417200000}]}],"reports":[{"reason":"spam","text":"iklan","at_ms":1795417200000}]}`,
		"POST /v1/moderations/gone:m-1/end-hold": "",
	}
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := r.Method + " " + r.URL.Path
		if strings.HasSuffix(to, "review-queue") {
			to += "?" + r.URL.Query().Get("cursor")
			if r.URL.Query().Get("cursor") == "" { // a page may be empty although there are more
				w.Header().Set("X-Has-More", "true")
				w.Header().Set("X-Next-Cursor", "c")
			}
		}
		sent, _ := io.ReadAll(r.Body)
		body = string(sent)
		if answers[to] == "" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"status":404,"code":"not_found","detail":"Not found."}`))
			return
		}
		_, _ = fmt.Fprint(w, answers[to])
	}))
	t.Cleanup(server.Close)
	const line = "2026-11-23 07:00  t-1:m-1  under_review"
	for _, c := range []struct {
		args, sent, out, errs string
		code                  int
	}{
		{args: "queue", out: line + "  held by reports  until 2026-11-23 08:00  reports: 5  flagged\n"},
		{args: "open t-1:m-1", out: line + "  held by reports  until 2026-11-23 08:00  reports: 5  flagged\n" +
			"2026-11-23 07:00  budi  revision 0  kasar�[31m\n2026-11-23 07:00  report  spam  iklan\n"},
		{args: "end-hold t-1:m-1", out: line + "  nothing changed: auto_release_disabled\n"},
		{args: "end-hold t-2:m-2", out: "t-2:m-2  done; you can no longer review it\n"},
		{args: "end-hold gone:m-1", code: 1, errs: "Not found."},
		{args: "release t-1:m-1 --reasoning=x", out: line + "\n", sent: `{"content_id":"t-1:m-1","moderation_action":"publish_now","reasoning":"x"}`},
		{args: "decide t-1:m-1 hold --minutes=120 --auto --reason=spam --revision=0", out: line + "\n",
			sent: `{"content_id":"t-1:m-1","revision":0,"moderation_action":"hold_for_review","reason_code":"spam","hold_duration_minutes":120,"auto_release_if_no_action":true}`},
		{args: "decide t-1:m-1 reject --minutes=9", code: 2, errs: "are for hold"},
	} {
		body = ""
		std, out, errs := pipes(nil)
		args := append([]string{"moderation"}, strings.Fields(c.args)...)
		code := run(t.Context(), append(args, "--url="+server.URL, "--token=x", "--zone=UTC"), std)
		if code != c.code || out.String() != c.out || !strings.Contains(errs.String(), c.errs) || c.sent != "" && body != c.sent {
			t.Errorf("%s: exits with %d\n%q\n%s\nsent %s", c.args, code, out, errs, body)
		}
	}
	for name, has := range map[string]string{"open": `"reason":"spam"`, "show": decisions} {
		std, out, _ := pipes(nil)
		code := run(t.Context(), []string{"moderation", name, "t-1:m-1", "--url=" + server.URL, "--token=x", "--json"}, std)
		if code != 0 || strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), has) {
			t.Errorf("%s: %d %s", name, code, out)
		}
	}
}
