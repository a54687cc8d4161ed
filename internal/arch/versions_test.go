package arch

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	versionsPage = "docs/adr/0002-stack-versions.md"
	consoleMod   = "internal/console/dev/go.mod"
)

func TestVersions(t *testing.T) {
	tree := repository(t)
	for _, fault := range versionFaults(t, tree) {
		t.Error(fault)
	}
}

// goMod is what the checks need of a go.mod.
type goMod struct {
	language, toolchain string
	requires            map[string]string // module → version
	direct              []string          // those that are not marked as indirect
	tools               []string          // packages
	replaces            int
}

func readGoMod(t *testing.T, tree fs.FS, name string) goMod {
	t.Helper()
	body, err := fs.ReadFile(tree, name)
	if err != nil {
		t.Fatal(err)
	}
	m := goMod{requires: map[string]string{}}
	block := ""
	for line := range strings.Lines(string(body)) {
		line, comment, _ := strings.Cut(line, "//")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case len(words) == 2 && words[1] == "(":
			block = words[0]
		case words[0] == ")":
			block = ""
		case block != "":
			m.add(block, words)
		default:
			m.add(words[0], words[1:])
			words = words[1:]
		}
		if len(words) == 2 && m.requires[words[0]] == words[1] && strings.TrimSpace(comment) != "indirect" {
			m.direct = append(m.direct, words[0])
		}
	}
	return m
}

func (m *goMod) add(directive string, words []string) {
	switch directive {
	case "go":
		m.language = words[0]
	case "toolchain":
		m.toolchain = words[0]
	case "require":
		m.requires[words[0]] = words[1]
	case "tool":
		m.tools = append(m.tools, words[0])
	case "replace":
		m.replaces++
	}
}

// stack is the tables of the versions page: by section, name → version.
func stack(t *testing.T, tree fs.FS) map[string]map[string]string {
	t.Helper()
	page, err := fs.ReadFile(tree, versionsPage)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]map[string]string{}
	for text := range strings.SplitSeq(string(page), "\n## ") {
		title, body, _ := strings.Cut(text, "\n")
		rows := map[string]string{}
		for cells := range tableRows(body) {
			if len(cells) != 4 || cells[2] == "" || cells[3] == "" {
				t.Errorf("%s: %s lacks its licence or its reason", versionsPage, cells[0])
				continue
			}
			rows[strings.Trim(cells[0], "`")] = cells[1]
		}
		sections[title] = rows
	}
	return sections
}

func versionFaults(t *testing.T, tree fs.FS) []string {
	t.Helper()
	page := stack(t, tree)
	root, tools := readGoMod(t, tree, "go.mod"), readGoMod(t, tree, "tools/go.mod")
	console := readGoMod(t, tree, consoleMod)
	return slices.Concat(
		goFaults("go.mod", root, page["Go"]),
		goFaults("tools/go.mod", tools, page["Go"]),
		goFaults(consoleMod, console, page["Go"]),
		rowFaults("go.mod", root.requires, imported(packages(t, tree), root.requires), page["Libraries"]),
		rowFaults("tools/go.mod", tools.requires, owners(tools.tools, tools.requires), page["Tools"]),
		rowFaults(consoleMod, console.requires, console.direct, page["Console"]),
		floating(t, tree, page["Node"], page["Servers"]),
	)
}

var (
	exactLanguage  = regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	exactToolchain = regexp.MustCompile(`^go\d+\.\d+\.\d+$`)
)

func goFaults(file string, m goMod, page map[string]string) []string {
	var faults []string
	if !exactLanguage.MatchString(m.language) || m.language != page["go"] {
		faults = append(faults, fmt.Sprintf("%s: go is %q, the versions page has %q", file, m.language, page["go"]))
	}
	if !exactToolchain.MatchString(m.toolchain) || m.toolchain != page["toolchain"] {
		faults = append(faults, fmt.Sprintf("%s: toolchain is %q, the versions page has %q",
			file, m.toolchain, page["toolchain"]))
	}
	if m.replaces > 0 {
		faults = append(faults, file+": a replace hides which version is built")
	}
	return faults
}

// rowFaults compares the modules in use with the rows of a table.
func rowFaults(file string, requires map[string]string, used []string, rows map[string]string) []string {
	var faults []string
	for _, m := range used {
		if rows[m] == "" {
			faults = append(faults, fmt.Sprintf("%s is used, but %s does not say why", m, versionsPage))
		}
	}
	for m, version := range rows {
		if requires[m] != version {
			faults = append(faults, fmt.Sprintf("%s is %q in %s, but %q in %s", m, requires[m], file, version, versionsPage))
		}
	}
	slices.Sort(faults)
	return faults
}

// imported is the modules from outside that any file imports.
func imported(pkgs []*pkg, requires map[string]string) []string {
	var names []string
	for _, p := range pkgs {
		for _, imports := range []map[string]string{p.imports, p.tests} {
			for name := range imports {
				names = append(names, name)
			}
		}
	}
	return owners(names, requires)
}

