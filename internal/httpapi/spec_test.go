package httpapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"gotong.dev/gotong/api"
)

var update = flag.Bool("update", false, "write api/openapi.json anew")

// spec is the published document, made ready to check traffic against it.
type spec struct {
	t        *testing.T
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
	_, pattern := s.mux.Handler(r)
	if pattern == "" {
		return // not an operation: 404, 405, pages
	}
	method, path, _ := strings.Cut(pattern, " ")
	method = strings.ToLower(method)
	operation := s.paths[path][method].(map[string]any)
	status := strconv.Itoa(a.code)
	response, ok := operation["responses"].(map[string]any)[status].(map[string]any)
	if a.code == http.StatusNotModified && len(a.body) == 0 {
		return
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

func TestDocumentIsPublished(t *testing.T) {
	got := newWorld(t).server.OpenAPI()
	if *update {
		if err := os.WriteFile("../../api/openapi.json", got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(got, api.OpenAPI) {
		t.Error("api/openapi.json is not what the routes publish; run the test with -update and look at the difference")
	}
}

// TestNoDangerousSchema walks the whole document: on the pinned huma,
// uniqueItems panics on arrays of objects, and some formats put the rejected
// value into their message.
func TestNoDangerousSchema(t *testing.T) {
	var doc any
	if err := json.Unmarshal(newWorld(t).server.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	harmless := []string{"", "int64", "int32", "date-time", "uri-reference"}
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
				walk(path+"/"+name, inner)
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
