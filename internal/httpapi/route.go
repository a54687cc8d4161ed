package httpapi

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
)

// API is what routes are registered on.
type API struct {
	huma.API
	guard   *guard
	ordered []*huma.Operation // as they were registered: the order of tasks
}

const apiKey = "httpapi"
const routeKey = "route"

// Route describes one operation.
type Route struct {
	ID          string
	Method      string
	Path        string
	Tag         string
	Summary     string
	Description string
	Subject     string // what the id in the path names, if the input does not name it
	Status      int    // of success; 0 is 200
	Public      bool   // needs no bearer token
	Strict      bool   // counts against the stricter limit per address
	Counts      bool   // with Strict: the handler calls [Count] after it has read the proof of a login
	Write       bool   // changes something and accepts an Idempotency-Key
	Sends       string // the media type of a body that is not JSON; a form has the part file
	Successor   string // the route that replaces it, relative to this one; set: it is deprecated
	Gives       string // the media type of an answer that is not JSON
}

// Register adds an operation. The input names parameters by huma's tags and may
// have one field of type [Body]; an operation that writes and accepts no body
// has one of type [NoBody].
func Register[I, O any](a *API, route Route, handler func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		OperationID: route.ID, Method: route.Method, Path: route.Path, Tags: []string{route.Tag},
		Summary: route.Summary, Description: route.Description, DefaultStatus: route.Status,

		RejectUnknownQueryParameters: true,
		Metadata:                     map[string]any{apiKey: a, routeKey: route},
	}
	op.Deprecated = route.Successor != ""
	if op.DefaultStatus == 0 {
		op.DefaultStatus = http.StatusOK
	}
	op.Security = []map[string][]string{} // explicitly none
	if !route.Public {
		op.Security = []map[string][]string{{"bearer": {}}}
	}
	body, optional := bodyOf[I]()
	huma.Register(&documenter{API: a.API, of: a, route: route, body: body, optional: optional}, op,
		func(ctx context.Context, in *I) (*O, error) {
			out, err := handler(ctx, in)
			if err != nil {
				return nil, a.guard.public(ctx, err)
			}
			CallOf(ctx).linkNext(out)
			return out, nil
		})
}

// bodyOf returns the type within the input's [Body] and whether it is optional,
// or nil.
func bodyOf[I any]() (body reflect.Type, optional bool) {
	for f := range reflect.TypeFor[I]().Fields() {
		field := reflect.New(f.Type).Interface()
		if b, ok := field.(interface{ bodyType() reflect.Type }); ok {
			_, optional = field.(interface{ optional() })
			return b.bodyType(), optional
		}
	}
	return nil, false
}

// documenter adds to the document of an operation what huma does not know: the
// body, which huma does not read, and common headers.
type documenter struct {
	huma.API
	of       *API
	route    Route
	body     reflect.Type
	optional bool
}

