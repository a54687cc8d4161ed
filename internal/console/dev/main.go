// Command dev builds the page of the console: it bundles ../app into ../dist.
// With -check it writes nothing, and fails if dist is not what it would write.
//
// The output depends on the sources, on the lock file of ../app and on the
// version of esbuild in go.mod, and on nothing of this machine.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

const (
	app  = "../app"
	dist = "../dist"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if dist is stale")
	flag.Parse()
	files, err := build()
	if err == nil {
		if *check {
			err = compare(files)
		} else {
			err = write(files)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "console:", err)
		os.Exit(1)
	}
}

// build returns the files of dist by name.
func build() (map[string][]byte, error) {
	files := map[string][]byte{}
	replace := []string{}
	icons, err := filepath.Glob(app + "/icons/*.png")
	if err != nil {
		return nil, err
	}
	for _, icon := range append(icons, app+"/icons/icon.svg") {
		b, err := os.ReadFile(icon)
		if err != nil {
			return nil, err
		}
		base, ext := path.Base(icon), path.Ext(icon)
		name := "assets/" + strings.TrimSuffix(base, ext) + "-" + hash(b) + ext
		files[name] = b
		replace = append(replace, "%"+base+"%", "/"+name)
	}
	if err := bundle(files, "main", &replace); err != nil {
		return nil, err
	}
	assets := slices.Sorted(maps.Keys(files))
	if err := bundle(files, "operator", &replace); err != nil { // of another listener, where no worker keeps it
		return nil, err
	}
	names := strings.NewReplacer(replace...)
	for _, name := range []string{"index.html", "operator.html", "manifest.webmanifest"} {
		b, err := os.ReadFile(filepath.Join(app, name))
		if err != nil {
			return nil, err
		}
		files[name] = []byte(names.Replace(string(b)))
	}
	return files, worker(files, assets)
}

// bundle adds the script and the style sheet of a page.
func bundle(files map[string][]byte, entry string, replace *[]string) error {
	options := common()
	options.EntryPoints = []string{app + "/" + entry + ".tsx"}
	options.EntryNames = "assets/[name]-[hash]"
	options.ChunkNames = "assets/[name]-[hash]"
	options.Splitting = true
	options.Banner = map[string]string{"js": "/* With Preact, MIT licence, copyright Jason Miller. */"}
	outputs, err := run(options)
	if err != nil {
		return err
	}
	for name, b := range outputs {
		files[name] = b
		if base := path.Base(name); strings.HasPrefix(base, entry+"-") {
			*replace = append(*replace, "%"+entry+path.Ext(name)+"%", "/"+name)
		}
	}
	return nil
}

// worker adds the service worker, which knows the names of all assets.
func worker(files map[string][]byte, assets []string) error {
	var list []string
	for _, name := range assets {
		list = append(list, fmt.Sprintf("%q", "/"+name))
	}
	options := common()
	options.EntryPoints = []string{app + "/sw.ts"}
	options.Define = map[string]string{
		"ICON":    fmt.Sprintf("%q", "/"+assets[slices.IndexFunc(assets, func(name string) bool { return strings.Contains(name, "icon-192-") })]),
		"ASSETS":  "[" + strings.Join(list, ",") + "]",
		"VERSION": fmt.Sprintf("%q", hash([]byte(strings.Join(assets, "\n")))),
	}
	outputs, err := run(options)
	maps.Copy(files, outputs)
	return err
}

func common() api.BuildOptions {
	return api.BuildOptions{
		Bundle: true, Outdir: dist, Format: api.FormatESModule, Target: api.ES2022, Charset: api.CharsetUTF8,
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true,
		JSX: api.JSXAutomatic, JSXImportSource: "preact", Tsconfig: app + "/tsconfig.json",
		LegalComments: api.LegalCommentsNone, LogLevel: api.LogLevelSilent,
		PreserveSymlinks: true, // else the names of assets depend on where a linked node_modules is
	}
}

func run(options api.BuildOptions) (map[string][]byte, error) {
	result := api.Build(options)
	if len(result.Errors) > 0 {
		return nil, errors.New(strings.Join(api.FormatMessages(result.Errors, api.FormatMessagesOptions{}), "\n") +
			"(make install fetches what is missing in node_modules)")
	}
	root, err := filepath.Abs(dist)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, out := range result.OutputFiles {
		name, err := filepath.Rel(root, out.Path)
		if err != nil {
			return nil, err
		}
		files[filepath.ToSlash(name)] = out.Contents
	}
	return files, nil
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return base32.StdEncoding.EncodeToString(sum[:])[:8]
}

func write(files map[string][]byte) error {
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	for name, b := range files {
		to := filepath.Join(dist, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func compare(files map[string][]byte) error {
	var stale []string
	have := map[string]bool{}
	err := fs.WalkDir(os.DirFS(dist), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		have[name] = true
		b, err := os.ReadFile(filepath.Join(dist, name))
		if want, ok := files[name]; !ok || !bytes.Equal(b, want) {
			stale = append(stale, name)
		}
		return err
	})
	for name := range files {
		if !have[name] {
			stale = append(stale, name)
		}
	}
	if len(stale) > 0 {
		slices.Sort(stale)
		err = errors.Join(err, fmt.Errorf("dist is stale (%s): go generate ./internal/console", strings.Join(stale, ", ")))
	}
	return err
}
