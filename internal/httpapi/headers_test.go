package httpapi_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"

	"gotong.dev/gotong/internal/httpapi"
)

// literals are the header names that the code of the edge uses in calls of
// these methods of a header, each with a place.
func literals(t *testing.T, calls ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			name, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains(calls, name.Sel.Name) || !isHeader(name.X) && name.Sel.Name != "setHeader" {
				return true
			}
			for _, arg := range call.Args[:1] {
				if text, ok := arg.(*ast.BasicLit); ok {
					header, _ := strconv.Unquote(text.Value)
					found[http.CanonicalHeaderKey(header)] = set.Position(n.Pos()).String()
				} else {
					t.Logf("%s: a name that is no literal", set.Position(n.Pos()))
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// isHeader reports whether an expression is a header, by its name.
func isHeader(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.SelectorExpr:
		return x.Sel.Name == "Header" || x.Sel.Name == "header"
	case *ast.CallExpr:
		return isHeader(x.Fun)
	case *ast.Ident:
		return x.Name == "h" || x.Name == "header"
	}
	return false
}

func split(list string) []string {
	names := strings.Split(list, ",")
	for i := range names {
		names[i] = http.CanonicalHeaderKey(strings.TrimSpace(names[i]))
	}
	return names
}

// What a page of another origin may send and see is what the server reads and
// says: the CORS lists are compared with the code and with the document.
func TestCORSListsAreComplete(t *testing.T) {
	w := newWorld(t, func(o *httpapi.Options) { o.Origins = httpapi.Origins{"https://warga.example"} })
	rec := w.send(http.MethodOptions, "/v1/auth/me", nil, []header{
		{"Origin", "https://warga.example"}, {"Access-Control-Request-Method", "GET"},
	})
	read := literals(t, "Get", "Values")
	for _, name := range (propagation.TraceContext{}).Fields() {
		read[http.CanonicalHeaderKey(name)] = "internal/telemetry"
	}
	set := literals(t, "Set", "Add", "setHeader")
	type response struct {
		Headers map[string]struct{} `json:"headers"`
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name string `json:"name"`
				In   string `json:"in"`
			} `json:"parameters"`
			Responses map[string]response `json:"responses"`
		} `json:"paths"`
		Components struct {
			Responses map[string]response `json:"responses"`
		} `json:"components"`
	}
	if err := json.Unmarshal(w.server.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	note := func(responses map[string]response, place string) {
		for _, r := range responses {
			for name := range r.Headers {
				set[http.CanonicalHeaderKey(name)] = place
			}
		}
	}
	note(doc.Components.Responses, "components")
	for path, item := range doc.Paths {
		for _, op := range item {
			note(op.Responses, path)
			for _, p := range op.Parameters {
				if p.In == "header" {
					read[http.CanonicalHeaderKey(p.Name)] = path
				}
			}
		}
	}
	// Browsers set these themselves, or none has a use for them.
	for _, name := range []string{
		"Origin", "Access-Control-Request-Method", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Protocol", "Content-Encoding",
	} {
		delete(read, name)
	}
	// These are for the browser, or every page sees them (Fetch, "CORS-safelisted response-header name").
	for name := range set {
		if strings.HasPrefix(name, "Access-Control-") || slices.Contains([]string{
			"Cache-Control", "Content-Type", "Content-Security-Policy", "Referrer-Policy", "Vary", "X-Content-Type-Options", "X-Frame-Options",
			"Connection", "Upgrade", "Sec-Websocket-Version", "X-Accel-Buffering", "Allow", "Www-Authenticate",
		}, name) {
			delete(set, name)
		}
	}
	for _, list := range []struct {
		name string
		used map[string]string
	}{{"Access-Control-Allow-Headers", read}, {"Access-Control-Expose-Headers", set}} {
		got := split(rec.header.Get(list.name))
		for name, place := range list.used {
			if !slices.Contains(got, name) {
				t.Errorf("%s lacks %s, used in %s", list.name, name, place)
			}
		}
		for _, name := range got {
			if _, ok := list.used[name]; !ok {
				t.Errorf("%s has %s, which nothing uses: %q", list.name, name, slices.Sorted(maps.Keys(list.used)))
			}
		}
	}
	if len(read) < 8 || len(set) < 8 {
		t.Fatalf("too few headers were found: %v %v", read, set)
	}
}
