package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSearch: names and messages of as many pages as it needs, as lines for people or
// of JSON; and exit codes that scripts can use.
func TestSearch(t *testing.T) {
	message := func(at, text, more string) string {
		return fmt.Sprintf(`{"thread_id":"t-1","message_id":"019af000-0000-7000-8000-000000000001","seq":3,"n":1,"author":{"user_id":"u","name":"Wati"},`+
			`"at":%q,"revision":0,"snippet":{"text":"%s","marks":[]}%s}`, at, text, more)
	}
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path == "/version" {
			_, _ = w.Write([]byte(`{}`))
			return
		}
		asked = append(asked, q.Get("limit")+" "+q.Get("cursor"))
		switch {
		case q.Get("query") == "from:":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"status":422,"code":"invalid","detail":"Not valid.","errors":[{"field":"query","detail":"must have a value after from:"}]}`))
		case q.Get("query") != "kopi has:file":
			_, _ = w.Write([]byte(`{"items":[],"names":[],"as_of":[]}`))
		case q.Get("cursor") == "":
			_, _ = fmt.Fprintf(w, `{"items":[%s],"names":[{"kind":"group","id":"ent-1","snippet":{"text":"RT kopi","marks":[]}}],"next_cursor":"c","as_of":[]}`,
				message("2026-11-29T01:02:03Z", `kopi\u001b[31m`, `,"file_names":[{"text":"kopi.pdf","marks":[{"from":0,"to":4}]}]`))
		default:
			_, _ = fmt.Fprintf(w, `{"items":[%s],"names":[],"as_of":[]}`,
				message("2026-11-28T01:02:03Z", "", `,"sent_at_ms":1155735660000,"sent_by":"Ani"`))
		}
	}))
	t.Cleanup(server.Close)
	search := func(args ...string) (code int, out, errs string) {
		std, o, e := pipes(nil)
		code = run(t.Context(), append([]string{"search", "--url", server.URL, "--token", "x", "--zone", "UTC"}, args...), std)
		return code, o.String(), e.String()
	}
	code, out, _ := search("kopi", "has:file")
	if want := "group  RT kopi  ent-1\n2026-11-29 01:02  Wati  kopi�[31m  [kopi.pdf]  t-1\n2006-08-16 13:41  Ani  t-1\n"; code != 0 || out != want {
		t.Errorf("%d\n%s\nwant\n%s", code, out, want)
	}
	if fmt.Sprint(asked) != "[20  19 c]" {
		t.Errorf("asked for %q", asked)
	}
	code, out, _ = search("kopi has:file", "--last=1", "--json")
	if lines := strings.Split(out, "\n"); code != 0 || len(lines) != 3 || !strings.Contains(lines[1], `"file_names":[{"text":"kopi.pdf"`) {
		t.Errorf("%d %s", code, out)
	}
	for query, want := range map[string]string{"jahe": "nothing fits", "from:": "must have a value after from:"} {
		if code, out, errs := search(query); code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: %d %q %q", query, code, out, errs)
		}
	}
}
