package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/edgepod"
)

// model is a server of the OpenAI chat API that records what it is asked. It
// proposes to review messages with the word "buruk".
type model struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func startModel(t *testing.T) *model {
	t.Helper()
	m := &model{}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		m.mu.Lock()
		m.asked = append(m.asked, string(body))
		m.mu.Unlock()
		output := `{"status":"ok","action":"publish","hold_duration_minutes":0}`
		if strings.Contains(string(body), "buruk") {
			output = `{"status":"hold","action":"review","hold_duration_minutes":15,"auto_release_if_no_action":true,"reasoning":"rude","violations":["harassment"]}`
		}
		quoted, _ := json.Marshal(output)
		_, _ = fmt.Fprintf(w, `{"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":%s}}]}`, quoted)
	}))
	t.Cleanup(m.Close)
	return m
}

// got reports whether the model was asked about a text.
func (m *model) got(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Contains(strings.Join(m.asked, "\n"), text)
}

type reviewList struct {
	Items []struct {
		MessageID string `json:"message_id"`
		Body      string `json:"body"`
		Held      bool   `json:"held"`
		Advice    *struct {
			Action    string `json:"action"`
			Reasoning string `json:"reasoning"`
		} `json:"advice"`
	} `json:"items"`
	Missed int `json:"review_missed"`
}

type message struct {
	MessageID string `json:"message_id"`
	Body      string `json:"body"`
	Held      bool   `json:"held"`
}

func (w *town) say(path, body string) (m message) {
	w.t.Helper()
	w.call(0, w.ann.AccessToken, http.MethodPost, path+"/messages/send", map[string]any{"body": body}, &m)
	return m
}

func (w *town) reviews(path string) (list reviewList) {
	w.t.Helper()
	w.call(0, w.ann.AccessToken, http.MethodGet, path+"/reviews", nil, &list)
	return list
}

// ep04 asks for moderation over REST and returns why the answer is the fallback.
func (w *town) ep04(id, stream, text, privacy string) string {
	w.t.Helper()
	path := "/v1/edge-pod/ai/04/moderation"
	if stream != "" {
		path += "?stream=" + stream
	}
	body, err := json.Marshal(map[string]any{
		"request_id": id, "correlation_id": id, "trigger": "user_action", "payload_version": edgepod.PayloadVersion, "privacy_level": privacy,
		"actor":      map[string]string{"user_id": w.ann.UserID, "platform_user_id": "x", "role": "system"},
		"content_id": "draft", "text": text,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.nodes[0].URL()+path, strings.NewReader(string(body)))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", id)
	req.Header.Set("Authorization", "Bearer "+w.ann.AccessToken)
	resp, err := web.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var a edgepod.Answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatal(resp.StatusCode, err)
	}
	if a.ActorContext == nil {
		return ""
	}
	return a.ActorContext.Reason
}

