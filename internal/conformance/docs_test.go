package conformance

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// table renders the published list of cases.
func table() string {
	var b strings.Builder
	b.WriteString("| case | what a client must do | what the server does | needs |\n| --- | --- | --- | --- |\n")
	for _, block := range strings.Split(scripts, "\n\n== ")[1:] {
		id, _, _ := strings.Cut(block, " ")
		name := alternatives(id)[0]
		i := slices.IndexFunc(Cases(), func(c Case) bool { return c.ID == name })
		c := Cases()[i]
		needs := "–"
		if c.Needs != "" {
			needs = "`" + c.Needs + "`"
		}
		page := "protocol.md"
		if c.Section == "errors" || c.transport() == rest {
			page = "api.md"
		}
		fmt.Fprintf(&b, "| `%s` | [%s](%s#%s) | %s | %s |\n", id, c.Rule, page, c.Section, c.Server, needs)
	}
	return b.String()
}

func TestPublishedCases(t *testing.T) {
	page, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), "<!-- cases -->\n")
	_, after, closed := strings.Cut(rest, "<!-- /cases -->")
	if !ok || !closed {
		t.Fatal("docs/conformance.md has no list of cases between its marks")
	}
	if want := before + "<!-- cases -->\n" + table() + "<!-- /cases -->" + after; want != string(page) {
		if os.Getenv("GOTONG_UPDATE") != "" {
			if err := os.WriteFile("../../docs/conformance.md", []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Error("the list of cases in docs/conformance.md is not that of cases.txt; GOTONG_UPDATE=1 writes it")
	}
}

func TestCases(t *testing.T) {
	list := Cases()
	if len(list) < 100 {
		t.Errorf("%d cases", len(list))
	}
	headings := map[string]bool{}
	for _, page := range []string{"protocol.md", "api.md"} {
		b, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(b), -1) {
			headings[strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")] = true
		}
	}
	seen := map[string]bool{}
	for _, c := range list {
		if seen[c.ID] || c.Rule == "" || c.Server == "" || len(c.Script) == 0 || c.scale == 0 {
			t.Errorf("the case %s is there twice, or has no rule, server, script or scale", c.ID)
		}
		if seen[c.ID] = true; !headings[c.Section] {
			t.Errorf("%s names the section %q, which is not there", c.ID, c.Section)
		}
		for _, step := range c.Script {
			if verbs[strings.Fields(step)[0]] == nil {
				t.Errorf("%s: there is no step %q", c.ID, step)
			}
		}
	}
}
