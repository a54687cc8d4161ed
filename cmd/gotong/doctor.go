package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/gates"
)

type doctorCmd struct {
	config.Config
	URL          string `name:"url" help:"The address that clients use, such as https://chat.example.org, to check TLS and the way to the server." placeholder:"URL"`
	WithoutGates bool   `name:"without-gates" help:"Leave out gotong gates, which try a SurrealDB or PostgreSQL for one to two minutes."`
	JSON         bool   `name:"json" help:"Print the report as JSON."`
}

func (*doctorCmd) Help() string {
	return `Checks the machine and the configuration of a server, before its first start or while it runs; give it the
configuration of the server. Run it as the user of the server, with the same limits. It writes one small file in the data
directory, and removes it.

Exit codes: 0 go, 1 no-go, 2 wrong use, 3 it could not be carried out.

Examples:

    gotong doctor --data /var/lib/gotong --url https://chat.example.org
    gotong doctor --config /etc/gotong.yaml --json`
}

// findings are what a check of doctor saw.
type findings []gates.Finding

func (f *findings) addf(v gates.Verdict, way, format string, args ...any) {
	*f = append(*f, gates.Finding{Verdict: v, Seen: fmt.Sprintf(format, args...), Way: way})
}

func (f *findings) goodf(format string, args ...any) { f.addf(gates.Go, "", format, args...) }

func (f *findings) worst() gates.Verdict {
	order := []gates.Verdict{gates.Go, gates.NotChecked, gates.Warning, gates.NoGo}
	worst := gates.Go
	for _, finding := range *f {
		if slices.Index(order, finding.Verdict) > slices.Index(order, worst) {
			worst = finding.Verdict
		}
	}
	return worst
}

type doctorCheck struct {
	name, asks string
	do         func(context.Context, *findings)
}

func (c *doctorCmd) checks() []doctorCheck {
	return []doctorCheck{
		{"config", "is the configuration accepted?", c.checkConfig},
		{"clock", "is the clock right?", c.checkClock},
		{"open files", "may the server open as many files as sessions?", c.checkOpenFiles},
		{"disk", "is there space, and are syncs fast?", c.checkDisk},
		{"modes", "do the files belong to the server alone?", c.checkModes},
		{"store", "can the store be read?", c.checkStore},
		{"mail", "can links for a new password be sent?", c.checkMail},
		{"request", "does the server answer, with TLS?", c.checkRequest},
	}
}

func (c *doctorCmd) Run(ctx context.Context, std *stdio) error {
	report := gates.Report{Server: "gotong " + version, Target: c.Data, At: now(), Verdict: gates.Go}
	list := c.checks()
	for i, check := range list {
		p := gates.Progress{Number: i + 1, Of: len(list), Name: check.name}
		showGate(std, p)
		began, f := time.Now(), findings{}
		check.do(ctx, &f)
		if ctx.Err() != nil {
			return &failure{err: errors.New("interrupted"), code: exitNotKnown}
		}
		r := gates.Result{
			Gate: check.name, Asks: check.asks, Verdict: f.worst(), TookMS: time.Since(began).Milliseconds(), Findings: f,
		}
		report.Gates = append(report.Gates, r)
		if p.Result = &r; r.Verdict == gates.NoGo {
			report.Verdict = gates.NoGo
		}
		showGate(std, p)
	}
	if err := c.runGates(ctx, std, &report); err != nil {
		return err
	}
	printer := gatesCmd{JSON: c.JSON}
	if err := printer.print(std, report); err != nil {
		return err
	}
	if report.Verdict == gates.NoGo {
		return &failure{err: errors.New("no-go: mend what the report names"), code: exitNoGo}
	}
	return nil
}

// runGates tries a shared database with gotong gates.
func (c *doctorCmd) runGates(ctx context.Context, std *stdio, into *gates.Report) error {
	if p, ok := app.StoreProperties(c.StoreURL()); c.WithoutGates || !ok || !p.Shared.Holds {
		return nil
	}
	g := gatesCmd{Store: c.Store, For: 5 * time.Second, AllowUntested: c.AllowUntested}
	options, err := g.options(std)
	if err != nil {
		return err
	}
	report, err := gates.Run(ctx, options)
	if err != nil {
		return g.notKnown(ctx, report, err)
	}
	into.Server, into.For, into.Left, into.Others = report.Server, report.For, report.Left, report.Others
	into.Gates = append(into.Gates, report.Gates...)
	if report.Verdict == gates.NoGo {
		into.Verdict = gates.NoGo
	}
	return nil
}

func (c *doctorCmd) checkConfig(_ context.Context, f *findings) {
	warnings, err := app.CheckConfig(&c.Config)
	for _, w := range warnings {
		f.addf(gates.Warning, "gotong config print", "%s", w)
	}
	if err != nil {
		f.addf(gates.NoGo, "gotong config print, to see the source of each value", "%v", err)
		return
	}
	f.goodf("accepted, for %s", c.Env)
}

func (c *doctorCmd) checkClock(_ context.Context, f *findings) {
	for _, path := range c.kept() {
		if info, err := os.Stat(path); err == nil && time.Until(info.ModTime()) > time.Minute {
			f.addf(gates.NoGo, "set the clock, and keep it synchronised (NTP)",
				"%s was written at %s, which lies ahead", path, info.ModTime().UTC().Format(time.RFC3339))
			return
		}
	}
	f.goodf("%s, and no file of the server is newer", time.Now().UTC().Format(time.RFC3339))
}

