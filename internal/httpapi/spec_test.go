package httpapi_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

// spec is the published document, made ready to check traffic against it.
type spec struct {
	t        *testing.T
	mu       sync.Mutex // of check: the compiler is for one goroutine
	mux      *http.ServeMux
	paths    map[string]map[string]any // path → method → operation
	shared   map[string]any            // responses that several operations share
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

const specURL = "mem:///openapi.json"

func newSpec(t *testing.T, raw []byte) *spec {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	s := &spec{
		t: t, mux: http.NewServeMux(), paths: map[string]map[string]any{},
		compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{},
	}
	s.compiler.DefaultDraft(jsonschema.Draft2020)
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource(specURL, doc); err != nil {
		t.Fatal(err)
	}
	s.shared, _ = doc.(map[string]any)["components"].(map[string]any)["responses"].(map[string]any)
	for path, item := range doc.(map[string]any)["paths"].(map[string]any) {
		operations := item.(map[string]any)
		s.paths[path] = operations
		for method := range operations {
			s.mux.Handle(strings.ToUpper(method)+" "+path, http.NotFoundHandler())
		}
	}
	return s
}

// check fails the test where an answer is not as published.
func (s *spec) check(r *http.Request, a *answer) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, pattern := s.mux.Handler(r)
	if pattern == "" {
		return // not an operation: 404, 405, pages
	}
	method, path, _ := strings.Cut(pattern, " ")
	method = strings.ToLower(method)
	operation := s.paths[path][method].(map[string]any)
	status := strconv.Itoa(a.code)
	response, ok := operation["responses"].(map[string]any)[status].(map[string]any)
	if !ok && a.code >= http.StatusBadRequest {
		status = "default"
		response, ok = operation["responses"].(map[string]any)[status].(map[string]any)
	}
	if !ok {
		s.t.Errorf("%s: status %s is not published", a.request, status)
		return
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "+", "%2B")
	pointer := "#/paths/" + escape.Replace(path) + "/" + method + "/responses/" + status
	if ref, ok := response["$ref"].(string); ok {
		pointer, response = ref, s.shared[ref[strings.LastIndexByte(ref, '/')+1:]].(map[string]any)
	}
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 {
		if len(a.body) > 0 {
			s.t.Errorf("%s: a body where none is published: %s", a.request, a.body)
		}
		return
	}
	media := a.header.Get("Content-Type")
	if _, ok := content[media]; !ok {
		s.t.Errorf("%s: content type %q is not published for %s", a.request, media, status)
		return
	}
	if r.Method == http.MethodHead { // has the header fields of an answer, and no body
		return
	}
	schema := s.compile(pointer + "/content/" + escape.Replace(media) + "/schema")
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		s.t.Errorf("%s: the answer is not as published: %v\n%s", a.request, err, a.body)
	}
}

func (s *spec) compile(pointer string) *jsonschema.Schema {
	s.t.Helper()
	if schema, ok := s.schemas[pointer]; ok {
		return schema
	}
	schema, err := s.compiler.Compile(specURL + pointer)
	if err != nil {
		s.t.Fatal(err)
	}
	s.schemas[pointer] = schema
	return schema
}

// TestNoDangerousSchema walks the whole document: on the pinned huma,
// uniqueItems panics on arrays of objects, and some formats put the rejected
// value into their message.
func TestNoDangerousSchema(t *testing.T) {
	var doc any
	if err := json.Unmarshal(newWorld(t).server.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	harmless := []string{"", "int64", "int32", "double", "date-time", "uri-reference", "binary"}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if _, ok := v["uniqueItems"]; ok {
				t.Errorf("%s has uniqueItems", path)
			}
			if format, ok := v["format"].(string); ok && !slices.Contains(harmless, format) {
				t.Errorf("%s has format %s", path, format)
			}
			for name, inner := range v {
				if name != "example" {
					walk(path+"/"+name, inner)
				}
			}
		case []any:
			for i, inner := range v {
				walk(path+"/"+strconv.Itoa(i), inner)
			}
		}
	}
	walk("", doc)
}

