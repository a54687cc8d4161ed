package arch

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// listed is what the check needs of the output of go list.
type listed struct {
	ImportPath string            `json:"ImportPath"`
	Dir        string            `json:"Dir"`
	GoFiles    []string          `json:"GoFiles"`
	ImportMap  map[string]string `json:"ImportMap"`
}

// TestPlatforms checks the types of the program for the systems of a release, and so
// finds what they lack. It compiles nothing: that takes minutes.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"darwin/arm64", "windows/amd64"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			goos, goarch, _ := strings.Cut(platform, "/")
			for _, fault := range platformFaults(t, "../../cmd/gotong", goos, goarch) {
				t.Error(fault)
			}
		})
	}
}

func TestPlatformsFindsWhatASystemLacks(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module gotong.dev/gotong/x\n\ngo 1.26\n")
	write("x.go", "package x\n\nimport \"syscall\"\n\nfunc F() error { return syscall.Flock(0, 0) }\n")
	if faults := platformFaults(t, dir, "darwin", "arm64"); len(faults) > 0 {
		t.Errorf("on darwin: %v", faults)
	}
	if faults := platformFaults(t, dir, "windows", "amd64"); len(faults) != 1 {
		t.Errorf("on windows: %v", faults)
	}
}

// platformFaults returns the faults of the types of this module's packages on which
// the one in dir depends.
func platformFaults(t *testing.T, dir, goos, goarch string) (faults []error) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap")
	list.Dir = dir
	list.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	list.Stderr = os.Stderr
	out, err := list.StdoutPipe()
	if err == nil {
		err = list.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	done := map[string]*types.Package{"unsafe": types.Unsafe}
	from := json.NewDecoder(out)
	for {
		var p listed
		err := from.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != "unsafe" {
			faults = append(faults, p.check(t, done, types.SizesFor("gc", goarch))...)
		}
	}
	if err := list.Wait(); err != nil {
		t.Fatal(err)
	}
	return faults
}

// check adds the package to those that are done. Only the bodies of this module's
// own functions are checked.
func (p *listed) check(t *testing.T, done map[string]*types.Package, sizes types.Sizes) (faults []error) {
	t.Helper()
	own := strings.HasPrefix(p.ImportPath, "gotong.dev/gotong")
	files := token.NewFileSet()
	parsed := make([]*ast.File, len(p.GoFiles))
	for i, name := range p.GoFiles {
		var err error
		if parsed[i], err = parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	config := types.Config{
		IgnoreFuncBodies: !own, Sizes: sizes, FakeImportC: true,
		Importer: importer(func(path string) (*types.Package, error) {
			if mapped, ok := p.ImportMap[path]; ok {
				path = mapped
			}
			if found := done[path]; found != nil {
				return found, nil
			}
			return nil, errors.New("not listed before the package that imports it: " + path)
		}),
		Error: func(err error) {
			if own {
				faults = append(faults, err)
			}
		},
	}
	done[p.ImportPath], _ = config.Check(p.ImportPath, files, parsed, nil) // Error has the faults
	return faults
}

type importer func(path string) (*types.Package, error)

func (f importer) Import(path string) (*types.Package, error) { return f(path) }
