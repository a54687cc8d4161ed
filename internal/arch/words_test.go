package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
)

// misused are words that most often went wrong in this project's texts, each
// with what to write instead.
var misused = []struct {
	words   *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)\b(is|are|was|were|be|been|being) (not )?told\b`), "receives, is called with, reports"},
	{regexp.MustCompile(`(?i)\blet(s|ting)? go\b`), "drops, releases, closes"},
	{regexp.MustCompile(`(?i)\bwhoever\b`), "anybody who, the user who, the goroutine that"},
	{regexp.MustCompile(`(?i)\b(for|to|of|by|with) who (may|must|is|are|can|has)\b`), "a noun before who: users who, a client that"},
	{regexp.MustCompile(`(?i)(^|[.;:] )who may not\b`), "a noun before who: a user who may not"},
	{regexp.MustCompile(`\b(he|his|him|himself)\b`), "they, their, them"},
	{regexp.MustCompile(`(?i)\ba fault of ours\b`), "an internal error"},
}

// exempt texts may use these words: reports of runs, released notes, and this
// list itself.
func exempt(name string) bool {
	return name == "internal/arch/words_test.go" || name == "CHANGELOG.md" ||
		strings.HasPrefix(name, "docs/candidate/2") || strings.HasPrefix(name, "changes/")
}

// TestWords reads the pages, and the comments and strings of all Go code but
// the tests.
func TestWords(t *testing.T) {
	tree := repository(t)
	walk(t, tree, func(name string) {
		page, code := path.Ext(name) == ".md", path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go")
		if exempt(name) || !page && !code {
			return
		}
		body, err := fs.ReadFile(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		texts := map[string]string{name: string(body)}
		if code {
			texts = goTexts(t, name, body)
		}
		for place, text := range texts {
			for _, fault := range wordFaults(text) {
				t.Errorf("%s %s", place, fault)
			}
		}
	})
}

// wordFaults returns one sentence for each misused phrase of a text.
func wordFaults(text string) []string {
	text = strings.Join(strings.Fields(text), " ")
	var faults []string
	for _, m := range misused {
		if found := m.words.FindString(text); found != "" {
			faults = append(faults, "says "+strings.TrimSpace(found)+"; write: "+m.instead)
		}
	}
	return faults
}

// goTexts returns the comments and strings of a Go file by place.
func goTexts(t *testing.T, name string, body []byte) map[string]string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, body, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, c := range file.Comments {
		texts[files.Position(c.Pos()).String()] = c.Text()
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
			texts[files.Position(s.Pos()).String()] = s.Value
		}
		return true
	})
	return texts
}

func TestWordFaults(t *testing.T) {
	for text, want := range map[string]int{
		"Observer is told of each session.":                        1,
		"Close lets\ngo of idle connections.":                      1,
		"whoever gets one":                                         1,
		"empty for who is not a member":                            1,
		"Reads it. Who may not read it gets 404.":                  1,
		"as others may see him":                                    1,
		"A user who may not read it gets 404. They are told of it": 1,
		"SessionOpened counts a new session. The cache has it.":    0,
		"The users who may read it.":                               0,
	} {
		if got := wordFaults(text); len(got) != want {
			t.Errorf("%q: %v, want %d faults", text, got, want)
		}
	}
}
