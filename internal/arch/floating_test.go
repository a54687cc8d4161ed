package arch

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	exactPackage = regexp.MustCompile(`^(npm:(@[a-z0-9-]+/)?[a-z0-9.-]+@)?\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$`)
	exactTag     = regexp.MustCompile(`^(?:v?\d+\.\d+\.\d+|1\d\.\d+$)`) // versions of PostgreSQL have two parts
	imageLine    = regexp.MustCompile(`(?m)^\s*image:\s*["']?([^\s"'#]+)`)
	fromLine     = regexp.MustCompile(`(?mi)^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?`)
	latest       = regexp.MustCompile(`[@:]latest\b`)
)

// floating finds versions that are not exact in what is not Go: packages of
// Node, images, scripts. node is the table of packages, as package.json names
// them, and servers that of images, name → tag.
func floating(t *testing.T, tree fs.FS, node, servers map[string]string) []string {
	t.Helper()
	var faults []string
	used := map[string]string{}
	walk(t, tree, func(name string) {
		base := path.Base(name)
		dockerfile := strings.HasPrefix(base, "Dockerfile") || strings.HasPrefix(base, "Containerfile")
		compose := strings.Contains(base, "compose") && isYAML(base)
		script := base == "Makefile" || path.Ext(base) == ".sh" || name == ".ci/run"
		if !dockerfile && !compose && !script && base != "package.json" {
			return
		}
		body, err := fs.ReadFile(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case base == "package.json":
			faults = append(faults, nodeFaults(t, tree, name, body, used)...)
		case dockerfile:
			faults = append(faults, imageFaults(name, stagesFrom(body), servers)...)
		case compose:
			faults = append(faults, imageFaults(name, submatches(imageLine, body), servers)...)
		}
		if m := latest.Find(body); m != nil && !compose {
			faults = append(faults, fmt.Sprintf("%s: %s is no version", name, m))
		}
	})
	return append(faults, rowFaults("package.json", used, slices.Sorted(maps.Keys(used)), node)...)
}

func isYAML(name string) bool {
	return path.Ext(name) == ".yaml" || path.Ext(name) == ".yml"
}

// nodeFaults checks one package.json, and adds what it depends on to used.
func nodeFaults(t *testing.T, tree fs.FS, name string, body []byte, used map[string]string) []string {
	t.Helper()
	var file struct {
		Dependencies         map[string]string `json:"dependencies"`
		DevDependencies      map[string]string `json:"devDependencies"`
		OptionalDependencies map[string]string `json:"optionalDependencies"`
	}
	if err := json.Unmarshal(body, &file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var faults []string
	needs := 0
	for _, list := range []map[string]string{file.Dependencies, file.DevDependencies, file.OptionalDependencies} {
		needs += len(list)
		for dependency, version := range list {
			if !exactPackage.MatchString(version) {
				faults = append(faults, fmt.Sprintf("%s: %s is %q, not an exact version", name, dependency, version))
				continue
			}
			used[dependency] = version
		}
	}
	if _, err := fs.Stat(tree, path.Join(path.Dir(name), "package-lock.json")); err != nil && needs > 0 {
		faults = append(faults, name+" has no package-lock.json beside it")
	}
	slices.Sort(faults)
	return faults
}

// stagesFrom is the images that a Dockerfile begins with; its own stages and
// scratch are none.
func stagesFrom(body []byte) []string {
	var images []string
	stages := []string{"scratch"}
	for _, m := range fromLine.FindAllSubmatch(body, -1) {
		if image := string(m[1]); !slices.Contains(stages, image) {
			images = append(images, image)
		}
		stages = append(stages, string(m[2]))
	}
	return images
}

func submatches(re *regexp.Regexp, body []byte) []string {
	var list []string
	for _, m := range re.FindAllSubmatch(body, -1) {
		list = append(list, string(m[1]))
	}
	return list
}

func imageFaults(file string, images []string, servers map[string]string) []string {
	var faults []string
	for _, image := range images {
		name, tag, _ := strings.Cut(image, ":")
		if !exactTag.MatchString(tag) || servers[name] != tag {
			faults = append(faults, fmt.Sprintf("%s: %s is not the version in %s", file, image, versionsPage))
		}
	}
	return faults
}