// DocumentOperation adds the operation to the document; huma calls it.
func (d *documenter) DocumentOperation(op *huma.Operation) {
	if d.body != nil {
		op.RequestBody = d.requestBody(op)
	}
	if d.route.Sends != "" {
		op.RequestBody = &huma.RequestBody{Required: true, Content: media(d.route.Sends)}
	}
	if d.route.Gives != "" {
		op.Responses[strconv.Itoa(op.DefaultStatus)].Content = media(d.route.Gives)
	}
	text := &huma.Schema{Type: huma.TypeString}
	if d.route.Write {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "Idempotency-Key", In: "header", Schema: keySchema(),
			Description: "The key of this request: however often it is repeated with the same key, it writes to the log once. " +
				"If it is missing, one is made and returned.",
		})
	}
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "X-Correlation-Id", In: "header", Schema: keySchema(),
		Description: "Links requests; stored with the events that they write.",
	})
	for _, p := range op.Parameters {
		if p.Name == "id" && p.In == "path" && d.route.Subject != "" {
			p.Description, p.Schema.Description = d.route.Subject, d.route.Subject
		}
		p.Schema = published(p)
		if p.Name == "If-None-Match" {
			op.Responses["304"] = &huma.Response{Description: "Not modified: the client has the current representation."}
		}
	}
	for status, response := range maps.Clone(op.Responses) {
		if status == "default" {
			op.Responses[status] = d.problem(response)
			op.Responses["4XX"] = op.Responses[status]
			continue
		}
		if response.Headers == nil {
			response.Headers = map[string]*huma.Param{}
		}
		response.Headers["X-Correlation-Id"] = &huma.Header{Schema: text}
		if status == "304" {
			response.Headers["ETag"] = &huma.Header{Schema: text}
			continue
		}
		if response.Headers["X-Has-More"] != nil {
			response.Headers["Link"] = &huma.Header{Schema: text, Description: "The next page, if there is one, as rel=next (RFC 8288)."}
		}
		if op.Deprecated {
			response.Headers["Deprecation"] = &huma.Header{Schema: text, Description: "Since when the route is deprecated (RFC 9745)."}
		}
		if d.route.Write {
			response.Headers["Idempotency-Key"] = &huma.Header{Schema: text}
			response.Headers["X-Cursor"] = &huma.Header{Schema: text, Description: "The cursor after the events that this request wrote."}
			response.Headers["Idempotency-Replayed"] = &huma.Header{Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"true"}}}
		}
	}
	examples()[op.OperationID].document(op)
	d.OpenAPI().AddOperation(op)
	d.of.ordered = append(d.of.ordered, op)
}

func (d *documenter) requestBody(op *huma.Operation) *huma.RequestBody {
	registry := d.OpenAPI().Components.Schemas
	schema := registry.Schema(d.body, true, op.OperationID+"-body")
	fields := schema
	if schema.Ref != "" {
		fields = registry.SchemaFromRef(schema.Ref)
	}
	formed(fields)
	fields.PrecomputeMessages()
	return &huma.RequestBody{
		Required: !d.optional, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}
}

// problem puts the error, which is the same for every operation, into one place
// of the document, and refers to it.
func (d *documenter) problem(response *huma.Response) *huma.Response {
	shared := d.OpenAPI().Components
	if shared.Responses == nil {
		response.Description = "A problem (RFC 9457), identified by its code; the table under /docs lists the status of each code."
		response.Headers = map[string]*huma.Param{
			"X-Correlation-Id": {Schema: &huma.Schema{Type: huma.TypeString}},
			"Retry-After": {
				Description: "Seconds to wait, if the same request may succeed later (408, 409 request_in_progress, 429, 503, 507).",
				Schema:      &huma.Schema{Type: huma.TypeInteger, Minimum: new(1.0)},
			},
			"WWW-Authenticate": {Description: "With 401.", Schema: &huma.Schema{Type: huma.TypeString}},
		}
		shared.Responses = map[string]*huma.Response{"Problem": response}
		code := shared.Schemas.Map()["Problem"].Properties["code"]
		for _, e := range Entries() {
			code.Enum = append(code.Enum, string(e.Code))
		}
	}
	return &huma.Response{Ref: responseRef + "Problem"}
}

const responseRef = "#/components/responses/"

func keySchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: "^[A-Za-z0-9._:-]{1,128}$"}
}

func routeOf(ctx huma.Context) Route {
	r, _ := ctx.Operation().Metadata[routeKey].(Route)
	return r
}

func apiOf(ctx huma.Context) *API {
	return ctx.Operation().Metadata[apiKey].(*API) //nolint:forcetypeassert // Register puts it there
}

// validKey checks an idempotency key that a client sent.
func validKey(key string) error {
	if gotong.ValidRequestID(key) {
		return nil
	}
	return gotong.Invalid("Idempotency-Key", "must be 1 to 128 of A-Za-z0-9._:-")
}
