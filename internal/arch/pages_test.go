package arch

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
)

// named is a path in backquotes that says folder and file, or a folder with
// its slash.
var (
	named = regexp.MustCompile("`((?:[a-z]+/)+(?:[a-z]+\\.go)?)`")
	link  = regexp.MustCompile(`\]\(([^)#:]+)\)`)
	block = regexp.MustCompile("(?s)```.*?```") // code, in which neither is a name
)

// TestPagesNameWhatIsThere keeps the pages for newcomers from sending them to
// files that have moved.
func TestPagesNameWhatIsThere(t *testing.T) {
	tree := repository(t)
	walk(t, tree, func(name string) {
		if path.Ext(name) != ".md" {
			return
		}
		body, err := fs.ReadFile(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		body = block.ReplaceAll(body, nil)
		for _, m := range link.FindAllSubmatch(body, -1) {
			missing(t, tree, name, path.Join(path.Dir(name), string(m[1])))
		}
		if !strings.HasPrefix(name, "docs/") {
			return
		}
		for _, m := range named.FindAllSubmatch(body, -1) {
			missing(t, tree, name, path.Clean(string(m[1])))
		}
	})
}

func missing(t *testing.T, tree fs.FS, page, target string) {
	t.Helper()
	if _, err := fs.Stat(tree, target); err != nil {
		t.Errorf("%s names %s, which is not there", page, target)
	}
}
