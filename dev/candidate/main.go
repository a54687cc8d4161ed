// Command candidate is `make candidate`: what every release candidate must
// pass on each supported engine of SurrealDB and on PostgreSQL, with a report. It runs in the
// root of the repository, needs what `make install` fetches, and exits with 1
// if anything failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(run()) }

// run is the program. It returns the exit code.
func run() int {
	version := flag.String("version", "", "what is tried; the day if left out. It names the report")
	only := flag.String("only", "", "only steps whose name matches this expression; then no report is written")
	folder := flag.String("reports", "docs/candidate", "where the report goes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	passed, err := try(ctx, *version, *only, *folder)
	if err != nil {
		fmt.Fprintln(os.Stderr, "candidate:", err)
		return 2
	}
	if !passed {
		return 1
	}
	return 0
}

// versionName is the form of names of reports.
var versionName = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+-]*$`)

// try runs the steps and writes the report. It returns an error if it could
// not.
func try(ctx context.Context, version, only, folder string) (passed bool, err error) {
	began := time.Now()
	if version == "" {
		version = began.UTC().Format("2006-01-02")
	}
	if !versionName.MatchString(version) {
		return false, fmt.Errorf("-version %q: a name such as v0.3.0-rc.1", version)
	}
	wanted, err := regexp.Compile(only)
	if err != nil {
		return false, fmt.Errorf("-only: %w", err)
	}
	scratch, err := os.MkdirTemp("", "candidate")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	binary := filepath.Join(scratch, "gotong")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/gotong") //nolint:gosec // fixed words and a folder of ours
	if out, err := build.CombinedOutput(); err != nil {
		return false, fmt.Errorf("the program cannot be built: %w\n%s", err, out)
	}
	r := &report{version: version, began: began, about: about(ctx)}
	for _, s := range steps(binary, scratch) {
		if !wanted.MatchString(s.what + " " + s.engine) {
			continue
		}
		at := time.Now()
		fmt.Fprintf(os.Stderr, "%s on %s …\n", s.what, s.engine)
		found := s.run(ctx)
		found.step, found.took = s, time.Since(at)
		r.results = append(r.results, found)
		fmt.Fprintf(os.Stderr, "%s on %s: %s, %s, %.0f s\n", s.what, s.engine, found.verdict(), found.figures, found.took.Seconds())
		if ctx.Err() != nil {
			return false, fmt.Errorf("interrupted, and nothing is reported: %w", context.Cause(ctx))
		}
	}
	r.took = time.Since(began)
	if only != "" {
		_, err = fmt.Fprint(os.Stdout, r.text())
		return r.passed(), err
	}
	path := filepath.Join(folder, version+".md")
	if err := os.WriteFile(path, []byte(r.text()), 0o644); err != nil { //nolint:gosec // a page for everybody
		return false, err
	}
	_, err = fmt.Fprintf(os.Stdout, "%s: %s\n", path, r.verdict())
	return r.passed(), err
}

// about describes what was tested, and on which machine.
func about(ctx context.Context) []string {
	ask := func(name string, args ...string) string {
		out, err := exec.CommandContext(ctx, name, args...).Output() //nolint:gosec // fixed words
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(out))
	}
	commit := "Commit " + ask("git", "rev-parse", "--short=12", "HEAD")
	if ask("git", "status", "--porcelain", "--untracked-files=no") != "" {
		commit += ", **with changes that are not committed**"
	}
	redis := ask("redis-server", "--version")
	if words := strings.Fields(redis); len(words) > 2 {
		redis = strings.TrimPrefix(words[2], "v=")
	}
	return []string{
		commit,
		fmt.Sprintf("%s, %s/%s, %d processors; Redis %s", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), redis),
	}
}
