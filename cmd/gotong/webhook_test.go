package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	hooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gotong.dev/gotong/client"
)

// web makes the requests for which there is no command.
var web = &http.Client{Timeout: patience}

// village is a server with a group of wati, who is signed in.
type village struct {
	t      *testing.T
	url    string
	token  string
	client *client.Client
	group  client.Group
}

func newVillage(t *testing.T) *village {
	t.Helper()
	v := &village{t: t, url: serving(t, "--outbound-networks=127.0.0.1", "--user-rate=10000", "--user-burst=10000")}
	v.token = account(t, v.url, "Wati")
	v.client = as(t, v.url, v.token)
	var err error
	if v.group, err = v.client.CreateGroup(t.Context(), client.NewGroup{Name: "RT 05", EntityType: "kelompok", JoinPolicy: "terbuka"}); err != nil {
		t.Fatal(err)
	}
	return v
}

func as(t *testing.T, url, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{BaseURL: url, Token: client.StaticToken(token)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// webhook runs a command of webhooks, which must end with this code.
func (v *village) webhook(code int, args ...string) ran {
	v.t.Helper()
	r := command(v.t, map[string]string{"GOTONG_URL": v.url, "GOTONG_TOKEN": v.token}, append([]string{"webhook"}, args...)...)
	if r.code != code {
		v.t.Fatalf("webhook %s: %+v, want code %d", strings.Join(args, " "), r, code)
	}
	return r
}

// rest makes a request that must be answered 200.
func (v *village) rest(method, path, body string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+v.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := web.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		v.t.Fatal(res, err)
	}
	_ = res.Body.Close()
}

// thread makes a thread of the group with one message.
func (v *village) thread(privacy, text string) client.Thread {
	v.t.Helper()
	th, err := v.client.CreateThread(v.t.Context(), client.NewThread{ScopeID: v.group.GroupID, Privacy: privacy})
	if err == nil {
		_, err = v.client.Send(v.t.Context(), th.ThreadID, client.NewMessage{Body: text})
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return th
}

func object[T any](t *testing.T, r ran) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	return v
}

type hookShown struct {
	ID         string   `json:"webhook_id"`
	Secret     string   `json:"secret"`
	URL        string   `json:"url"`
	Types      []string `json:"types"`
	Registrant string   `json:"registrant"`
}

// listen starts a receiver with a secret. Its address is the last word but three of
// what it prints first.
func listen(t *testing.T, secret string) (b *background, url string) {
	t.Helper()
	b = interruptible(t, "webhook", "listen", "--addr=127.0.0.1:0", "--secret="+secret)
	t.Cleanup(func() {
		if code := b.stop(); code != 0 {
			t.Errorf("listen ended with %d: %s", code, b.errs.String())
		}
	})
	text := b.errs.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") })
	return b, strings.TrimSuffix(strings.Fields(text)[2], ".")
}

func (b *background) until(t *testing.T, what string) {
	t.Helper()
	b.out.await(t, what, func(s string) bool { return strings.Contains(s, what) })
}

// TestWebhookCommands goes through the life of a webhook on the command line.
func TestWebhookCommands(t *testing.T) {
	v := newVillage(t)
	added := object[hookShown](t, v.webhook(0, "add", v.group.GroupID, "http://127.0.0.1:1/", "--types=message.posted", "--description=gudang"))
	if added.Secret == "" || added.URL != "http://127.0.0.1:1/" || len(added.Types) != 1 {
		t.Errorf("added %+v", added)
	}
	receiver, url := listen(t, added.Secret)
	v.rest("PATCH", "/v1/webhooks/"+added.ID, `{"url":"`+url+`"}`)
	th := v.thread("public", "halo pertama")
	receiver.until(t, "halo pertama")

	for what, r := range map[string]ran{
		"list": v.webhook(0, "list", v.group.GroupID), "list as JSON": v.webhook(0, "list", v.group.GroupID, "--json"),
		"log": v.webhook(0, "log", added.ID), "log as JSON": v.webhook(0, "log", added.ID, "--json"),
		"dead letters": v.webhook(0, "log", added.ID, "--dead"), "dead letters as JSON": v.webhook(0, "log", added.ID, "--dead", "--json"),
	} {
		if whole := strings.HasSuffix(what, "JSON"); json.Valid([]byte(r.out)) != whole || strings.Contains(r.out, added.Secret) {
			t.Errorf("%s prints %s", what, r.out)
		}
	}
	if r := v.webhook(0, "list", v.group.GroupID); !strings.Contains(r.out, "WEBHOOK") || !strings.Contains(r.out, added.ID) || !strings.Contains(r.out, "ok") {
		t.Errorf("list prints %s", r.out)
	}
	await(t, "the delivery is in the log", func() bool { return strings.Contains(v.webhook(0, "log", added.ID).out, "204") })

	rotated := object[hookShown](t, v.webhook(0, "rotate", added.ID, "--keep-hours=1"))
	if rotated.Secret == "" || rotated.Secret == added.Secret {
		t.Errorf("rotated to %q", rotated.Secret)
	}
	inner := v.thread("private", "rahasia sebelum")
	v.webhook(0, "join", added.ID, "thread/"+inner.ThreadID)
	if list, err := v.client.Members(t.Context(), inner.ThreadID, client.Page{}); err != nil || len(list.Items) != 2 ||
		list.Items[0].Webhook == list.Items[1].Webhook {
		t.Errorf("members %+v, %v", list.Items, err)
	}
	if _, err := v.client.Send(t.Context(), inner.ThreadID, client.NewMessage{Body: "rahasia bersama"}); err != nil {
		t.Fatal(err)
	}
	receiver.until(t, "rahasia bersama") // the old secret signs too
	v.webhook(0, "leave", added.ID, "thread/"+inner.ThreadID)
	if r := v.webhook(2, "join", added.ID, "user/wati"); !strings.Contains(r.err, "cannot have webhooks") {
		t.Errorf("%+v", r)
	}

	v.webhook(0, "replay", added.ID, "--stream=thread/"+th.ThreadID, "--from=2")
	receiver.until(t, `"replay":true`)
	v.webhook(0, "replay", added.ID, "--since="+time.Now().Add(-time.Hour).Format(time.RFC3339))
	v.webhook(0, "replay", added.ID, "--dead")
	if r := v.webhook(2, "replay", added.ID); !strings.Contains(r.err, "--since TIME") {
		t.Errorf("%+v", r)
	}
	if r := v.webhook(1, "skip", added.ID, "thread/"+th.ThreadID); !strings.Contains(r.err, "nothing to skip") {
		t.Errorf("%+v", r)
	}
	v.rest("POST", "/v1/webhooks/"+added.ID+"/disable", "")
	if r := v.webhook(0, "list", v.group.GroupID); !strings.Contains(r.out, "disabled: admin") {
		t.Errorf("list prints %s", r.out)
	}
	v.webhook(0, "enable", added.ID)
	if strings.Contains(receiver.out.String(), "rahasia sebelum") || receiver.errs.String() == "" {
		t.Errorf("received %s", receiver.out.String())
	}
	v.takenOver(added.ID)
}

// takenOver has another admin take over the webhook, and remove it.
func (v *village) takenOver(id string) {
	t := v.t
	t.Helper()
	other := account(t, v.url, "Budi")
	budi, err := as(t, v.url, other).JoinGroup(t.Context(), v.group.GroupID)
	if err == nil {
		_, err = v.client.SetGroupRole(t.Context(), v.group.GroupID, budi.UserID, "admin")
	}
	if err != nil {
		t.Fatal(err)
	}
	v.token = other
	if taken := object[hookShown](t, v.webhook(0, "take-over", id)); taken.Registrant != budi.UserID {
		t.Errorf("taken over: %+v", taken)
	}
	v.webhook(0, "remove", id)
	if r := v.webhook(0, "list", v.group.GroupID); strings.Contains(r.out, id) {
		t.Errorf("after its removal: %s", r.out)
	}
	if r := v.webhook(1, "take-over", id); !strings.Contains(r.err, "has ended") {
		t.Errorf("%+v", r)
	}
	if r := v.webhook(1, "log", "whk-none"); r.out != "" || !strings.Contains(r.err, "does not exist") {
		t.Errorf("%+v", r)
	}
}

// TestListenVerifies: it prints what is signed with its secret, and answers 401 to
// anything that differs from that by one byte.
func TestListenVerifies(t *testing.T) {
	const secret, id = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg-1"
	receiver, url := listen(t, secret)
	hook, err := hooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	body, now := []byte(`{"type":"gotong.message.posted"}`), time.Now()
	signature, err := hook.Sign(id, now, body)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set(hooks.HeaderWebhookID, id)
	header.Set(hooks.HeaderWebhookTimestamp, itoa(now))
	header.Set(hooks.HeaderWebhookSignature, signature)
	post := func(header http.Header, body []byte, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		res, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s with %v: %d, want %d", body, header, res.StatusCode, want)
		}
	}
	for i := range body {
		altered := bytes.Clone(body)
		altered[i] ^= 1
		post(header, altered, http.StatusUnauthorized)
	}
	for name, value := range map[string]string{
		hooks.HeaderWebhookID: "msg-2", hooks.HeaderWebhookTimestamp: itoa(now.Add(-time.Second)), hooks.HeaderWebhookSignature: "v1,",
	} {
		altered := header.Clone()
		altered.Set(name, value)
		post(altered, body, http.StatusUnauthorized)
	}
	if out := receiver.out.String(); out != "" || strings.Count(receiver.errs.String(), "rejected:") != len(body)+3 {
		t.Errorf("it printed %q and %q", out, receiver.errs.String())
	}
	post(header, body, http.StatusNoContent)
	receiver.until(t, string(body)+"\n")
	for _, bad := range []string{"whsec_", "whsec_%%%", "short"} {
		if r := command(t, nil, "webhook", "listen", "--secret="+bad); r.code != 2 || !strings.Contains(r.err, "malformed") {
			t.Errorf("%q: %+v", bad, r)
		}
	}
}

func itoa(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
