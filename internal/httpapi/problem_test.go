package httpapi_test

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

const problemsGolden = "testdata/problems.golden"

var update = flag.Bool("update", false, "write testdata/problems.golden anew")

func TestProblemTable(t *testing.T) {
	var b strings.Builder
	for _, e := range httpapi.Entries() {
		fmt.Fprintf(&b, "%d %s %q retry=%t close=%d %s\n", e.Status, e.Code, e.Title, e.Retry, e.Close, e.Type())
	}
	if *update {
		if err := os.WriteFile(problemsGolden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(problemsGolden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the table of problems is not the published one:\n%s", b.String())
	}
}

// TestEveryCodeHasARow reads the root package's codes from its source.
func TestEveryCodeHasARow(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		found++
		if httpapi.EntryOf(gotong.Code(text)).Code != gotong.Code(text) {
			t.Errorf("%s has no row", text)
		}
		return true
	})
	if found < 20 {
		t.Errorf("found only %d codes", found)
	}
}

func TestProblemOf(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		code   gotong.Code
		retry  string
	}{
		{"coded", gotong.NotFound(), 404, gotong.CodeNotFound, ""},
		{"wrapped", fmt.Errorf("somewhere: %w", gotong.NotFound()), 404, gotong.CodeNotFound, ""},
		{"internal", errors.New("dial tcp 10.0.0.1: secret"), 500, gotong.CodeInternal, ""},
		{"busy", gotong.NewError(gotong.CodeBusy, "x"), 503, gotong.CodeBusy, "1"},
		{"not yet", gotong.NewError(gotong.CodeNotYet, "x"), 503, gotong.CodeNotYet, "1"},
		{"storage failed", gotong.NewError(gotong.CodeStorageFailed, "x"), 503, gotong.CodeStorageFailed, "1"},
		{"storage full", gotong.NewError(gotong.CodeStorageFull, "x"), 507, gotong.CodeStorageFull, "1"},
		{"in progress", gotong.NewError(gotong.CodeInProgress, "x"), 409, gotong.CodeInProgress, "1"},
		{"unknown code", gotong.NewError("made_up", "x"), 500, gotong.CodeInternal, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := httpapi.ProblemOf(test.err, "trace")
			if p.Status != test.status || p.Code != test.code || p.GetHeaders().Get("Retry-After") != test.retry {
				t.Errorf("got %d %s, Retry-After %q", p.Status, p.Code, p.GetHeaders().Get("Retry-After"))
			}
			if strings.Contains(p.Detail, "secret") {
				t.Errorf("internals are shown: %s", p.Detail)
			}
		})
	}
	if got := httpapi.ProblemOf(gotong.NewError(gotong.CodeUnauthorized, "x"), "").GetHeaders().Get("WWW-Authenticate"); got == "" {
		t.Error("401 without WWW-Authenticate")
	}
	if http.StatusText(httpapi.EntryOf(gotong.CodeStorageFull).Status) == "" {
		t.Error("no such status")
	}
}
