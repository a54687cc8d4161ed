package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/edgepod"
)

func TestContractsAreServed(t *testing.T) {
	ani := newWorld(t).signUp("ani")
	list := ani.do("GET", "/v1/edge-pod/contracts", nil).want(200).list()
	if len(list) != len(edgepod.Contracts) {
		t.Fatalf("got %d contracts", len(list))
	}
	for i, c := range list {
		request, _ := c["request"].(map[string]any)
		response, _ := c["response"].(map[string]any)
		if c["id"] != edgepod.Contracts[i].ID || request["additionalProperties"] != false || response["additionalProperties"] != false {
			t.Errorf("contract %d: %v", i, c["id"])
		}
	}
}

// pod answers by the rules, or with an output of the test, and keeps the newest
// request.
type pod struct {
	edgepod.Rules
	output string
	asked  struct {
		Actor struct {
			Role string `json:"role"`
		} `json:"actor"`
	}
}

func (p *pod) Ask(ctx context.Context, c *edgepod.Contract, request []byte) ([]byte, error) {
	if err := json.Unmarshal(request, &p.asked); err != nil || p.output == "" {
		return p.Rules.Ask(ctx, c, request)
	}
	var q struct {
		ID string `json:"request_id"`
	}
	_ = json.Unmarshal(request, &q)
	return fmt.Appendf(nil, `{"request_id":%q,"result_version":"v0.2.0","output":%s}`, q.ID, p.output), nil
}

// podRequest is a valid request of a contract, by a person.
func (p *person) podRequest(id string, more map[string]any) map[string]any {
	body := map[string]any{
		"request_id": id, "correlation_id": "corr-1", "trigger": "user_action", "payload_version": edgepod.PayloadVersion,
		"actor": map[string]any{"user_id": p.id, "platform_user_id": p.id, "role": "admin"},
	}
	maps.Copy(body, more)
	return body
}

func (p *person) askPod(path, id string, more map[string]any) *answer {
	p.w.t.Helper()
	return p.do("POST", "/v1/edge-pod/ai/"+path, p.podRequest(id, more), key(id))
}

func TestAskEdgePod(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	moderation := map[string]any{"content_id": "m1", "text": "dasar kamu goblok!"}
	first := ani.askPod("04/moderation", "req_00000001", moderation).want(200)
	if output, _ := first.object()["output"].(map[string]any); output["action"] != "review" {
		t.Errorf("got %v", first.object())
	}
	again := ani.askPod("04/moderation", "req_00000001", moderation).want(200)
	if again.header.Get("Idempotency-Replayed") != "true" {
		t.Error("the second answer is not that of the first")
	}
	budi.askPod("04/moderation", "req_00000001", moderation).want(200)
	moderation["text"] = "halo"
	ani.askPod("04/moderation", "req_00000001", moderation).problem(422, gotong.CodeReused)
	ani.do("POST", "/v1/edge-pod/ai/04/moderation", ani.podRequest("req_00000002", moderation), key("req_00000003")).
		problem(422, gotong.CodeInvalid)
	ani.do("POST", "/v1/edge-pod/ai/04/moderation", budi.podRequest("req_00000004", moderation), key("req_00000004")).
		problem(403, gotong.CodeForbidden)
	ani.askPod("04/triage", "req_00000005", moderation).problem(404, gotong.CodeNotFound)
	invalid := ani.askPod("04/moderation", "req_00000006", map[string]any{"content_id": "m1", "text": "", "extra": 1}).
		problem(422, gotong.CodeInvalid)
	for _, field := range []string{"/text", "/extra"} {
		if !strings.Contains(string(invalid.body), field) {
			t.Errorf("%s is not named in %s", field, invalid.body)
		}
	}
	credit := map[string]any{"user_id": budi.id, "timeline_events": []any{}, "skill_profile": []any{}}
	ani.askPod("09/credit-recommendation", "req_00000007", credit).problem(403, gotong.CodeForbidden)
}

