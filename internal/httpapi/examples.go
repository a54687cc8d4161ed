package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong/api"
)

// example is a request and its answer, as a test recorded them.
type example struct {
	Path     string          `json:"path"` // with its query
	Request  json.RawMessage `json:"request,omitempty"`
	Key      string          `json:"idempotency_key,omitempty"` // where the operation needs one
	Headers  []string        `json:"headers,omitempty"`         // beside the usual ones
	Response json.RawMessage `json:"response,omitempty"`
}

// examples returns the recorded requests, by operation. They are decoded once, and
// not in processes without a server.
var examples = sync.OnceValue(func() map[string]example {
	var m map[string]example
	if err := json.Unmarshal(api.Examples, &m); err != nil {
		panic("httpapi: api/examples.json cannot be read: " + err.Error())
	}
	return m
})

// document adds the example to the published operation.
func (e example) document(op *huma.Operation) {
	const media = "application/json"
	if op.RequestBody != nil && e.Request != nil {
		op.RequestBody.Content[media].Example = e.Request
	}
	for status, response := range op.Responses {
		if strings.HasPrefix(status, "2") && response.Content[media] != nil && e.Response != nil {
			response.Content[media].Example = e.Response
		}
	}
}

// curl returns the example as a shell command. It reads the address of the server
// from the variable G and the caller's token from TOKEN.
func (e example) curl(op *huma.Operation) string {
	var b strings.Builder
	b.WriteString("curl -sS")
	switch op.Method {
	case http.MethodGet:
	case http.MethodHead:
		b.WriteString(" -I")
	default:
		b.WriteString(" -X " + op.Method)
	}
	b.WriteString(` "$G` + e.Path + `"`)
	if len(op.Security) > 0 {
		b.WriteString(" \\\n  -H \"Authorization: Bearer $TOKEN\"")
	}
	if e.Key != "" {
		b.WriteString(" \\\n  -H " + quoted("Idempotency-Key: "+e.Key))
	}
	for _, header := range e.Headers {
		b.WriteString(" \\\n  -H " + quoted(header))
	}
	if op.RequestBody != nil && op.RequestBody.Content[form] != nil {
		b.WriteString(" \\\n  -F file=@FILE")
	}
	if op.RequestBody != nil && op.RequestBody.Content[chunks] != nil {
		b.WriteString(" \\\n  -H 'Content-Type: " + chunks + "' \\\n  --data-binary @FILE")
	}
	if e.Request != nil {
		b.WriteString(" \\\n  -H 'Content-Type: application/json' \\\n  -d " + quoted(string(e.Request)))
	}
	return b.String()
}

// quoted returns s as one word of a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// answer returns the recorded answer, indented.
func (e example) answer() string {
	raw, err := json.MarshalIndent(e.Response, "", "  ")
	if err != nil || e.Response == nil {
		return ""
	}
	return string(raw)
}
