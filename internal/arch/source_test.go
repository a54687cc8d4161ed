package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path that imports of this repository begin with.
const module = "gotong.dev/gotong"

// pkg is one folder with Go files, by its path in the repository; the root is
// "gotong".
type pkg struct {
	path    string
	command bool
	code    bool              // has a file that is no test
	imports map[string]string // what is imported → a file that does
	tests   map[string]string // the same, for files named _test.go
	docs    []string          // the package comments
}

// repository is the tree that this package lies in.
func repository(t *testing.T) fs.FS {
	t.Helper()
	return os.DirFS("../..")
}

// packages reads every Go file below tree.
func packages(t *testing.T, tree fs.FS) []*pkg {
	t.Helper()
	byPath := map[string]*pkg{}
	walk(t, tree, func(name string) {
		if path.Ext(name) == ".go" {
			read(t, tree, name, byPath)
		}
	})
	list := make([]*pkg, 0, len(byPath))
	for _, p := range byPath {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return list
}

// walk calls visit with every file of this module.
func walk(t *testing.T, tree fs.FS, visit func(name string)) {
	t.Helper()
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			visit(name)
		case slices.Contains([]string{"testdata", "node_modules", "bin", ".git"}, d.Name()):
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, tree fs.FS, name string, byPath map[string]*pkg) {
	t.Helper()
	dir := path.Dir(name)
	if nested(tree, dir) {
		return
	}
	body, err := fs.ReadFile(tree, name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, body, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if dir == "." {
		dir = "gotong"
	}
	p := byPath[dir]
	if p == nil {
		p = &pkg{path: dir, imports: map[string]string{}, tests: map[string]string{}}
		byPath[dir] = p
	}
	p.add(t, name, file)
}

func (p *pkg) add(t *testing.T, name string, file *ast.File) {
	t.Helper()
	into := p.imports
	if strings.HasSuffix(name, "_test.go") {
		into = p.tests
	} else {
		p.code = true
		p.command = file.Name.Name == "main"
		if file.Doc != nil {
			p.docs = append(p.docs, file.Doc.Text())
		}
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		into[imported] = name
	}
}

// nested reports whether dir lies in a module of its own.
func nested(tree fs.FS, dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, err := fs.Stat(tree, path.Join(dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

// own is the path in the repository of an import of this module.
func own(imported string) (string, bool) {
	if imported == module {
		return "gotong", true
	}
	return strings.CutPrefix(imported, module+"/")
}