// owners is the modules among requires that these packages belong to.
func owners(pkgs []string, requires map[string]string) []string {
	var list []string
	for _, name := range pkgs {
		for m := name; m != "."; m = path.Dir(m) {
			if requires[m] != "" {
				list = append(list, m)
				break
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func TestVersionFaults(t *testing.T) {
	good := map[string]string{
		"go.mod":                "module gotong.dev/gotong\n\ngo 1.26.0\n\ntoolchain go1.26.8\n\nrequire (\n\ta.org/a/v2 v2.1.0\n\tb.org/b v0.1.0 // indirect\n)\n",
		"tools/go.mod":          "module x\n\ngo 1.26.0\n\ntoolchain go1.26.8\n\ntool c.org/c/cmd/c\n\nrequire c.org/c v1.0.0 // indirect\n",
		consoleMod:              "module y\n\ngo 1.26.0\n\ntoolchain go1.26.8\n\nrequire e.org/e v1.0.0\n",
		"a.go":                  "package gotong\n\nimport _ \"a.org/a/v2/sub\"\n",
		"web/package.json":      `{"dependencies":{"preact":"11.2.0","db-2":"npm:@s/db@2.0.1"},"peerDependencies":{"preact":">=10"}}`,
		"web/package-lock.json": `{}`,
		"deploy/Dockerfile":     "FROM golang:1.26.8-bookworm AS build\nRUN go build\nFROM scratch\nCOPY --from=build /x /x\nFROM build\n",
		"deploy/compose.yaml":   "services:\n  db:\n    image: redis:7.0.15\n",
		"docs/adr/0002-stack-versions.md": "# x\n\n## Go\n\n| `go` | 1.26.0 | l | r |\n| `toolchain` | go1.26.8 | l | r |\n\n## Tools\n\n| `c.org/c` | v1.0.0 | l | r |\n\n" +
			"## Console\n\n| `e.org/e` | v1.0.0 | l | r |\n\n## Libraries\n\n| `a.org/a/v2` | v2.1.0 | l | r |\n\n## Node\n\n| `preact` | 11.2.0 | l | r |\n| `db-2` | npm:@s/db@2.0.1 | l | r |\n\n## Servers\n\n| `golang` | 1.26.8-bookworm | l | r |\n| `redis` | 7.0.15 | l | r |\n",
	}
	tests := map[string]struct {
		file, old, new string
		want           string // part of the one fault; empty for none
	}{
		"good":                  {"go.mod", "", "", ""},
		"language not exact":    {"go.mod", "go 1.26.0", "go 1.26", `go is "1.26"`},
		"other toolchain":       {"tools/go.mod", "go1.26.8", "go1.26.9", `tools/go.mod: toolchain is "go1.26.9"`},
		"no toolchain":          {"go.mod", "toolchain go1.26.8", "", `toolchain is ""`},
		"replace":               {"go.mod", "\nrequire", "\nreplace b.org/b => ../b\n\nrequire", "replace"},
		"upgrade not written":   {"go.mod", "v2.1.0", "v2.2.0", `a.org/a/v2 is "v2.2.0" in go.mod`},
		"library without row":   {"a.go", "a.org/a/v2/sub", "b.org/b", "b.org/b is used, but"},
		"row without library":   {"go.mod", "a.org/a/v2 v2.1.0", "a.org/a v1.0.0", `a.org/a/v2 is "" in go.mod`},
		"tool not written":      {"tools/go.mod", "v1.0.0", "v1.0.1", `c.org/c is "v1.0.1" in tools/go.mod`},
		"tool without row":      {"tools/go.mod", "tool c.org/c/cmd/c", "tool d.org/d\nrequire d.org/d v1.0.0", "d.org/d is used, but"},
		"console not written":   {consoleMod, "v1.0.0", "v1.0.1", `e.org/e is "v1.0.1" in internal/console/dev/go.mod`},
		"console without row":   {consoleMod, "require e.org/e v1.0.0", "require (\n\te.org/e v1.0.0\n\tf.org/f v1.0.0\n)", "f.org/f is used, but"},
		"range in package.json": {"web/package.json", "11.2.0", "^11.2.0", `preact is "^11.2.0"`},
		"range in an alias":     {"web/package.json", "db@2.0.1", "db@^2.0.1", `db-2 is "npm:@s/db@^2.0.1"`},
		"package not written":   {"web/package.json", "11.2.0", "11.2.1", `preact is "11.2.1" in package.json`},
		"package without row":   {"web/package.json", `"preact":"11.2.0"`, `"preact":"11.2.0","x":"1.0.0"`, "x is used, but"},
		"package.json unlocked": {"web/package-lock.json", "", "gone", "web/package.json has no package-lock.json"},
		"image without tag":     {"deploy/Dockerfile", "golang:1.26.8-bookworm", "golang", "deploy/Dockerfile: golang"},
		"image latest":          {"deploy/compose.yaml", "7.0.15", "latest", "deploy/compose.yaml: redis:latest"},
		"image not written":     {"deploy/compose.yaml", "7.0.15", "7.0.16", "deploy/compose.yaml: redis:7.0.16"},
		"image from a variable": {"deploy/compose.yaml", "redis:7.0.15", "${IMAGE}", "deploy/compose.yaml: ${IMAGE}"},
		"latest in a script":    {"deploy/Dockerfile", "go build", "go install x.org/x@latest", "deploy/Dockerfile: @latest"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for file, body := range good {
				if file == test.file {
					if test.new == "gone" {
						continue
					}
					body = strings.Replace(body, test.old, test.new, 1)
				}
				tree[file] = &fstest.MapFile{Data: []byte(body)}
			}
			faults := strings.Join(versionFaults(t, tree), "; ")
			if !strings.Contains(faults, test.want) || (test.want == "") != (faults == "") {
				t.Errorf("got %q, want %q in it", faults, test.want)
			}
		})
	}
}
