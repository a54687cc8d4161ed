package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPush: what is listed, for people and as JSON, and the end of a subscription.
func TestPush(t *testing.T) {
	const subscription = `{"subscription_id":"s-1","endpoint":"https://push.example.org/x","withdraw":true,"expires_at_ms":1795417200000}`
	var ended []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /version":
			_, _ = fmt.Fprint(w, "{}")
		case "GET /v1/push/subscriptions":
			_, _ = fmt.Fprint(w, "["+subscription+"]")
		case "DELETE /v1/push/subscriptions/s-1":
			ended = append(ended, "s-1")
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprint(w, `{"status":404,"code":"not_found","detail":"Not found."}`)
		}
	}))
	t.Cleanup(server.Close)
	for _, c := range []struct {
		args, out, errs string
		code            int
	}{
		{args: "list --zone=UTC", out: "s-1  until 2026-11-23 07:00  https://push.example.org/x  also withdrawals\n"},
		{args: "list --json", out: subscription + "\n"},
		{args: "remove s-1"},
		{args: "remove s-2", code: 1, errs: "Not found."},
	} {
		std, out, errs := pipes(nil)
		args := append([]string{"push"}, strings.Fields(c.args)...)
		code := run(t.Context(), append(args, "--url="+server.URL, "--token=x"), std)
		if code != c.code || out.String() != c.out || !strings.Contains(errs.String(), c.errs) {
			t.Errorf("%s: exits with %d\n%q\n%s", c.args, code, out, errs)
		}
	}
	if len(ended) != 1 {
		t.Errorf("%q ended", ended)
	}
}
