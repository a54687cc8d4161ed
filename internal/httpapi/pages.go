package httpapi

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
	"gotong.dev/gotong/api"
)

// pageCSP allows a page its style sheet and nothing else: there is no script.
const pageCSP = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// mountPages adds the OpenAPI document and the pages that show it. They are
// rendered once, when they are first asked for, because routes do not change
// while a server runs.
func mountPages(mux *http.ServeMux, a *API) {
	raw := sync.OnceValue(func() []byte { return document(a) })
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		_, _ = w.Write(raw()) // an error means that the client left
	})
	pages := template.Must(template.New("").Parse(api.Page))
	docs := sync.OnceValue(func() []byte {
		var out bytes.Buffer
		if err := pages.ExecuteTemplate(&out, "docs", pageOf(a)); err != nil {
			panic("httpapi: the page cannot be written: " + err.Error())
		}
		return out.Bytes()
	})
	mux.HandleFunc("GET /docs", func(w http.ResponseWriter, _ *http.Request) { writePage(w, docs()) })
	mux.HandleFunc("GET /docs/style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(api.Style) // as above
	})
	mux.HandleFunc("GET "+problemBase+"{code}", func(w http.ResponseWriter, r *http.Request) {
		entry, ok := entries[gotong.Code(r.PathValue("code"))]
		var page bytes.Buffer
		if !ok || pages.ExecuteTemplate(&page, "problem", map[string]any{"Title": entry.Title, "Entry": entry}) != nil {
			WriteProblem(w, r, gotong.NotFound())
			return
		}
		writePage(w, page.Bytes())
	})
}

func writePage(w http.ResponseWriter, page []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pageCSP)
	_, _ = w.Write(page) // an error means that the client left
}

type page struct {
	Title, Version, Description string
	Groups                      []pageGroup
	Schemas                     []pageSchema
	Problems                    []Entry
}

type pageGroup struct {
	Name, About string
	Operations  []pageOperation
}

// Anchor is where on the page the group begins.
func (g pageGroup) Anchor() string { return "task-" + strings.ToLower(g.Name) }

type pageOperation struct {
	ID, Method, Path, Summary, Description string
	Token                                  bool
	Parameters, Body, Answers              []pageField
	Curl, Answer                           string // of the example
}

type pageSchema struct {
	Name   string
	Fields []pageField
}

type pageField struct {
	Name, Type, Ref, About string
	Required               bool
}

func pageOf(a *API) page {
	doc := a.OpenAPI()
	p := page{
		Title: doc.Info.Title, Version: doc.Info.Version, Description: doc.Info.Description, Problems: Entries(),
	}
	for _, task := range tasks {
		group := pageGroup{Name: task.Name, About: task.Description}
		for _, op := range a.ordered {
			if op.Tags[0] == task.Name {
				group.Operations = append(group.Operations, operationOf(doc, op))
			}
		}
		if len(group.Operations) > 0 {
			p.Groups = append(p.Groups, group)
		}
	}
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		p.Schemas = append(p.Schemas, pageSchema{name, fieldsOf(schemas[name])})
	}
	return p
}

func operationOf(doc *huma.OpenAPI, op *huma.Operation) pageOperation {
	out := pageOperation{
		ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary,
		Description: op.Description, Token: len(op.Security) > 0,
	}
	for _, param := range op.Parameters {
		f := fieldOf(param.Name, param.Schema)
		f.About, f.Required = cmp.Or(param.Description, f.About), param.Required
		f.Name += " (" + param.In + ")"
		out.Parameters = append(out.Parameters, f)
	}
	if op.RequestBody != nil {
		for _, content := range op.RequestBody.Content { // one
			out.Body = fieldsOf(resolved(doc, content.Schema))
		}
	}
	out.Answers = answersOf(op)
	if e, ok := examples()[op.OperationID]; ok {
		out.Curl, out.Answer = e.curl(op), e.answer()
	}
	return out
}

// answersOf returns a line for each answer; the last is for all problems.
func answersOf(op *huma.Operation) []pageField {
	var fields []pageField
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		response := op.Responses[status]
		if response.Ref != "" {
			continue
		}
		f := pageField{Name: status, About: response.Description}
		for _, media := range response.Content {
			shown := fieldOf("", media.Schema)
			f.Type, f.Ref = shown.Type, shown.Ref
		}
		fields = append(fields, f)
	}
	return append(fields, pageField{Name: "else", About: "A problem.", Ref: "Problem"})
}

func resolved(doc *huma.OpenAPI, s *huma.Schema) *huma.Schema {
	if s.Ref != "" {
		return doc.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

func fieldsOf(s *huma.Schema) []pageField {
	var fields []pageField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		f := fieldOf(name, s.Properties[name])
		f.Required = slices.Contains(s.Required, name)
		fields = append(fields, f)
	}
	for i, one := range s.OneOf {
		fields = append(fields, fieldOf(fmt.Sprintf("form %d", i+1), one))
	}
	return fields
}

// fieldOf describes in words what the schema of a value requires.
func fieldOf(name string, s *huma.Schema) pageField {
	f := pageField{Name: name, Type: s.Type, About: s.Description}
	switch {
	case s.Ref != "":
		f.Type, f.Ref = "", s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case s.Items != nil:
		item := fieldOf("", s.Items)
		f.Type, f.Ref = strings.TrimSpace("list of "+item.Type), item.Ref
	case len(s.Enum) > 0:
		list := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			list[i] = fmt.Sprint(v)
		}
		f.Type = strings.Join(list, " | ")
	case s.Format == "date-time":
		f.Type = "date and time"
	}
	if s.MinLength != nil || s.MaxLength != nil {
		f.Type += fmt.Sprintf(", %s characters", span(s.MinLength, s.MaxLength))
	}
	return f
}

func span(least, most *int) string {
	low := 0
	if least != nil {
		low = *least
	}
	if most == nil {
		return fmt.Sprintf("at least %d", low)
	}
	return fmt.Sprintf("%d to %d", low, *most)
}
