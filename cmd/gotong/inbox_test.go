package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestInboxOfManyPages: the command follows the cursors up to what was asked for, also
// over pages that have nothing, and marks what it listed.
func TestInboxOfManyPages(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); r.URL.Path {
		case "/v1/notifications":
			asked = append(asked, q.Get("limit")+" "+q.Get("cursor"))
			items := []string{}
			for n := range map[string]int{"": 100, "3": 50}[q.Get("cursor")] {
				items = append(items, fmt.Sprintf(`{"notification_id":"%s%d-1","kind":"mention","created_at_ms":1795417200000}`, q.Get("cursor"), n))
			}
			next := map[string]string{"": "2", "2": "3", "3": "4"}[q.Get("cursor")]
			_, _ = fmt.Fprintf(w, `{"items":[%s],"next_cursor":%q}`, strings.Join(items, ","), next)
		case "/v1/notifications/read":
			body, _ := io.ReadAll(r.Body)
			asked = append(asked, string(body))
			_, _ = w.Write([]byte(`{"unread_count":0}`))
		default:
			_, _ = w.Write([]byte("{}"))
		}
	}))
	t.Cleanup(server.Close)
	std, out, errs := pipes(nil)
	if code := run(t.Context(), []string{"inbox", "--last=150", "--read", "--json", "--url=" + server.URL, "--token=x", "--zone=UTC"}, std); code != 0 {
		t.Fatalf("exits with %d: %s", code, errs)
	}
	if n := strings.Count(out.String(), "\n"); n != 150 || strings.Count(out.String(), `"notification_id":"`) != 150 {
		t.Errorf("%d lines: %.300s", n, out)
	}
	if want := []string{"100 ", "50 2", "50 3", `{"up_to":"0-1"}`}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}
