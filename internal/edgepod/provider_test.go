package edgepod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// called counts calls by contract, provider and outcome.
type called struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *called) count(k *Contract, provider, _, outcome string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[k.ID+" "+provider+" "+outcome]++
}

func boundary(p Provider) (*Boundary, *called) {
	c := &called{}
	return New(Options{Provider: p, Clock: clock.System(), Called: c.count}), c
}

// TestFallbacks: every fallback fits its contract, says that it is one, and is
// counted.
func TestFallbacks(t *testing.T) {
	b, counted := boundary(nil)
	for i := range Contracts {
		c := &Contracts[i]
		for _, good := range examplesOf(t, c).Request.Good {
			a := b.Ask(t.Context(), Call{Contract: c, Request: good})
			body, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Response.Validate(body); err != nil {
				t.Errorf("%s: %s: %v", c.ID, body, err)
			}
			if !a.Fallback() || a.ReasonCode == "OK" || a.ActorContext.Reason != "MODEL_UNAVAILABLE" {
				t.Errorf("%s: %+v", c.ID, a)
			}
		}
		if got := counted.seen[c.ID+" none MODEL_UNAVAILABLE"]; got != 2 {
			t.Errorf("%s: counted %d of 2", c.ID, got)
		}
	}
}

// TestModerationFallbackNeverHolds is the rule on which the queue relies.
func TestModerationFallbackNeverHolds(t *testing.T) {
	b, _ := boundary(nil)
	a := b.Ask(t.Context(), Call{Contract: ByID(Moderation), Request: examplesOf(t, ByID(Moderation)).Request.Good[0]})
	var out struct {
		Status string `json:"status"`
		Action string `json:"action"`
	}
	if err := json.Unmarshal(a.Output, &out); err != nil || out.Status != "ok" || out.Action != "publish" || a.ReasonCode != PolicyFallback {
		t.Errorf("%s %s, %v", a.ReasonCode, a.Output, err)
	}
}

// TestRulesFit: what the rules compute fits the contracts, and is the same each
// time.
func TestRulesFit(t *testing.T) {
	b, counted := boundary(Rules{})
	for i := range Contracts {
		c := &Contracts[i]
		for _, good := range examplesOf(t, c).Request.Good {
			call := Call{Contract: c, Request: good, Privacy: Vault}
			a, again := b.Ask(t.Context(), call), b.Ask(t.Context(), call)
			if string(a.Output) != string(again.Output) {
				t.Errorf("%s: %s, then %s", c.ID, a.Output, again.Output)
			}
			if want := rules[c.ID] == nil; a.Fallback() != want {
				t.Errorf("%s: fallback %v, %s", c.ID, a.Fallback(), a.Output)
			}
		}
		if rules[c.ID] != nil && counted.seen[c.ID+" rules ok"] != 4 {
			t.Errorf("%s: counted %v", c.ID, counted.seen)
		}
	}
}