// TestEdgePodDrawsFromWhatTheCallerSees: EP-03 and EP-07 read the stream as the
// caller.
func TestEdgePodDrawsFromWhatTheCallerSees(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	th := ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "private", "history": "from_join"}).
		want(201).header.Get("Location")
	stream := "thread/" + path.Base(th)
	const old = "rapat warga di balai desa hari sabtu malam membahas iuran"
	ani.say(th, old).want(201)
	ani.post(th+"/members", map[string]any{"user_id": budi.id}).want(201)
	seed := map[string]any{"seed_text": old, "query_options": map[string]any{ // candidates of the caller are not compared with
		"candidates": []any{map[string]any{"seed_id": "of-the-caller", "text": old}},
	}}
	matches := func(p *person, id string) int {
		t.Helper()
		output, _ := p.askPod("03/duplicate-detection?stream="+stream, id, seed).want(200).object()["output"].(map[string]any)
		list, _ := output["matches"].([]any)
		return len(list)
	}
	if got := matches(ani, "req_00000001"); got != 1 {
		t.Errorf("ani finds %d duplicates of her own message", got)
	}
	if got := matches(budi, "req_00000001"); got != 0 {
		t.Errorf("budi, who joined later, finds %d", got)
	}
	citra.askPod("03/duplicate-detection?stream="+stream, "req_00000001", seed).problem(404, gotong.CodeNotFound)
	for i := range 6 {
		ani.say(th, fmt.Sprintf("kerja bakti ke-%d harus membawa cangkul dan sapu", i)).want(201)
	}
	window := map[string]any{
		"input_texts": []any{"kerja bakti harus membawa canary"}, "messages": []any{},
		"window_start": "2000-01-01T00:00:00Z", "window_end": "2100-01-01T00:00:00Z",
	}
	summary := budi.askPod("07/summary?stream="+stream, "req_00000002", window).want(200)
	if s := string(summary.body); strings.Contains(s, "rapat warga") || !strings.Contains(s, "kerja bakti") || strings.Contains(s, "canary") {
		t.Errorf("got %s", s)
	}
}

// TestEdgePodKeepsNothingOfStreams: a repeated request, with or without its stream,
// gets nothing of texts that its caller may no longer see.
func TestEdgePodKeepsNothingOfStreams(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "private"}).want(201).header.Get("Location")
	ani.post(th+"/members", map[string]any{"user_id": budi.id}).want(201)
	for i := range 6 {
		ani.say(th, fmt.Sprintf("kerja bakti ke-%d harus membawa cangkul dan sapu", i)).want(201)
	}
	window := map[string]any{
		"input_texts": []any{}, "messages": []any{}, "window_start": "2000-01-01T00:00:00Z", "window_end": "2100-01-01T00:00:00Z",
	}
	of := "?stream=thread/" + path.Base(th)
	if first := budi.askPod("07/summary"+of, "req_00000001", window).want(200); !strings.Contains(string(first.body), "kerja bakti") {
		t.Fatalf("got %s", first.body)
	}
	ani.do("DELETE", th+"/members/"+budi.id, nil, key("remove-budi")).want(200)
	budi.askPod("07/summary"+of, "req_00000001", window).problem(404, gotong.CodeNotFound)
	if again := budi.askPod("07/summary", "req_00000001", window); strings.Contains(string(again.body), "kerja bakti") {
		t.Errorf("after the removal: %s", again.body)
	}
}

// TestEdgePodRoles: the provider gets the role of the token, whatever the body says;
// and only moderators get the flags of EP-05.
func TestEdgePodRoles(t *testing.T) {
	w := newWorld(t)
	ani, mod, boss := w.signUp("ani"), w.withRole("mod", gotong.RoleModerator), w.withRole("boss", gotong.RoleAdmin)
	const flags = `[{"user_id":"u1","metric":"vouch_rate","flag":true,"reason_code":"burst","severity":"high"}]`
	w.pod.output = `{"flags":` + flags + `,"summary":{"total_flags":1,"critical_count":1},"recommendation":"slow_mode"}`
	for _, c := range []struct {
		who                                 *person
		claims, role, flags, recommendation string
	}{
		{ani, "admin", "member", "[]", "none"}, {ani, "moderator", "member", "[]", "none"}, {ani, "member", "member", "[]", "none"},
		{mod, "member", "moderator", flags, "slow_mode"}, {mod, "admin", "moderator", flags, "slow_mode"},
		{boss, "member", "admin", flags, "slow_mode"},
	} {
		id := "req_as_" + c.role + "_" + c.claims
		got := c.who.askPod("05/gaming-risk", id, map[string]any{
			"query_users": []string{"u1"}, "lookback_hours": 24, "platform": "gotong_royong",
			"actor": map[string]string{"user_id": c.who.id, "platform_user_id": c.who.id, "role": c.claims},
		}).want(200)
		var body struct {
			Output struct {
				Flags          json.RawMessage `json:"flags"`
				Summary        map[string]int  `json:"summary"`
				Recommendation string          `json:"recommendation"`
			} `json:"output"`
		}
		if err := json.Unmarshal(got.body, &body); err != nil {
			t.Fatal(err)
		}
		if out := body.Output; w.pod.asked.Actor.Role != c.role || string(out.Flags) != c.flags || out.Recommendation != c.recommendation ||
			out.Summary["total_flags"] != 1 {
			t.Errorf("%s: the provider got the role %q, the caller %s", id, w.pod.asked.Actor.Role, got.body)
		}
	}
}
