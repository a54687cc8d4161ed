package arch

import (
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

func TestPackageComments(t *testing.T) {
	for _, p := range packages(t, repository(t)) {
		if fault := commentFault(p); fault != "" {
			t.Errorf("%s %s", p.path, fault)
		}
	}
}

// commentFault says what is wrong with the comment of a package: it must stand
// once and begin in Go's way. What the package depends on is in the table of
// imports and in ADR 0002, which tests compare with the code.
func commentFault(p *pkg) string {
	if !p.code {
		return "" // a folder of tests alone has no page in the docs
	}
	begins := "Package " + path.Base(p.path) + " "
	if p.command {
		begins = "Command " + path.Base(p.path) + " "
	}
	switch {
	case len(p.docs) == 0:
		return "has no package comment"
	case len(p.docs) > 1:
		return "has more than one package comment"
	case !strings.HasPrefix(strings.ReplaceAll(p.docs[0], "\n", " "), begins):
		return "has a comment that does not begin with " + begins
	}
	return ""
}

func TestCommentFault(t *testing.T) {
	tests := map[string]struct {
		body, want string
	}{
		"good":         {"// Package a is a.\npackage a", ""},
		"command":      {"// Command a is a.\npackage main", ""},
		"none":         {"package a", "has no package comment"},
		"detached":     {"// Package a is a.\n\npackage a", "has no package comment"},
		"another name": {"// Package b is b.\npackage a", "has a comment that does not begin with Package a "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pkgs := packages(t, fstest.MapFS{"x/a/a.go": {Data: []byte(test.body)}})
			if got := commentFault(pkgs[0]); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
