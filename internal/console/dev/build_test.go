package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFresh: what is committed in dist is what the sources give.
func TestFresh(t *testing.T) {
	files, err := build()
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(files); err != nil {
		t.Error(err)
	}
}

// TestTexts: both languages have the same keys with the same parts, and each text
// is used.
func TestTexts(t *testing.T) {
	sources := ""
	list, err := filepath.Glob("../app/*.ts*")
	for _, name := range list {
		b, failed := os.ReadFile(name)
		sources, err = sources+string(b), errors.Join(err, failed)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"i18n.ts", "operatorTexts.ts"} {
		checkTexts(t, name, sources)
	}
}

func checkTexts(t *testing.T, name, sources string) {
	t.Helper()
	b, err := os.ReadFile("../app/" + name)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "const en = {")
	english, rest, _ := strings.Cut(rest, "\n} as const")
	_, rest, _ = strings.Cut(rest, "const id: Record<Key, string> = {")
	indonesian, _, _ := strings.Cut(rest, "\n}\n")
	en, id := texts(english), texts(indonesian)
	if len(en) < 100 {
		t.Fatalf("%s: only %d texts were found", name, len(en))
	}
	for key, parts := range en {
		if id[key] != parts || len(id) != len(en) {
			t.Errorf("%s has the parts %q in English and %q in Indonesian", key, parts, id[key])
		}
		family, _, _ := strings.Cut(key, ".")
		if !strings.Contains(sources, "t('"+key+"'") && !strings.Contains(sources, "'"+family+".' + ") && !strings.Contains(sources, "t(`"+family+".$") &&
			strings.Count(sources, "'"+key+"'") <= 2 {
			t.Errorf("%s is not used", key)
		}
	}
}

var (
	entry = regexp.MustCompile(`'([\w.]+)': '((?:[^'\\]|\\.)*)'`)
	part  = regexp.MustCompile(`\{\w+\}`)
)

// texts returns the parts of each text, such as "{n}", by its key.
func texts(block string) map[string]string {
	found := map[string]string{}
	for _, m := range entry.FindAllStringSubmatch(block, -1) {
		parts := part.FindAllString(m[2], -1)
		slices.Sort(parts)
		found[m[1]] = strings.Join(parts, " ")
	}
	return found
}
