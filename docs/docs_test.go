// Package docs_test holds the pages to the code: what they list is what is
// there.
package docs_test

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/bench"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/surreal"
	"gotong.dev/gotong/internal/text"
)

// page reads a page of this repository.
func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// table is the cells of the rows between two marks of a page, without the
// backquotes.
func table(t *testing.T, text, mark string) [][]string {
	t.Helper()
	_, rest, begun := strings.Cut(text, "<!-- "+mark+" -->")
	body, _, ended := strings.Cut(rest, "<!-- /"+mark+" -->")
	if !begun || !ended {
		t.Fatalf("there is no table between %s marks", mark)
	}
	var rows [][]string
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		rows = append(rows, cells)
	}
	if len(rows) == 0 {
		t.Fatalf("the table between %s marks is empty", mark)
	}
	return rows
}

// same compares the beginnings of a table's rows with what the code has.
func same(t *testing.T, what string, got, want [][]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: the page has %d rows, the code %d", what, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if n := len(want[i]); len(got[i]) < n || !slices.Equal(got[i][:n], want[i]) {
			t.Errorf("%s: the page has %q, the code %q", what, got[i], want[i])
		}
	}
}

func TestProblems(t *testing.T) {
	var want [][]string
	for _, e := range httpapi.Entries() {
		again := "–"
		if e.Retry {
			again = "yes"
		}
		want = append(want, []string{string(e.Code), fmt.Sprint(e.Status), e.Title, again})
	}
	same(t, "api.md", table(t, page(t, "api.md"), "problems"), want)
}

func TestKeys(t *testing.T) {
	var want [][]string
	for f := range reflect.TypeFor[config.Config]().Fields() {
		key, def := f.Tag.Get("name"), f.Tag.Get("default")
		if def == "" {
			def = "–"
		}
		want = append(want, []string{key, "GOTONG_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_")), def})
	}
	same(t, "operate.md", table(t, page(t, "operate.md"), "keys"), want)
}

func TestScenarios(t *testing.T) {
	var want [][]string
	for _, s := range bench.Scenarios {
		want = append(want, []string{s.Name, s.About, fmt.Sprint(s.Connections())})
	}
	same(t, "bench.md", table(t, page(t, "bench.md"), "scenarios"), want)
}

// TestMetrics compares names with the source, because a metric without a
// sample is in no scrape.
func TestMetrics(t *testing.T) {
	var want, got []string
	name := regexp.MustCompile(`"(gotong_[a-z_]+)"`)
	for _, file := range []string{"metrics.go", "live.go"} {
		for _, m := range name.FindAllStringSubmatch(page(t, "../internal/telemetry/"+file), -1) {
			want = append(want, m[1])
		}
	}
	for _, row := range table(t, page(t, "operate.md"), "metrics") {
		got = append(got, row[0])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("operate.md has %q, the code %q", got, want)
	}
}

var (
	shown  = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)(/[A-Za-z0-9_/ -]+)?`")
	number = regexp.MustCompile(`(?m)^\*\*([DI]\d+)`)
)

// TestPromises holds guarantees.md to the tests that it names, and to naming
// one for each promise.
func TestPromises(t *testing.T) {
	text := page(t, "guarantees.md")
	if n := len(number.FindAllString(text, -1)); n < 30 {
		t.Errorf("only %d numbered promises were found", n)
	}
	for _, m := range shown.FindAllStringSubmatch(text, -1) {
		dir := m[1]
		if dir == "gotong" {
			dir = "."
		}
		if !strings.Contains(source(t, dir, "_test.go"), "\nfunc "+m[2]+"(") {
			t.Errorf("%s has no %s", m[1], m[2])
		}
		sub := strings.ReplaceAll(strings.TrimPrefix(m[3], "/"), "_", " ")
		if sub != "" && !strings.Contains(source(t, "internal/store/storetest", ".go"), fmt.Sprintf("%q:", sub)) {
			t.Errorf("the suite of the store has no %q", sub)
		}
	}
	for part := range strings.SplitSeq(text, "\n\n") {
		if id := number.FindStringSubmatch(part); id != nil && !shown.MatchString(part) {
			t.Errorf("%s names no test", id[1])
		}
	}
}

// source is the text of the files of a folder whose names end so.
func source(t *testing.T, dir, suffix string) string {
	t.Helper()
	names, err := filepath.Glob(path.Join("..", dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range names {
		b.WriteString(page(t, name))
	}
	return b.String()
}

// TestReadmeFitsTwoScreens: it is the one page that everybody reads.
func TestReadmeFitsTwoScreens(t *testing.T) {
	lines := 0
	for s := bufio.NewScanner(strings.NewReader(page(t, "../README.md"))); s.Scan(); {
		lines++
	}
	if lines > 150 {
		t.Errorf("README.md has %d lines", lines)
	}
}

// The steps that normalise text, and what it must be.
func TestTexts(t *testing.T) {
	var want [][]string
	for _, sort := range text.Table() {
		want = append(want, []string{sort.Name, sort.Step, sort.Says})
	}
	same(t, "api.md", table(t, page(t, "api.md"), "texts"), want)
}

// TestPropertiesOfStores: the table lists each property of each adapter, with
// its reason.
func TestPropertiesOfStores(t *testing.T) {
	adapters := []store.Properties{sqlite.Properties, surreal.Properties, postgres.Properties, memory.Properties}
	names := reflect.TypeFor[store.Properties]()
	var got, want [][]string
	for _, row := range table(t, page(t, "../internal/store/DESIGN.md"), "properties") {
		got = append(got, slices.Delete(row, 1, 2)) // the promise in words
	}
	for i := range names.NumField() {
		row := []string{names.Field(i).Name}
		for _, a := range adapters {
			p := reflect.ValueOf(a).Field(i).Interface().(store.Property)
			row = append(row, map[bool]string{true: "yes: ", false: "no: "}[p.Holds]+p.Why)
		}
		want = append(want, row)
	}
	same(t, "DESIGN.md", got, want)
}

// The page on a first kind shows code that is built and tested elsewhere: each of
// its blocks stands word for word in one of the files that it names.
func TestFirstKindShowsTheCodeThatIsBuilt(t *testing.T) {
	text := page(t, "first-kind.md")
	var code []string
	for _, m := range regexp.MustCompile("`(internal/[a-z/_]+_?[a-z]+\\.go)`").FindAllStringSubmatch(text, -1) {
		code = append(code, page(t, "../"+m[1]))
	}
	blocks := strings.Split(text, "```go\n")[1:]
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		if !slices.ContainsFunc(code, func(text string) bool { return strings.Contains(text, block) }) {
			t.Errorf("no file has this block:\n%s", block)
		}
	}
	if len(blocks) < 10 {
		t.Errorf("%d blocks", len(blocks))
	}
}
