package arch

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// row is one line of the import table. Entries are paths in the repository,
// with * for one element, or "all".
type row struct {
	pattern string
	may     []string
	tests   []string
}

func TestImports(t *testing.T) {
	tree := repository(t)
	pkgs, rows := packages(t, tree), importTable(t, tree)
	for _, fault := range slices.Concat(importFaults(pkgs, rows), idleEntries(pkgs, rows)) {
		t.Error(fault)
	}
}

// importTable reads the table between the "imports" marks of the page.
func importTable(t *testing.T, tree fs.FS) []row {
	t.Helper()
	page, err := fs.ReadFile(tree, "docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(page), "<!-- imports -->")
	table, _, ended := strings.Cut(rest, "<!-- /imports -->")
	if !begun || !ended {
		t.Fatal("docs/architecture.md has no table between its imports marks")
	}
	var rows []row
	for cells := range tableRows(table) {
		if len(cells) != 3 {
			t.Fatalf("docs/architecture.md: a row of the import table has not three cells: %q", cells)
		}
		r := row{entries(cells[0])[0], entries(cells[1]), entries(cells[2])}
		if slices.ContainsFunc(rows, func(other row) bool { return other.pattern == r.pattern }) {
			t.Fatalf("docs/architecture.md: the import table has two rows for %s", r.pattern)
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		t.Fatal("docs/architecture.md: the import table is empty")
	}
	return rows
}

// tableRows is the cells of each line of a Markdown table that begins with a
// cell in backquotes.
func tableRows(text string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "| `") {
				continue
			}
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			if !yield(cells) {
				return
			}
		}
	}
}

func entries(cell string) []string {
	var list []string
	for e := range strings.SplitSeq(cell, ",") {
		if e = strings.Trim(e, " `"); e != "–" {
			list = append(list, e)
		}
	}
	return list
}

func importFaults(pkgs []*pkg, rows []row) []string {
	var faults []string
	for _, p := range pkgs {
		r, ok := rowOf(p.path, rows)
		if !ok {
			faults = append(faults, p.path+" has no row in the import table of docs/architecture.md")
			continue
		}
		faults = append(faults, forbidden(p, p.imports, r.may, false)...)
		faults = append(faults, forbidden(p, p.tests, slices.Concat(r.may, r.tests), true)...)
	}
	return faults
}

// rowOf prefers the row that names the package over one with a *.
func rowOf(name string, rows []row) (row, bool) {
	var found row
	for _, r := range rows {
		if r.pattern == name {
			return r, true
		}
		if ok, _ := path.Match(r.pattern, name); ok {
			found = r
		}
	}
	return found, found.pattern != ""
}

func forbidden(p *pkg, imports map[string]string, may []string, inTest bool) []string {
	var faults []string
	for imported, file := range imports {
		name, ok := own(imported)
		if !ok || name == p.path {
			continue
		}
		switch {
		case !inTest && forTests(name) && !forTests(p.path) && !slices.Contains(may, name):
			faults = append(faults, fmt.Sprintf("%s imports %s, which is for tests", file, name))
		case !slices.ContainsFunc(may, func(m string) bool { return allows(m, name) }):
			faults = append(faults, fmt.Sprintf("%s may not import %s", file, name))
		}
	}
	slices.Sort(faults)
	return faults
}

// idleEntries returns a fault for each entry that allows what no package of its
// row imports: it would let an import in that nobody decided on.
func idleEntries(pkgs []*pkg, rows []row) []string {
	var faults []string
	for _, r := range rows {
		of := slices.DeleteFunc(slices.Clone(pkgs), func(p *pkg) bool {
			its, _ := rowOf(p.path, rows)
			return its.pattern != r.pattern
		})
		for _, entry := range r.may {
			if !used(entry, of, func(p *pkg) map[string]string { return p.imports }) {
				faults = append(faults, fmt.Sprintf("%s may import %s, and nothing does", r.pattern, entry))
			}
		}
		for _, entry := range r.tests {
			if !used(entry, of, func(p *pkg) map[string]string { return p.tests }) {
				faults = append(faults, fmt.Sprintf("tests of %s may import %s, and none does", r.pattern, entry))
			}
		}
	}
	return faults
}