// hostile are the bodies with which a provider does not answer the contract, or
// only pretends to. GOOD is a good envelope, OUTPUT a good output.
var hostile = map[string]http.HandlerFunc{
	"prose":           says("I would hold this message, because it is rude."),
	"a code fence":    says("```json\nGOOD\n```"),
	"two objects":     says(strings.Repeat("GOOD ", 2)),
	"an extra field":  says(`{"do":"ban","request_id":"req_0192abcd","result_version":"v0.2.0","output":OUTPUT}`),
	"an extra output": says(strings.Replace(`{"request_id":"req_0192abcd","result_version":"v0.2.0","output":OUTPUT}`, "OUTPUT", `{"ban":true}`, 1)),
	"10^308":          says(strings.ReplaceAll("GOOD2", "GOOD2", `{"request_id":"req_0192abcd","result_version":"v0.2.0","output":{"status":"hold","action":"hold","hold_duration_minutes":1e308}}`)),
	"10^1000001":      says(`{"request_id":"req_0192abcd","result_version":"v0.2.0","output":{"status":"hold","action":"hold","hold_duration_minutes":1e1000001}}`),
	"a doubled key":   says(`{"request_id":"req_0192abcd","result_version":"v0.2.0","output":{"status":"ok","status":"hold","action":"hold","hold_duration_minutes":1}}`),
	"another request": says(`{"request_id":"req_99999999","result_version":"v0.2.0","output":OUTPUT}`),
	"depth":           says(`{"a":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}`),
	"HTML":            says("<html><body>Welcome</body></html>"),
	"nothing":         says(""),
	"null":            says("null"),
	"no UTF-8":        says("{\"request_id\":\"\xff\"}"),
	"a redirect": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	},
	"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	"an endless stream": func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(`{"a":"` + strings.Repeat("x", 4096))); err != nil {
				return
			}
		}
	},
	"slow bytes": func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write([]byte(" ")); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	},
	"silence": func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client left
		<-r.Context().Done()
	},
}

const (
	goodOutput   = `{"status":"hold","action":"hold","hold_duration_minutes":15}`
	goodEnvelope = `{"request_id":"req_0192abcd","result_version":"v0.2.0","output":` + goodOutput + `}`
)

func says(body string) http.HandlerFunc {
	body = strings.NewReplacer("GOOD", goodEnvelope, "OUTPUT", goodOutput).Replace(body)
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte(body))
	}
}

func direct() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func ask(t *testing.T, p Provider) Answer {
	t.Helper()
	b, _ := boundary(p)
	ctx := t.Context()
	if strings.Contains(t.Name(), "slow") || strings.Contains(t.Name(), "silence") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond) // what would last 10 s
		defer cancel()
	}
	call := moderationCall(t)
	call.Batch = true
	return b.Ask(ctx, call)
}

// TestHostileHTTP: whatever a pod answers, the outcome is the fallback.
func TestHostileHTTP(t *testing.T) {
	for name, handler := range hostile {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			if a := ask(t, HTTP{Base: server.URL, Client: direct()}); !a.Fallback() {
				t.Errorf("got %s", a.Output)
			}
		})
	}
}

// TestHostileOpenAI sends the same texts as the content of a choice, and as the
// whole answer.
func TestHostileOpenAI(t *testing.T) {
	for name, handler := range hostile {
		t.Run(name, func(t *testing.T) {
			within := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if name == "an endless stream" || name == "slow bytes" || name == "silence" {
					handler(w, r)
					return
				}
				content := httptest.NewRecorder()
				handler(content, r)
				body, err := json.Marshal(strings.ReplaceAll(content.Body.String(), goodEnvelope, goodOutput))
				if err != nil {
					t.Error(err)
				}
				_, _ = fmt.Fprintf(w, `{"choices":[{"finish_reason":"stop","message":{"content":%s}}]}`, body)
			}))
			defer within.Close()
			bare := httptest.NewServer(handler)
			defer bare.Close()
			for _, server := range []*httptest.Server{within, bare} {
				if a := ask(t, OpenAI{Base: server.URL, Client: direct()}); !a.Fallback() {
					t.Errorf("got %s", a.Output)
				}
			}
		})
	}
}

func TestOpenAIRefusals(t *testing.T) {
	for name, c := range map[string]struct{ body, reason string }{
		"refusal": {`{"choices":[{"finish_reason":"stop","message":{"content":"","refusal":"no"}}]}`, "POLICY_BLOCK"},
		"length":  {`{"choices":[{"finish_reason":"length","message":{"content":OUTPUT}}]}`, "SCHEMA_VIOLATION"},
		"two":     {`{"choices":[{"finish_reason":"stop"},{"finish_reason":"stop"}]}`, "SCHEMA_VIOLATION"},
		"thought": {`{"choices":[{"finish_reason":"stop","message":{"reasoning":OUTPUT}}]}`, "SCHEMA_VIOLATION"},
	} {
		quoted, err := json.Marshal(goodOutput)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(says(strings.ReplaceAll(c.body, "OUTPUT", string(quoted))))
		if a := ask(t, OpenAI{Base: server.URL, Client: direct()}); a.ActorContext == nil || a.ActorContext.Reason != c.reason {
			t.Errorf("%s: %+v", name, a)
		}
		server.Close()
	}
}

// TestProvidersAnswer proves that good answers pass, in both forms.
func TestProvidersAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/04/moderation" && r.Header.Get("Idempotency-Key") == "req_0192abcd" && r.Header.Get("Authorization") == "Bearer secret" {
			_, _ = w.Write([]byte(goodEnvelope))
			return
		}
		var q chatRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Model != "tiny" || q.Format.Schema.Name != "ep04" || q.Stream {
			t.Errorf("%s: %+v, %v", r.URL, q, err)
		}
		content, err := json.Marshal(goodOutput)
		if err != nil {
			t.Error(err)
		}
		_, _ = fmt.Fprintf(w, `{"id":"x","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":%s,"refusal":null}}]}`, content)
	}))
	defer server.Close()
	for _, p := range []Provider{
		HTTP{Base: server.URL + "/", Token: "secret", Client: direct()}, OpenAI{Base: server.URL, Model: "tiny", Client: direct()},
	} {
		if a := ask(t, p); a.Fallback() || string(a.Output) != goodOutput {
			t.Errorf("%s: %+v", p.Name(), a)
		}
	}
}

// provider is a remote provider made of a function.
type provider func(ctx context.Context) ([]byte, error)

func (provider) Name() string { return "http" }
func (provider) Remote() bool { return true }
func (p provider) Ask(ctx context.Context, _ *Contract, _ []byte) ([]byte, error) {
	return p(ctx)
}

func moderationCall(t *testing.T) Call {
	t.Helper()
	return Call{Contract: ByID(Moderation), Request: examplesOf(t, ByID(Moderation)).Request.Good[0]}
}

func TestRetries(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int64
	}{
		"transient":   {&ProviderError{Reason: transient}, 3},
		"timeout":     {&ProviderError{Reason: Timeout}, 3},
		"unavailable": {&ProviderError{Reason: Unavailable}, 1},
		"violation":   {&ProviderError{Reason: Violation}, 1},
		"other":       {errors.New("other"), 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int64
			b, _ := boundary(provider(func(context.Context) ([]byte, error) { n.Add(1); return nil, c.err }))
			if a := b.Ask(t.Context(), moderationCall(t)); !a.Fallback() || n.Load() != c.want {
				t.Errorf("%s: %d attempts, %+v", name, n.Load(), a)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	for batched, want := range map[bool]time.Duration{false: 2500 * time.Millisecond, true: 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b, _ := boundary(provider(func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }))
			call, began := moderationCall(t), time.Now()
			call.Batch = batched
			if a := b.Ask(t.Context(), call); a.ActorContext.Reason != "TIMEOUT" || time.Since(began) != want {
				t.Errorf("batch %v: %v after %v", batched, a.ActorContext.Reason, time.Since(began))
			}
		})
	}
}

// TestBreaker: five failures open it for 15 s; then one probe decides. Another
// contract is not affected.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		var works atomic.Bool
		b, _ := boundary(provider(func(context.Context) ([]byte, error) {
			n.Add(1)
			if works.Load() {
				return []byte(goodEnvelope), nil
			}
			return nil, &ProviderError{Reason: Unavailable}
		}))
		asked := func(want int64) {
			t.Helper()
			n.Store(0)
			for range 8 {
				b.Ask(t.Context(), moderationCall(t))
			}
			if n.Load() != want {
				t.Errorf("%d calls reached the provider, want %d", n.Load(), want)
			}
		}
		asked(5)
		asked(0)
		other := Call{Contract: ByID(Summary), Request: examplesOf(t, ByID(Summary)).Request.Good[0]}
		b.Ask(t.Context(), other)
		if n.Load() != 1 {
			t.Error("the breaker of one contract closed another")
		}
		clock.Pause(t.Context(), openedFor)
		asked(1)
		works.Store(true)
		clock.Pause(t.Context(), openedFor)
		asked(8)
	})
}

// TestBulkhead: at most four calls of a contract are in flight, and none waits.
func TestBulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, counted := boundary(provider(func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }))
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() { b.Ask(t.Context(), moderationCall(t)) })
		}
		synctest.Wait()
		counted.mu.Lock()
		if got := counted.seen["EP-04 http MODEL_UNAVAILABLE"]; got != 2 {
			t.Errorf("%v were turned away at once, want 2", counted.seen)
		}
		counted.mu.Unlock()
		all.Wait()
	})
}

// TestPrivacy: what is for few reaches no remote provider.
func TestPrivacy(t *testing.T) {
	var n atomic.Int64
	b, _ := boundary(provider(func(context.Context) ([]byte, error) { n.Add(1); return []byte(goodEnvelope), nil }))
	for _, c := range []struct {
		privacy  Privacy
		released bool
		want     int64
	}{{Open, false, 1}, {L1, false, 1}, {L2, false, 0}, {L2, true, 1}, {Vault, false, 0}, {Vault, true, 0}} {
		n.Store(0)
		call := moderationCall(t)
		call.Privacy, call.Released = c.privacy, c.released
		a := b.Ask(t.Context(), call)
		if n.Load() != c.want || c.want == 0 && a.ActorContext.Reason != "POLICY_BLOCK" {
			t.Errorf("%+v: %d calls, %+v", c, n.Load(), a)
		}
	}
}

// TestDrawnFromRequest: an answer that names what the request does not is rejected.
func TestDrawnFromRequest(t *testing.T) {
	const q = `"request_id":"req_0192abcd","result_version":"v0.2.0"`
	for _, c := range []struct{ id, output string }{
		{Duplicates, `{"matches":[{"seed_id":"secret","similarity":1,"distance_km":0,"recommendation":"block"}],"top_match":"","confidence":1,"auto_block":false}`},
		{Duplicates, `{"matches":[],"top_match":"secret","confidence":1,"auto_block":false}`},
		{Gaming, `{"flags":[{"user_id":"stranger","metric":"x","flag":true,"reason_code":"","severity":"low"}],"summary":{"total_flags":1,"critical_count":0},"recommendation":"none"}`},
		{Media, `{"scans":[{"media_url":"https://other.example.org/","detections":[],"severity":"low","score":0}],"overall_safety":"safe"}`},
	} {
		b, _ := boundary(provider(func(context.Context) ([]byte, error) { return []byte("{" + q + `,"output":` + c.output + "}"), nil }))
		a := b.Ask(t.Context(), Call{Contract: ByID(c.id), Request: examplesOf(t, ByID(c.id)).Request.Good[0]})
		if !a.Fallback() || a.ActorContext.Reason != "SCHEMA_VIOLATION" {
			t.Errorf("%s: %+v", c.id, a)
		}
	}
}

// TestNamedInRequest: an answer that names a candidate of the request passes.
func TestNamedInRequest(t *testing.T) {
	const text = "kerja bakti minggu pagi di lapangan"
	q := corpusRequest(t, 1, map[string]any{"seed_text": text, "query_options": map[string]any{
		"candidates": []map[string]string{{"seed_id": "same", "text": text}, {"seed_id": "excluded", "text": text}},
	}, "exclude_seed_ids": []string{"excluded"}})
	b, _ := boundary(Rules{})
	a := b.Ask(t.Context(), Call{Contract: ByID(Duplicates), Request: q})
	if s := string(a.Output); a.Fallback() || !strings.Contains(s, `"top_match":"same"`) || strings.Contains(s, "excluded") {
		t.Errorf("%+v %s", a, s)
	}
}

func TestVersionsAreBounded(t *testing.T) {
	var v versions
	labels := map[string]bool{}
	for i := range 1000 {
		labels[v.label(fmt.Sprintf("v0.0.%d", i))] = true
	}
	if len(labels) != maxVersions+1 {
		t.Errorf("%d labels", len(labels))
	}
}
