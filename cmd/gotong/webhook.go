package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	hooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gotong.dev/gotong"
)

type webhookCmd struct {
	Add    webhookAddCmd    `cmd:"" help:"Register a webhook in a group or scope; prints its secret."`
	List   webhookListCmd   `cmd:"" help:"List the webhooks of a group or scope."`
	Remove webhookOneCmd    `cmd:"" help:"Remove a webhook for good."`
	Rotate webhookRotateCmd `cmd:"" help:"Give a webhook a new secret."`
	Over   webhookOverCmd   `cmd:"" name:"take-over" help:"Make yourself the registrant, on whose right a webhook depends."`
	Enable webhookEnableCmd `cmd:"" help:"Let a webhook that was disabled continue where it stopped."`
	Join   webhookJoinCmd   `cmd:"" help:"Make a webhook a member of a thread or case."`
	Leave  webhookLeaveCmd  `cmd:"" help:"Remove a webhook from a thread or case."`
	Skip   webhookSkipCmd   `cmd:"" help:"Make the event for which a stream waits a dead letter, and send the next one."`
	Replay webhookReplayCmd `cmd:"" help:"Send events again: some of a stream, everything since a time, or all dead letters."`
	Log    webhookLogCmd    `cmd:"" help:"Show the last attempts, or the dead letters."`
	Listen webhookListenCmd `cmd:"" help:"Receive on this machine: verify each delivery and print it."`
}

// call makes a request of the API and prints the response as indented JSON.
func (l login) call(ctx context.Context, std *stdio, method, path string, body any) error {
	answer, err := l.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, answer, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, text.String())
	return err
}

// table prints a list of the API with a line for each item, or as it is in JSON.
func table[T any](ctx context.Context, l login, std *stdio, path string, whole bool, header string, line func(T) string) error {
	if whole {
		return l.call(ctx, std, http.MethodGet, path, nil)
	}
	answer, err := l.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	var list []T
	if err := json.Unmarshal(answer, &list); err != nil {
		return err
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, header)
	for _, item := range list {
		_, _ = fmt.Fprintln(w, line(item))
	}
	return w.Flush()
}

// ask makes a request of the API and returns the response.
func (l login) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	if _, err := l.client(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	a, err := l.request(ctx, method, path, strings.TrimSpace(l.Token), body)
	if err != nil {
		return nil, err
	}
	if a.code >= http.StatusMultipleChoices {
		var problem struct {
			Detail string `json:"detail"`
		}
		if json.Unmarshal(a.body, &problem) == nil && problem.Detail != "" {
			return nil, errors.New(problem.Detail)
		}
		return nil, errors.New("the server answered " + a.status)
	}
	return a.body, nil
}

func webhookPath(id, rest string) string { return "/v1/webhooks/" + url.PathEscape(id) + rest }

type webhookAddCmd struct {
	login
	Scope       string   `arg:"" help:"The group or scope."`
	To          string   `arg:"" name:"receiver" help:"The URL to which events are sent."`
	Types       []string `name:"types" help:"Only events of these types, such as message.posted."`
	Streams     []string `name:"streams" help:"Only events of these streams, such as thread/0192…."`
	Profile     string   `name:"profile" enum:"standard,markov" default:"standard" help:"The form of deliveries: ${enum}."`
	Description string   `name:"description" help:"A description that other admins see."`
}

func (c *webhookAddCmd) Run(ctx context.Context, std *stdio) error {
	body := map[string]any{"scope_id": c.Scope, "url": c.To, "profile": c.Profile}
	if len(c.Types) > 0 {
		body["types"] = c.Types
	}
	if len(c.Streams) > 0 {
		body["streams"] = c.Streams
	}
	if c.Description != "" {
		body["description"] = c.Description
	}
	return c.call(ctx, std, http.MethodPost, "/v1/webhooks", body)
}

