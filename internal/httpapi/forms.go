package httpapi

import (
	"cmp"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
)

// The forms of parameters. Handlers check them, because a value of another form
// has its own answer: 404 for an id.
const (
	idForm       = "^[A-Za-z0-9._:-]{1,128}$"
	eventForm    = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
	positionForm = "^[a-z0-9]{4,32}:(0|[1-9][0-9]{0,18})$"
	tagForm      = `^\*$|^"(0|[1-9][0-9]*)(\\.[^"]*)?"$`
)

// forms are the forms of parameters, by name.
var forms = map[string]string{
	"id": idForm, "uid": idForm, "mid": eventForm, "since_message_id": eventForm, "min_seq": positionForm, "before_seq": positionForm,
	"after_seq": "^start$|" + positionForm, "cursor": "^[A-Za-z0-9_-]+$", "If-Match": tagForm,
}

// bodyForms are the forms of fields of bodies, by name.
var bodyForms = map[string]string{
	"user_id": idForm, "scope_id": idForm, "community_id": idForm, "message_id": eventForm, "reply_to": eventForm,
}

// timeFields are the fields of bodies that hold milliseconds since 1970.
var timeFields = [...]string{"sent_at_ms", "until_ms"}

// formed adds the forms of the fields to the schema of a body.
func formed(schema *huma.Schema) {
	for name, form := range bodyForms {
		if field := schema.Properties[name]; field != nil {
			field.Pattern = form
		}
	}
	for _, name := range timeFields {
		if field := schema.Properties[name]; field != nil {
			field.Minimum, field.Maximum = cmp.Or(field.Minimum, new(0.0)), new(float64(gotong.MaxTimeMS))
		}
	}
}

// published returns the schema of a parameter as it is published. It is a copy,
// because huma would answer 422 to a value that violates its own schema.
func published(p *huma.Param) *huma.Schema {
	form, ok := forms[p.Name]
	if !ok || p.Schema.Pattern != "" {
		return p.Schema
	}
	schema := *p.Schema
	schema.Pattern = form
	return &schema
}

// once are the headers that can have only one value. With two values, a request
// means two things: a proxy may have checked the other one.
var once = [...]string{
	"Access-Control-Request-Method", "Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key", "If-Match",
	"If-None-Match", "Last-Event-Id", "Origin", "Sec-Websocket-Key", "Sec-Websocket-Version", "Traceparent",
	"Tus-Resumable", "Upload-Length", "Upload-Metadata", "Upload-Offset", "X-Correlation-Id", "X-Request-Id",
}

// checkOnce returns an error that names the first such header that a request
// has twice.
func checkOnce(h http.Header) error {
	for _, name := range once {
		if len(h[name]) > 1 {
			return gotong.NewError(CodeBadRequest, "The header "+name+" must not occur twice.")
		}
	}
	return nil
}

// ends reports whether the connection must end after r. net/http removes
// Content-Length beside a Transfer-Encoding, and Transfer-Encoding from
// HTTP/1.0, before a handler can see that both were there. The proxy that sent
// the request may disagree about its end.
func ends(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0)
}

// strictParams allows one spelling of each value of a parameter, as in bodies.
// huma parses with strconv, which also accepts a sign, leading zeros, or "t"
// for true.
func strictParams(ctx huma.Context) error {
	for _, p := range ctx.Operation().Parameters {
		text := ""
		switch p.In {
		case "query":
			text = ctx.Query(p.Name)
		case "header":
			text = ctx.Header(p.Name)
		}
		switch {
		case text == "":
		case p.Schema.Type == huma.TypeInteger:
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) != text {
				return gotong.Invalid(p.Name, "must be a whole number, written as in JSON")
			}
		case p.Schema.Type == huma.TypeBoolean && text != "true" && text != "false":
			return gotong.Invalid(p.Name, "must be true or false")
		}
	}
	return nil
}