// kept returns the paths that a server keeps on this machine.
func (c *doctorCmd) kept() []string {
	paths := []string{c.Data, filepath.Join(c.Data, backupKey), c.CheckpointsDir()}
	if path, ok := app.StoreFile(c.StoreURL()); ok {
		paths = append(paths, path)
	}
	return paths
}

func (c *doctorCmd) checkOpenFiles(_ context.Context, f *findings) {
	judgeFiles(f, app.OpenFiles(), c.MaxSessions)
}

// judgeFiles judges the limit of open files. If it is too low, the server lowers max-sessions.
func judgeFiles(f *findings, limit uint64, sessions int) {
	verdict, fit := gates.Warning, app.SessionsWithin(limit, sessions)
	if fit < sessions/2 {
		verdict = gates.NoGo
	}
	switch {
	case limit == 0:
		f.addf(gates.NotChecked, "ulimit -n", "the limit is unknown on this system")
	case fit < sessions:
		f.addf(verdict, "raise the limit (LimitNOFILE= of systemd, ulimit -n), or lower max-sessions",
			"%d files may be open here: the server takes %d sessions, not %d", limit, fit, sessions)
	default:
		f.goodf("%d files may be open here, enough for %d sessions", limit, sessions)
	}
}

// The bounds of the check of the disk.
const (
	leastFree  = 1 << 30
	slowSync   = 50 * time.Millisecond
	syncProbes = 16
)

func (c *doctorCmd) checkDisk(ctx context.Context, f *findings) {
	dir := existing(c.Data)
	switch space := app.FreeSpace(dir); {
	case space == 0:
		f.addf(gates.NotChecked, "df", "the free space of %s is unknown", dir)
	case space < leastFree:
		f.addf(gates.NoGo, "free some space", "%s MiB are free in %s; a server needs 1,024 at least",
			grouped(int(space>>20)), dir)
	default:
		f.goodf("%s MiB are free in %s", grouped(int(space>>20)), dir)
	}
	took, err := syncTime(ctx, dir)
	switch {
	case err != nil:
		f.addf(gates.NoGo, "run it as the user of the server", "%v", err)
	case took > slowSync:
		f.addf(gates.NoGo, "a disk with a faster sync", "a write with its sync takes %s (median); posts wait for one", took)
	default:
		f.goodf("a write with its sync takes %s (median)", took)
	}
}

// existing returns the directory, or the nearest one above that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// syncTime returns the median time of a small write with its sync.
func syncTime(ctx context.Context, dir string) (median time.Duration, err error) {
	file, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	took := make([]time.Duration, 0, syncProbes)
	for range syncProbes {
		began := time.Now()
		_, err := file.Write(make([]byte, 4096))
		if err := errors.Join(err, file.Sync(), ctx.Err()); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2].Round(10 * time.Microsecond), nil
}

func (c *doctorCmd) checkModes(_ context.Context, f *findings) {
	for _, path := range c.kept() {
		switch info, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			f.addf(gates.NoGo, "run it as the user of the server", "%v", err)
		case info.Mode().Perm()&0o002 != 0:
			f.addf(gates.NoGo, "chmod o-w "+path, "all users may write to %s", path)
		case info.Mode().Perm()&0o020 != 0:
			f.addf(gates.Warning, "chmod g-w "+path, "the group may write to %s", path)
		case !info.IsDir() && info.Mode().Perm()&0o077 != 0:
			f.addf(gates.NoGo, "chmod 600 "+path, "other users may read %s", path)
		}
	}
	if _, err := auth.ReadSigningKey(c.Data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.addf(gates.NoGo, "the file of a backup", "%v", err)
	}
	if len(*f) == 0 {
		f.goodf("no other user may write to the data, or read the database and the key")
	}
}

func (c *doctorCmd) checkStore(ctx context.Context, f *findings) {
	address := c.StoreURL()
	if !placeExists(address) {
		f.goodf("there is no database yet; the first start creates it")
		return
	}
	began := time.Now()
	s, err := trust{UnsafeEngine: c.UnsafeEngine, AllowUntested: c.AllowUntested}.openToRead(ctx, address)
	if err != nil {
		f.addf(gates.NoGo, "the address, the rights on it, and gotong audit verify", "%v", err)
		return
	}
	defer s.Close() //nolint:errcheck // only read
	state, err := s.State(ctx)
	if err == nil {
		_, err = s.Positions(ctx)
	}
	switch {
	case err != nil:
		f.addf(gates.NoGo, "gotong audit verify, and a backup", "%v", err)
	case state.Progress != "":
		f.addf(gates.NoGo, "the same gotong copy, import-log or restore again", "a copy into the store has not ended")
	case state.Sealed != "":
		f.addf(gates.Warning, "gotong copy --unseal", "the store is sealed (%s) and can only be read", state.Sealed)
	default:
		f.goodf("opened and read in %s, epoch %s", time.Since(began).Round(time.Millisecond), state.Eras.Epoch())
	}
}
