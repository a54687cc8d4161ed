package edgepod

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// said is a message or an action of a day on IRC.
var said = regexp.MustCompile(`^\[?\d\d:\d\d\]? (?:<[^>]+>| \* \S+) (.+)$`)

type spoken struct{ id, text string }

func corpus(t *testing.T) (days map[string][]spoken) {
	t.Helper()
	dir := os.Getenv("GOTONG_CORPUS")
	if dir == "" || testing.Short() {
		t.Skip("GOTONG_CORPUS names no folder of chat exports, or the run is short")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Skip("no text files in", dir)
	}
	days = map[string][]spoken{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		day := filepath.Base(file)
		for i, line := range strings.Split(string(b), "\n") {
			if m := said.FindStringSubmatch(strings.TrimRight(strings.ToValidUTF8(line, "?"), " \r")); m != nil {
				days[day] = append(days[day], spoken{fmt.Sprintf("%s:%d", strings.TrimSuffix(day, ".txt"), i+1), m[1]})
			}
		}
	}
	return days
}

func corpusRequest(t *testing.T, n int, more map[string]any) []byte {
	t.Helper()
	q := map[string]any{
		"request_id": fmt.Sprintf("req_%08d", n), "correlation_id": "corpus", "trigger": "async_batch", "payload_version": PayloadVersion,
		"actor": map[string]string{"user_id": "system", "platform_user_id": "system", "role": "system"},
	}
	maps.Copy(q, more)
	b, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCorpus runs every message through EP-04 and EP-03, against the 250 before it. It
// prints what the rules found, for people to judge. In CI, where nobody reads that, one
// message in ten is compared: each is still among those before another.
func TestCorpus(t *testing.T) {
	b, counted := boundary(Rules{})
	n, step := 0, 1
	if os.Getenv("CI") == "true" {
		step = 10
	}
	for day, messages := range corpus(t) {
		duplicates, holds := 0, 0
		for i, m := range messages {
			n++
			ask := func(id string, more map[string]any, into any) {
				t.Helper()
				body := corpusRequest(t, n, more)
				if err := ByID(id).Request.Validate(body); err != nil {
					t.Fatal(m.id, err)
				}
				read(t, b.Ask(t.Context(), Call{Contract: ByID(id), Request: body}), into)
			}
			var held struct {
				Action     string
				Violations []string
			}
			if ask(Moderation, map[string]any{"content_id": m.id, "text": m.text}, &held); held.Action != "publish" {
				holds++
				t.Logf("HOLD %s %v %s", m.id, held.Violations, m.text)
			}
			if i%step > 0 {
				continue
			}
			var same struct {
				Top        string `json:"top_match"`
				Confidence float64
			}
			candidates := map[string]any{"candidates": before(messages[max(0, i-250):i])}
			if ask(Duplicates, map[string]any{"seed_text": m.text, "query_options": candidates}, &same); same.Top != "" {
				duplicates++
				t.Logf("SAME %s %s %.2f %s", m.id, same.Top, same.Confidence, m.text)
			}
		}
		t.Logf("DAY %s: %d messages, %d duplicates, %d holds", day, len(messages), duplicates, holds)
	}
	for outcome := range counted.seen {
		if !strings.HasSuffix(outcome, " ok") {
			t.Error(outcome, counted.seen[outcome])
		}
	}
}

func before(messages []spoken) []map[string]string {
	list := []map[string]string{}
	for _, m := range messages {
		list = append(list, map[string]string{"seed_id": m.id, "text": m.text})
	}
	return list
}

func read(t *testing.T, a Answer, into any) {
	t.Helper()
	if err := json.Unmarshal(a.Output, into); err != nil || a.Fallback() {
		t.Fatal(err, a.ActorContext)
	}
}

// TestCorpusOverOpenAI sends a part of the days to a server of the chat API that
// answers from a recording: what the rules say of each request.
func TestCorpusOverOpenAI(t *testing.T) {
	record := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q chatRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || len(q.Messages) != 2 {
			t.Error(err)
			return
		}
		quoted, err := json.Marshal(record[q.Messages[1].Content])
		if err != nil {
			t.Error(err)
		}
		_, _ = fmt.Fprintf(w, `{"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":%s}}]}`, quoted)
	}))
	defer server.Close()
	own, _ := boundary(Rules{})
	b, counted := boundary(OpenAI{Base: server.URL, Model: "recorded", Client: direct()})
	n := 0
	for _, messages := range corpus(t) {
		for i, m := range messages[:min(200, len(messages))] {
			n++
			for id, more := range map[string]map[string]any{
				Moderation: {"content_id": m.id, "text": m.text},
				Duplicates: {"seed_text": m.text, "query_options": map[string]any{"candidates": before(messages[max(0, i-50):i])}},
			} {
				call := Call{Contract: ByID(id), Request: corpusRequest(t, n, more), Batch: true}
				want := own.Ask(t.Context(), call)
				record[string(call.Request)] = string(want.Output)
				if got := b.Ask(t.Context(), call); got.Fallback() || string(got.Output) != string(want.Output) {
					t.Fatalf("%s: got %+v, want %s", m.id, got, want.Output)
				}
			}
		}
	}
	t.Log(n, "messages", counted.seen)
}