// used reports whether one of the packages imports what the entry allows.
func used(entry string, pkgs []*pkg, imports func(*pkg) map[string]string) bool {
	return entry == "all" || slices.ContainsFunc(pkgs, func(p *pkg) bool {
		for imported := range imports(p) {
			if name, ok := own(imported); ok && name != p.path && allows(entry, name) {
				return true
			}
		}
		return false
	})
}

func allows(entry, name string) bool {
	ok, _ := path.Match(entry, name)
	return ok || entry == "all"
}

func forTests(name string) bool { return strings.HasSuffix(name, "test") }

func TestIdleEntries(t *testing.T) {
	const page = `
<!-- imports -->
| package | may import | its tests also |
| --- | --- | --- |
| ` + "`gotong`" + ` | – | – |
| ` + "`rules/*`" + ` | ` + "`gotong`, `text`" + ` | ` + "`rules/*`, `store`" + ` |
| ` + "`text`" + ` | ` + "`gotong`" + ` | all |
<!-- /imports -->`
	tree := fstest.MapFS{
		"docs/architecture.md": {Data: []byte(page)},
		"rules/a/a.go":         {Data: []byte("package a\nimport \"gotong.dev/gotong\"")},
		"rules/b/b_test.go":    {Data: []byte("package b\nimport \"gotong.dev/gotong/rules/a\"")},
		"text/t.go":            {Data: []byte("package text")},
	}
	got := strings.Join(idleEntries(packages(t, tree), importTable(t, tree)), "; ")
	const want = "rules/* may import text, and nothing does; tests of rules/* may import store, and none does; " +
		"text may import gotong, and nothing does"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestImportFaults(t *testing.T) {
	const page = `
<!-- imports -->
| package | may import | its tests also |
| --- | --- | --- |
| ` + "`gotong`" + ` | – | – |
| ` + "`rules/*`" + ` | ` + "`gotong`" + ` | ` + "`rules/*`" + ` |
| ` + "`rules/open`" + ` | ` + "`gotong`, `rules/*`" + ` | – |
| ` + "`app`" + ` | all | all |
| ` + "`bench`" + ` | ` + "`rules/rulestest`" + ` | – |
<!-- /imports -->`
	tests := map[string]struct {
		file, body string
		want       string
	}{
		"allowed":                {"rules/a/a.go", `import "gotong.dev/gotong"`, ""},
		"outside the module":     {"rules/a/a.go", `import "os"`, ""},
		"root stays at the root": {"a.go", `import "gotong.dev/gotong/app"`, "a.go may not import app"},
		"sibling":                {"rules/a/a.go", `import "gotong.dev/gotong/rules/b"`, "rules/a/a.go may not import rules/b"},
		"sibling in a test":      {"rules/a/a_test.go", `import "gotong.dev/gotong/rules/b"`, ""},
		"itself in a test":       {"a_test.go", `import "gotong.dev/gotong"`, ""},
		"test beyond its row":    {"rules/a/a_test.go", `import "gotong.dev/gotong/app"`, "rules/a/a_test.go may not import app"},
		"behind a build tag":     {"a.go", "import \"gotong.dev/gotong/app\"\n//go:build never", "a.go may not import app"},
		"the named row wins":     {"rules/open/o.go", `import "gotong.dev/gotong/rules/b"`, ""},
		"all":                    {"app/a.go", `import "gotong.dev/gotong/rules/b"`, ""},
		"tests' own package":     {"app/a.go", `import "gotong.dev/gotong/rules/rulestest"`, "app/a.go imports rules/rulestest, which is for tests"},
		"tests' own, named":      {"bench/b.go", `import "gotong.dev/gotong/rules/rulestest"`, ""},
		"no row":                 {"new/n.go", "", "new has no row in the import table of docs/architecture.md"},
		"two elements deep":      {"rules/a/b/b.go", "", "rules/a/b has no row in the import table of docs/architecture.md"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{
				"docs/architecture.md": {Data: []byte(page)},
				test.file:              {Data: []byte("package x\n" + test.body)},
				"tools/go.mod":         {},
				"tools/t.go":           {Data: []byte("package main")},
			}
			got := strings.Join(importFaults(packages(t, tree), importTable(t, tree)), "; ")
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