type webhookListCmd struct {
	login
	Scope string `arg:"" help:"The group or scope."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// hookView is a webhook as far as the table shows it.
type hookView struct {
	ID         string `json:"webhook_id"`
	URL        string `json:"url"`
	Registrant string `json:"registrant"`
	Disabled   string `json:"disabled"`
	Ended      string `json:"ended"`
	Delivery   struct {
		Failing int64 `json:"failing_since_ms"`
	} `json:"delivery"`
}

func (c *webhookListCmd) Run(ctx context.Context, std *stdio) error {
	path := "/v1/webhooks?limit=200&scope_id=" + url.QueryEscape(c.Scope)
	return table(ctx, c.login, std, path, c.JSON, "WEBHOOK\tURL\tREGISTRANT\tSTATE", func(h hookView) string {
		state := "ok"
		switch {
		case h.Ended != "":
			state = "ended: " + h.Ended
		case h.Disabled != "":
			state = "disabled: " + h.Disabled
		case h.Delivery.Failing > 0:
			state = "failing since " + instant(h.Delivery.Failing)
		}
		return strings.Join([]string{h.ID, printable(h.URL), h.Registrant, state}, "\t")
	})
}

func instant(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

type webhookOneCmd struct {
	login
	ID string `arg:"" name:"webhook" help:"The webhook, whk-…."`
}

func (c *webhookOneCmd) Run(ctx context.Context, std *stdio) error {
	return c.call(ctx, std, http.MethodDelete, webhookPath(c.ID, ""), nil)
}

type webhookRotateCmd struct {
	webhookOneCmd
	Keep int `name:"keep-hours" default:"24" help:"For how many hours the present secret stays valid."`
}

func (c *webhookRotateCmd) Run(ctx context.Context, std *stdio) error {
	return c.call(ctx, std, http.MethodPost, webhookPath(c.ID, "/rotate"), map[string]any{"keep_hours": c.Keep})
}

type webhookOverCmd struct{ webhookOneCmd }

// Run is called by kong.
func (c *webhookOverCmd) Run(ctx context.Context, std *stdio) error {
	return c.call(ctx, std, http.MethodPost, webhookPath(c.ID, "/take-over"), nil)
}

type webhookEnableCmd struct{ webhookOneCmd }

// Run is called by kong.
func (c *webhookEnableCmd) Run(ctx context.Context, std *stdio) error {
	return c.call(ctx, std, http.MethodPost, webhookPath(c.ID, "/enable"), nil)
}

type webhookJoinCmd struct {
	webhookOneCmd
	Stream gotong.Stream `arg:"" help:"The thread or case, such as thread/0192…."`
}

// Run is called by kong.
func (c *webhookJoinCmd) Run(ctx context.Context, std *stdio) error {
	return c.place(ctx, std, http.MethodPut, "/webhooks/")
}

// place makes a request about the webhook as a member of the stream.
func (c *webhookJoinCmd) place(ctx context.Context, std *stdio, method, among string) error {
	base, ok := map[string]string{"thread": "/v1/chat/threads/", "case": "/v1/cases/"}[c.Stream.Kind()]
	if !ok {
		return misuse("a thread or case, such as thread/0192…", "%q cannot have webhooks as members", c.Stream)
	}
	return c.call(ctx, std, method, base+url.PathEscape(c.Stream.ID())+among+url.PathEscape(c.ID), nil)
}

type webhookLeaveCmd struct{ webhookJoinCmd }

// Run is called by kong.
func (c *webhookLeaveCmd) Run(ctx context.Context, std *stdio) error {
	return c.place(ctx, std, http.MethodDelete, "/members/")
}

type webhookSkipCmd struct {
	webhookOneCmd
	Stream string `arg:"" help:"The stream that waits."`
}

func (c *webhookSkipCmd) Run(ctx context.Context, std *stdio) error {
	return c.call(ctx, std, http.MethodPost, webhookPath(c.ID, "/skip"), map[string]any{"stream": c.Stream})
}

type webhookReplayCmd struct {
	webhookOneCmd
	Stream string    `name:"stream" xor:"what" help:"Events of this stream, from --from to --to."`
	From   uint64    `name:"from" help:"The first event, by seq."`
	To     uint64    `name:"to" help:"The last event; by default the first."`
	Since  time.Time `name:"since" xor:"what" help:"Everything since this time, as in 2026-11-29T15:00:00Z."`
	Dead   bool      `name:"dead" xor:"what" help:"All dead letters."`
}

func (c *webhookReplayCmd) Run(ctx context.Context, std *stdio) error {
	body := map[string]any{}
	switch {
	case c.Stream != "":
		body["stream"], body["from_seq"], body["to_seq"] = c.Stream, c.From, max(c.From, c.To)
	case !c.Since.IsZero():
		body["since_ms"] = c.Since.UnixMilli()
	case c.Dead:
		body["dead"] = true
	default:
		return misuse("--stream STREAM --from SEQ, --since TIME or --dead", "the command does not name the events to send again")
	}
	return c.call(ctx, std, http.MethodPost, webhookPath(c.ID, "/replay"), body)
}

type webhookLogCmd struct {
	webhookOneCmd
	Dead bool `name:"dead" help:"The dead letters."`
	JSON bool `name:"json" help:"Print JSON."`
}

// delivery is an attempt or a dead letter as far as the table shows it.
type delivery struct {
	At       int64  `json:"at_ms"`
	Stream   string `json:"stream"`
	Seq      uint64 `json:"seq"`
	Status   int    `json:"status"`
	Error    string `json:"error"`
	MS       int64  `json:"duration_ms"`
	Attempts int    `json:"attempts"`
	Why      string `json:"why"`
}

func (c *webhookLogCmd) Run(ctx context.Context, std *stdio) error {
	if c.Dead {
		path := webhookPath(c.ID, "/dead-letters")
		return table(ctx, c.login, std, path, c.JSON, "AT\tSTREAM\tSEQ\tATTEMPTS\tWHY", func(d delivery) string {
			return fmt.Sprintf("%s\t%s\t%d\t%d\t%s", instant(d.At), d.Stream, d.Seq, d.Attempts, d.Why)
		})
	}
	return table(ctx, c.login, std, webhookPath(c.ID, "/deliveries"), c.JSON, "AT\tSTREAM\tSEQ\tMS\tRESPONSE", func(d delivery) string {
		response := d.Error
		if d.Status > 0 {
			response = fmt.Sprint(d.Status)
		}
		return fmt.Sprintf("%s\t%s\t%d\t%d\t%s", instant(d.At), d.Stream, d.Seq, d.MS, response)
	})
}

type webhookListenCmd struct {
	Secret string `name:"secret" required:"" env:"GOTONG_WEBHOOK_SECRET" help:"The secret of the webhook; prefer the variable to the flag."`
	Addr   string `name:"addr" default:"127.0.0.1:8090" help:"Address to listen on."`
}

func (*webhookListenCmd) Help() string {
	return `Verifies the signature of each delivery and prints its body, one per line. A delivery with a wrong signature is
answered 401. The server connects to this machine only if its outbound-networks allow it.

Examples:

    GOTONG_WEBHOOK_SECRET=whsec_… gotong webhook listen`
}

func (c *webhookListenCmd) Run(ctx context.Context, std *stdio) error {
	hook, err := hooks.NewWebhook(c.Secret)
	if err != nil || len(c.Secret) < len("whsec_")+32 {
		return misuse("a secret such as whsec_…", "the secret is malformed")
	}
	port, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(std.err, "Listening on http://%s. Ctrl-C ends it.\n", port.Addr())
	s := &http.Server{ReadTimeout: 15 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
		if err == nil {
			err = hook.Verify(body, r.Header)
		}
		if err != nil {
			_, _ = fmt.Fprintln(std.err, "rejected:", err)
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(std.out, "%s\n", bytes.TrimSpace(body))
		w.WriteHeader(http.StatusNoContent)
	})}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(port); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
