package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/proof"
)

// TestProof: a member gets the proof of a message, which is checked without the
// server. Nobody else learns that the event exists, and a text that was changed
// is in no proof.
func TestProof(t *testing.T) {
	n, web := startNode(t), forgetful(t)
	owner := dial(t, n.url, "owner")
	th := must(owner.CreateThread(t.Context(), client.NewThread{ScopeID: "rt05", Privacy: "private"}))(t)
	m := must(owner.Send(t.Context(), th.ThreadID, client.NewMessage{Body: "canary one"}))(t)
	get := func(user, path string) (int, string) {
		t.Helper()
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/v1/streams/"+path+"/proof", http.NoBody))(t)
		req.Header.Set("Authorization", "Bearer "+tokenOf(user))
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		return resp.StatusCode, string(must(io.ReadAll(resp.Body))(t))
	}
	at := fmt.Sprintf("thread/%s/events/%d", th.ThreadID, m.Seq)
	status, body := get("owner", at)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	signers, err := audit.ReadSigners(n.dir + "-checkpoints")
	if err != nil {
		t.Fatal(err)
	}
	var e proof.Event
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	e.Form = proof.EventForm
	if _, err := e.Check(proof.Trust{Keys: audit.KeysOf(signers)}); err != nil || !strings.Contains(string(e.Content), "canary one") {
		t.Errorf("the proof: %v, %s", err, body)
	}
	_, gone := get("stranger", "thread/"+strings.Repeat("0", 8)+"/events/1")
	for name, of := range map[string][2]string{
		"a stranger":       {"stranger", at},
		"a later event":    {"owner", fmt.Sprintf("thread/%s/events/%d", th.ThreadID, m.Seq+9)},
		"no such kind":     {"owner", "nothing/x/events/1"},
		"a malformed kind": {"owner", "No/x/events/1"},
	} {
		status, body := get(of[0], of[1])
		if status != http.StatusNotFound || sameProblem(t, body) != sameProblem(t, gone) {
			t.Errorf("%s: %d %s, want as %s", name, status, body, gone)
		}
	}
	must(owner.EditMessage(t.Context(), th.ThreadID, m.MessageID, 0, "other words"))(t)
	status, body = get("owner", at)
	if err := json.Unmarshal([]byte(body), &e); err != nil || status != http.StatusOK {
		t.Fatal(status, body, err)
	}
	e.Content, e.ContentSalt = nil, nil
	if err := json.Unmarshal([]byte(body), &e); err != nil || e.Content != nil || e.ContentSalt != nil || strings.Contains(body, "Y2FuYXJ5") {
		t.Errorf("a text that was changed is in the proof: %v %s", err, body)
	}
	if _, err := e.Check(proof.Trust{Keys: audit.KeysOf(signers)}); err != nil {
		t.Error(err)
	}
}

// TestClientChecksProofs: the client verifies the proof that a server sends, and
// rejects one of another event, and one that was changed or signed by others.
func TestClientChecksProofs(t *testing.T) {
	n := startNode(t)
	owner := dial(t, n.url, "owner")
	th := must(owner.CreateThread(t.Context(), client.NewThread{ScopeID: "rt05", Privacy: "private"}))(t)
	first := must(owner.Send(t.Context(), th.ThreadID, client.NewMessage{Body: "satu"}))(t)
	second := must(owner.Send(t.Context(), th.ThreadID, client.NewMessage{Body: "dua"}))(t)
	trust := proof.Trust{Keys: audit.KeysOf(must(audit.ReadSigners(n.dir + "-checkpoints"))(t))}
	e, checked, err := owner.Proof(t.Context(), th.Stream(), first.Seq, trust)
	if err != nil || e.Seq != first.Seq || !strings.Contains(string(e.Content), "satu") || len(checked.Keys) != 1 {
		t.Fatalf("%+v, %+v, %v", e, checked, err)
	}
	if _, _, err := owner.Proof(t.Context(), th.Stream(), second.Seq+9, trust); gotong.CodeOf(err) != gotong.CodeNotFound {
		t.Errorf("no event: %v", err)
	}
	other := must(proof.ParseSigner(must(proof.NewSigner("other.example.org"))(t)))(t)
	if e, _, err := owner.Proof(t.Context(), th.Stream(), first.Seq, proof.Trust{Keys: []proof.Key{other.Key}}); !errors.Is(err, proof.ErrUnverified) || e.Seq != 0 {
		t.Errorf("with the key of another server: %+v, %v", e, err)
	}
	answer := e
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(answer) }))
	t.Cleanup(liar.Close)
	told := dial(t, liar.URL, "owner")
	if _, _, err := told.Proof(t.Context(), th.Stream(), first.Seq, trust); err != nil {
		t.Errorf("the proof, sent by another server: %v", err)
	}
	if _, _, err := told.Proof(t.Context(), th.Stream(), second.Seq, trust); !errors.Is(err, proof.ErrAltered) {
		t.Errorf("the proof of another event: %v", err)
	}
	answer.Content = []byte(strings.Replace(string(e.Content), "satu", "tiga", 1))
	if e, _, err := told.Proof(t.Context(), th.Stream(), first.Seq, trust); !errors.Is(err, proof.ErrAltered) || e.Content != nil {
		t.Errorf("a changed text: %v", err)
	}
}

// sameProblem is a problem without what tells one request from another.
func sameProblem(t *testing.T, body string) string {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatal(err, body)
	}
	delete(p, "trace_id")
	return fmt.Sprint(p)
}
