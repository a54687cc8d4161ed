package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	hooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// TestReceiver: a delivery is handled once, and one whose body, id or time was changed
// by one byte is rejected.
func TestReceiver(t *testing.T) {
	hook, err := hooks.NewWebhook("whsec_" + strings.Repeat("QUJD", 11))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := &receiver{hook: hook, out: &out, seen: map[string]bool{}}
	const body = `{"type":"gotong.message.posted","data":{"stream":"thread/t","seq":2,"content":{"body":"halo"}}}`
	deliver := func(body, id string, at time.Time, signature string) int {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		req.Header.Set("webhook-id", id)
		req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
		req.Header.Set("webhook-signature", signature)
		rec := httptest.NewRecorder()
		r.ServeHTTP(rec, req)
		return rec.Code
	}
	now := time.Now()
	signature, err := hook.Sign("m1", now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code := deliver(body, "m1", now, signature); code != http.StatusNoContent {
			t.Errorf("a good delivery is answered %d", code)
		}
	}
	if out.String() != "gotong.message.posted thread/t 2 {\"body\":\"halo\"}\n" {
		t.Errorf("handled: %q", out.String())
	}
	for i := range len(body) {
		changed := []byte(body)
		changed[i] ^= 1
		if code := deliver(string(changed), "m1", now, signature); code != http.StatusUnauthorized {
			t.Errorf("with byte %d changed: %d", i, code)
		}
	}
	if code := deliver(body, "m2", now, signature); code != http.StatusUnauthorized {
		t.Errorf("with another id: %d", code)
	}
	if code := deliver(body, "m1", now.Add(time.Second), signature); code != http.StatusUnauthorized {
		t.Errorf("with another time: %d", code)
	}
}
