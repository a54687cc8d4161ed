// Command webhook-receiver shows how to receive from a Gotong server in Go: it
// verifies each delivery, handles each event once, and answers quickly.
//
// # Caveats
//
// It remembers in memory which events it has handled. A real receiver keeps the
// webhook-id in the transaction of what it does with the event.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	hooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// event is what this receiver reads of a delivery, which is a CloudEvent.
type event struct {
	Type string `json:"type"`
	Data struct {
		Stream  string          `json:"stream"`
		Seq     uint64          `json:"seq"`
		Content json.RawMessage `json:"content"`
	} `json:"data"`
}

type receiver struct {
	hook *hooks.Webhook
	out  io.Writer

	mu   sync.Mutex
	seen map[string]bool // by webhook-id
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 4<<20))
	if err != nil {
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	if err := r.hook.Verify(body, req.Header); err != nil { // before anything of the body is trusted
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := req.Header.Get(hooks.HeaderWebhookID); !r.seen[id] { // a delivery may be repeated
		var e event
		if err := json.Unmarshal(body, &e); err != nil {
			http.Error(w, "the body is no event", http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(r.out, "%s %s %d %s\n", e.Type, e.Data.Stream, e.Data.Seq, e.Data.Content)
		r.seen[id] = true
	}
	w.WriteHeader(http.StatusNoContent)
}

func main() {
	hook, err := hooks.NewWebhook(os.Getenv("GOTONG_WEBHOOK_SECRET"))
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "GOTONG_WEBHOOK_SECRET must be the secret of the webhook:", err)
		os.Exit(2)
	}
	server := &http.Server{
		Addr: "127.0.0.1:8090", ReadTimeout: 15 * time.Second,
		Handler: &receiver{hook: hook, out: os.Stdout, seen: map[string]bool{}},
	}
	_, _ = fmt.Fprintln(os.Stderr, server.ListenAndServe())
	os.Exit(1)
}
