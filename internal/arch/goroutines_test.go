package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// Everything that runs in the background is started by the Go method of a
// group, and its package waits for the group.
func TestGoroutinesAreJoined(t *testing.T) {
	for _, fault := range startFaults(t, repository(t), nil) {
		t.Error(fault)
	}
}

// startFaults finds, in product code, go statements outside the listed files,
// listed files without one, and groups that start goroutines but are not waited
// for in their package. Groups are compared by the name of the variable.
func startFaults(t *testing.T, tree fs.FS, may map[string]string) []string {
	t.Helper()
	var faults []string
	spare := maps.Clone(may)
	starts, waits := map[string]string{}, map[string]bool{} // package and group → a place that starts; waited for
	walk(t, tree, func(name string) {
		dir := path.Dir(name)
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(dir, "test") || nested(tree, dir) {
			return
		}
		body, err := fs.ReadFile(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, body, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if may[name] == "" {
					faults = append(faults, fmt.Sprintf("%s: a go statement; use the Go method of a group that is waited for", files.Position(n.Pos())))
				}
				delete(spare, name)
			case *ast.CallExpr:
				group, method := calledOn(n)
				switch method {
				case "Go":
					starts[dir+" "+group] = files.Position(n.Pos()).String()
				case "Wait":
					waits[dir+" "+group] = true
				}
			}
			return true
		})
	})
	for group, place := range starts {
		if !waits[group] {
			faults = append(faults, place+": nothing in the package waits for the group "+path.Base(strings.ReplaceAll(group, " ", "/")))
		}
	}
	for name := range spare {
		faults = append(faults, name+": listed, but has no go statement")
	}
	slices.Sort(faults)
	return faults
}

// calledOn returns the last name before the method of a call, and the method.
func calledOn(call *ast.CallExpr) (on, method string) {
	if f, ok := call.Fun.(*ast.SelectorExpr); ok {
		method = f.Sel.Name
		switch x := f.X.(type) {
		case *ast.Ident:
			on = x.Name
		case *ast.SelectorExpr:
			on = x.Sel.Name
		}
	}
	return on, method
}

func TestStartFaults(t *testing.T) {
	source := func(body string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("package p\n\nfunc f() {\n" + body + "\n}\n")}
	}
	for name, tt := range map[string]struct {
		tree fstest.MapFS
		may  map[string]string
		want []string
	}{
		"joined": {tree: fstest.MapFS{
			"p/a.go": source("s.running.Go(f)"), "p/b.go": source("running.Wait()"), "p/b_test.go": source("go f()"), "p/ptest/c.go": source("go f()"),
		}},
		"bare": {
			tree: fstest.MapFS{"p/a.go": source("x := func() {\ngo f()\n}\nx()")},
			want: []string{"p/a.go:5:1: a go statement; use the Go method of a group that is waited for"},
		},
		"listed":      {tree: fstest.MapFS{"p/a.go": source("go f()")}, may: map[string]string{"p/a.go": "a reason"}},
		"listed idly": {tree: fstest.MapFS{"p/a.go": source("")}, may: map[string]string{"p/a.go": "a reason"}, want: []string{"p/a.go: listed, but has no go statement"}},
		"not waited for": {
			tree: fstest.MapFS{"p/a.go": source("s.running.Go(f)\nother.Wait()"), "q/a.go": source("s.running.Wait()")},
			want: []string{"p/a.go:4:1: nothing in the package waits for the group running"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := startFaults(t, tt.tree, tt.may); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