func TestEveryOperationIsDescribed(t *testing.T) {
	var doc struct {
		OpenAPI string                               `json:"openapi"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(newWorld(t).server.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("got OpenAPI %s", doc.OpenAPI)
	}
	seen := map[string]bool{}
	for path, item := range doc.Paths {
		for method, op := range item {
			id, _ := op["operationId"].(string)
			if id == "" || seen[id] || op["summary"] == "" || op["tags"] == nil {
				t.Errorf("%s %s: id %q, summary %q, tags %v", method, path, id, op["summary"], op["tags"])
			}
			seen[id] = true
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d operations", len(seen))
	}
}

// What the server rejects for its form, whatever the state, the document does not
// offer.
func TestFormsOfBodiesArePublished(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	message := ani.say(th, "hello").want(201).str("message_id")
	late := int64(gotong.MaxTimeMS + 1)
	for _, tc := range []struct {
		method, path, published string
		body                    map[string]any
	}{
		{"POST", "/v1/auth/signup", "", map[string]any{"email": "x@example.org", "pass": "long enough", "username": "xena", "community_id": "a b"}},
		{"POST", "/v1/chat/threads", "", map[string]any{"scope_id": "a b", "privacy_level": "public"}},
		{"POST", th + "/members", "/v1/chat/threads/{id}/members", map[string]any{"user_id": "a b"}},
		{"POST", th + "/read-cursor", "/v1/chat/threads/{id}/read-cursor", map[string]any{"message_id": "x"}},
		{"POST", th + "/messages/send", "/v1/chat/threads/{id}/messages/send", map[string]any{"body": "x", "reply_to": "x"}},
		{"POST", th + "/messages/send", "/v1/chat/threads/{id}/messages/send", map[string]any{"body": "x", "sent_at_ms": -5}},
		{"POST", th + "/members/x/mute", "/v1/chat/threads/{id}/members/{uid}/mute", map[string]any{"until_ms": late}},
		{"PUT", th + "/members/x/ban", "/v1/chat/threads/{id}/members/{uid}/ban", map[string]any{"until_ms": late}},
		{"PATCH", th + "/messages/" + message, "/v1/chat/threads/{id}/messages/{mid}", map[string]any{"body": "", "revision": 1}},
	} {
		ani.do(tc.method, tc.path, tc.body).problem(422, gotong.CodeInvalid)
		escape := strings.NewReplacer("/", "~1", "{", "%7B", "}", "%7D")
		schema := w.spec.compile("#/paths/" + escape.Replace(cmp.Or(tc.published, tc.path)) + "/" + strings.ToLower(tc.method) +
			"/requestBody/content/application~1json/schema")
		text, err := json.Marshal(tc.body)
		if err != nil {
			t.Fatal(err)
		}
		if value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil || schema.Validate(value) == nil {
			t.Errorf("%s %s: %s is published as valid (%v)", tc.method, tc.path, text, err)
		}
	}
}

// TestDocumentIsClean holds the document to the recommended rules of Redocly's
// linter, whose installation is larger than the server, and to what clients need.
func TestDocumentIsClean(t *testing.T) {
	raw := newWorld(t).server.OpenAPI()
	var doc struct {
		Servers []any `json:"servers"`
		Tags    []struct {
			Name        string `json:"name"`
			Description string `json:"description"`
		} `json:"tags"`
		Info struct {
			License struct {
				URL string `json:"url"`
			} `json:"license"`
		} `json:"info"`
		Paths map[string]map[string]struct {
			Summary    string                 `json:"summary"`
			Tags       []string               `json:"tags"`
			Security   *[]map[string][]string `json:"security"`
			Parameters []struct {
				Name string `json:"name"`
				In   string `json:"in"`
			} `json:"parameters"`
			Responses map[string]any `json:"responses"`
		} `json:"paths"`
		Components map[string]map[string]json.RawMessage `json:"components"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Servers) == 0 || doc.Info.License.URL == "" {
		t.Errorf("servers %v, license %q", doc.Servers, doc.Info.License.URL)
	}
	described := map[string]bool{}
	for _, tag := range doc.Tags {
		described[tag.Name] = tag.Description != ""
	}
	public := 0
	for path, item := range doc.Paths {
		for method, op := range item {
			at := method + " " + path
			if op.Security == nil {
				t.Errorf("%s does not say whether it needs a token", at)
			} else if len(*op.Security) == 0 {
				public++
			}
			for _, tag := range op.Tags {
				if !described[tag] {
					t.Errorf("%s: the tag %s has no description", at, tag)
				}
			}
			_, problems := op.Responses["default"]
			_, rejected := op.Responses["4XX"]
			_, same := op.Responses["304"]
			if !problems || !rejected || len(op.Responses) > 4 {
				t.Errorf("%s: the answers are %v", at, slices.Sorted(maps.Keys(op.Responses)))
			}
			conditional := false
			for _, p := range op.Parameters {
				conditional = conditional || p.Name == "If-None-Match"
				if p.In == "path" && !strings.Contains(path, "{"+p.Name+"}") {
					t.Errorf("%s: the parameter %s is not in the path", at, p.Name)
				}
			}
			if conditional != same {
				t.Errorf("%s: takes If-None-Match: %v, answers 304: %v", at, conditional, same)
			}
		}
	}
	if public == 0 || public > 12 {
		t.Errorf("%d operations need no token", public)
	}
	for _, sort := range []string{"schemas", "responses"} {
		for name := range doc.Components[sort] {
			if !bytes.Contains(raw, []byte(`"#/components/`+sort+"/"+name+`"`)) {
				t.Errorf("nothing refers to %s/%s", sort, name)
			}
		}
	}
	var problem struct {
		Properties struct {
			Code struct {
				Enum []string `json:"enum"`
			} `json:"code"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(doc.Components["schemas"]["Problem"], &problem); err != nil || len(problem.Properties.Code.Enum) != len(httpapi.Entries()) {
		t.Errorf("the codes are %v, %v", problem.Properties.Code.Enum, err)
	}
	if !bytes.Contains(doc.Components["responses"]["Problem"], []byte(`"Retry-After"`)) {
		t.Error("a problem has no Retry-After")
	}
}