// TestCanaries: texts of few people reach no model before an admin of the group
// switches that on, whichever way they come; and advice proposes, or holds if the
// policy says so.
func TestCanaries(t *testing.T) {
	m := startModel(t)
	w := startTown(t, 1, "", func(c *config.Config) { c.EdgePod, c.EdgePodURL, c.EdgePodModel = "openai", m.URL+"/v1", "tiny" })

	open := w.say(w.path, "kata buruk KANARI-OPEN")
	w.until("the advice on a public message", func() bool { return len(w.reviews(w.path).Items) == 1 })
	item := w.reviews(w.path).Items[0]
	if item.MessageID != open.MessageID || item.Held || item.Advice == nil || item.Advice.Reasoning != "rude" || !m.got("KANARI-OPEN") {
		t.Errorf("%+v", item)
	}
	var shown message
	w.call(0, w.bob.AccessToken, http.MethodGet, w.path+"/messages/"+open.MessageID, nil, &shown)
	if shown.Body == "" || shown.Held {
		t.Errorf("a proposal hides the message: %+v", shown)
	}
	if status, _ := w.ask(0, w.bob.AccessToken, http.MethodGet, w.path+"/reviews", nil); status != http.StatusForbidden {
		t.Errorf("a member gets the reviews: %d", status)
	}

	var group struct {
		ID string `json:"group_id"`
	}
	w.call(0, w.ann.AccessToken, http.MethodPost, "/v1/groups", map[string]any{
		"name": "RT 05", "entity_type": "kelompok", "join_policy": "terbuka",
	}, &group)
	private := func(scope string) (path, stream string) {
		var th struct {
			ID string `json:"thread_id"`
		}
		w.call(0, w.ann.AccessToken, http.MethodPost, "/v1/chat/threads", map[string]any{"scope_id": scope, "privacy_level": "private"}, &th)
		return "/v1/chat/threads/" + th.ID, "thread/" + th.ID
	}
	path, stream := private(group.ID)
	alone, aloneStream := private("rt05")
	few := w.say(path, "kata buruk KANARI-L2")
	w.say(alone, "kata buruk KANARI-L2")
	for i, c := range []struct{ stream, text, privacy string }{
		{stream, "KANARI-L2", "open"}, {aloneStream, "KANARI-L2", "open"}, {"", "KANARI-L2", "open"},
		{string(w.topic), "KANARI-VAULT", "vault"}, {string(w.topic), "KANARI-L2", "l2"},
	} {
		if got := w.ep04(fmt.Sprintf("req_before%03d", i), c.stream, c.text, c.privacy); got != "POLICY_BLOCK" {
			t.Errorf("%+v: %q", c, got)
		}
	}
	w.until("the fallback for the private messages", func() bool { return w.reviews(path).Missed == 1 && w.reviews(alone).Missed == 1 })
	w.call(0, w.ann.AccessToken, http.MethodPatch, path+"/messages/"+few.MessageID, map[string]any{"body": "buruk KANARI-L2 lagi", "revision": 0}, nil)
	w.until("the fallback for the edit", func() bool { return w.reviews(path).Missed == 2 })
	if m.got("KANARI-L2") || m.got("KANARI-VAULT") {
		t.Error("a canary reached the model")
	}

	w.call(0, w.ann.AccessToken, http.MethodPatch, "/v1/groups/"+group.ID, map[string]any{
		"policy": map[string]any{"edge_pod_outside": true, "auto_hold": true, "newcomer_hours": 0},
	}, nil)
	w.call(0, w.ann.AccessToken, http.MethodPost, path+"/members", map[string]any{"user_id": w.bob.UserID}, nil)
	on := w.say(path, "kata buruk KANARI-ON")
	held := func() bool {
		shown = message{}
		w.call(0, w.bob.AccessToken, http.MethodGet, path+"/messages/"+on.MessageID, nil, &shown)
		return shown.Held
	}
	w.until("the hold", held)
	if list := w.reviews(path); shown.Body != "" || !m.got("KANARI-ON") || len(list.Items) != 1 || list.Items[0].Body != "kata buruk KANARI-ON" {
		t.Errorf("%+v, %+v", shown, list)
	}
	var own message
	if w.call(0, w.ann.AccessToken, http.MethodGet, path+"/messages/"+on.MessageID, nil, &own); !own.Held || own.Body != "kata buruk KANARI-ON" {
		t.Errorf("the author gets %+v", own)
	}
	w.call(0, w.ann.AccessToken, http.MethodPost, "/v1/moderations", map[string]any{
		"content_id": strings.TrimPrefix(path, "/v1/chat/threads/") + ":" + on.MessageID, "moderation_action": "publish_now",
	}, nil)
	if held() || shown.Body == "" || len(w.reviews(path).Items) != 0 {
		t.Errorf("not released: %+v", shown)
	}
	for i, c := range []struct{ stream, privacy, want string }{
		{stream, "open", ""}, {stream, "vault", "POLICY_BLOCK"}, {aloneStream, "open", "POLICY_BLOCK"}, {"", "open", "POLICY_BLOCK"},
	} {
		if got := w.ep04(fmt.Sprintf("req_after0%03d", i), c.stream, "halo", c.privacy); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestASilentModelDelaysNoPost: it never answers, and posts are answered and shown.
func TestASilentModelDelaysNoPost(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(silent.Close)
	answer := sync.OnceFunc(func() { close(release) })
	t.Cleanup(answer)
	w := startTown(t, 1, "", func(c *config.Config) { c.EdgePod, c.EdgePodURL = "http", silent.URL })
	t.Cleanup(answer) // before the node stops, which waits for its jobs as long as it may
	for i := range 20 {
		m := w.say(w.path, fmt.Sprint("kata buruk ", i))
		var shown message
		w.call(0, w.bob.AccessToken, http.MethodGet, w.path+"/messages/"+m.MessageID, nil, &shown)
		if shown.Body == "" || shown.Held {
			t.Errorf("%+v", shown)
		}
	}
}

// TestNoProviderAsksNothing: without one, nothing is queued, not even for later.
func TestNoProviderAsksNothing(t *testing.T) {
	w := startTown(t, 1, "")
	w.say(w.path, "dasar kamu goblok")
	w.until("the readers to be at the end", func() bool {
		_, metrics := w.ask(0, "admin", http.MethodGet, "/metrics", nil)
		lag := 0
		for line := range strings.Lines(string(metrics)) {
			if strings.HasPrefix(line, "gotong_reader_lag{") && !strings.HasSuffix(strings.TrimSpace(line), " 0") {
				lag++
			}
		}
		return lag == 0 && strings.Contains(string(metrics), `gotong_reader_lag{partition="0",reader="advice"}`)
	})
	_, metrics := w.ask(0, "admin", http.MethodGet, "/metrics", nil)
	if strings.Contains(string(metrics), `queue="advice"`) && strings.Contains(string(metrics), `gotong_jobs_total{outcome="done",queue="advice"}`) {
		t.Error("a job was made")
	}
	if list := w.reviews(w.path); list.Missed != 0 || len(list.Items) != 0 {
		t.Errorf("%+v", list)
	}
}
