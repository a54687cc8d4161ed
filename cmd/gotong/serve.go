package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/telemetry"
)

type serveCmd struct {
	config.Config

	CheckpointsNew bool `name:"checkpoints-new" group:"place" help:"For one start: accept that there are no checkpoints although the log is not empty."`
	AcceptRollback bool `name:"accept-rollback" group:"place" help:"For one start: accept a log that does not continue the one of the checkpoints, such as a restored backup, and begin a new epoch."`
	KeepLogins     bool `name:"keep-logins" group:"place" help:"With --accept-rollback: keep logins, tickets and tokens of other issuers from before it valid."`
}

func (*serveCmd) Help() string {
	return `It needs no configuration: it creates what is missing and prints that. Every flag is also a variable, and a key of
the YAML file; a flag beats a variable, a variable the file.

Examples:

    gotong serve
    gotong serve --addr 0.0.0.0:8080 --data /var/lib/gotong
    GOTONG_LOG_FORMAT=text gotong serve --config gotong.yaml
    gotong config print --config gotong.yaml`
}

func (c *serveCmd) Run(ctx context.Context, std *stdio) error {
	log, level, err := checked(&c.Config, std)
	if err != nil {
		return err
	}
	err = c.serve(ctx, std, log, level)
	if err != nil && linesOfJSON(&c.Config, std) {
		f := *explain(err)
		log.ErrorContext(ctx, "the server ended", "cause", f.err, "try", f.hint)
		f.logged = true
		return &f
	}
	return err
}

// linesOfJSON reports whether standard error has lines of JSON alone. A person at a terminal
// reads the first and the last ones as sentences.
func linesOfJSON(c *config.Config, std *stdio) bool {
	return c.LogFormat == telemetry.FormatJSON && !std.progress
}

func (c *serveCmd) serve(ctx context.Context, std *stdio, log *slog.Logger, level *slog.LevelVar) error {
	app.LeaveSmallHeap()
	signals, stop := hangups() // one during the start waits
	defer stop()
	a, err := app.New(ctx, app.Options{
		Config: c.Config, Build: build(), Log: log, HashProgram: std.program,
		CheckpointsNew: c.CheckpointsNew, AcceptRollback: c.AcceptRollback, KeepLogins: c.KeepLogins,
	})
	if err != nil {
		return err
	}
	announce(std, a, &c.Config)
	app.WarnOfFiles(ctx, log, c.MaxSessions)
	defer onEach(signals, func() { reload(ctx, std, a, log, level) })()
	err = a.Run(ctx)
	if err == nil {
		_, _ = fmt.Fprintln(std.out, "Stopped.")
	}
	return err
}

// hangups returns the SIGHUPs from now on, until stop is called. Under nohup, there are none.
func hangups() (arrive chan os.Signal, stop func()) {
	arrive = make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(arrive, syscall.SIGHUP)
	}
	return arrive, func() { signal.Stop(arrive) }
}

// onEach calls do after each signal until the returned function is called.
func onEach(signals <-chan os.Signal, do func()) (stop func()) {
	ended := make(chan struct{})
	var loop errgroup.Group
	loop.Go(func() error {
		for {
			select {
			case <-signals:
				do()
			case <-ended:
				return nil
			}
		}
	})
	return func() {
		close(ended)
		_ = loop.Wait() // returns no error
	}
}

// reload reads the keys of other issuers and the level of the log again.
func reload(ctx context.Context, std *stdio, a *app.App, log *slog.Logger, level *slog.LevelVar) {
	c, err := std.reread()
	if err == nil {
		_, err = app.CheckConfig(c)
	}
	if err == nil {
		err = a.AcceptKeys(c)
	}
	if err == nil {
		err = telemetry.SetLevel(level, c.LogLevel)
	}
	if err != nil {
		log.ErrorContext(ctx, "the configuration cannot be read again; the earlier one remains", "cause", err)
		return
	}
	log.WarnContext(ctx, "jwt-keys and log-level were read again", "keys", len(c.JWTKeys), "log_level", c.LogLevel)
}

func checked(c *config.Config, std *stdio) (*slog.Logger, *slog.LevelVar, error) {
	warnings, err := app.CheckConfig(c)
	if err != nil {
		return nil, nil, misconfigured(err)
	}
	log, level, err := telemetry.NewLogger(std.err, c.LogLevel, c.LogFormat)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range warnings {
		if linesOfJSON(c, std) {
			log.Warn("careful", "what", w)
		} else {
			_, _ = fmt.Fprintf(std.err, "Careful: %s\n", w)
		}
	}
	return log, level, nil
}

func misconfigured(err error) error {
	if err == nil {
		return nil
	}
	return &failure{err: err, code: 2, hint: "gotong config print, to see the source of each value"}
}

// announce prints what was created and which addresses to open.
func announce(std *stdio, a *app.App, c *config.Config) {
	say := func(title, text string) {
		_, _ = fmt.Fprintf(std.out, "%s %s\n", std.paint(bold, fmt.Sprintf("%-7s", title)), text)
	}
	for _, created := range a.Created() {
		say("Made", created)
	}
	for _, note := range a.Notes() {
		say("Note", note)
	}
	say("Keeps", withoutPassword(c.StoreURL()))
	say("Mail", mailOf(c))
	if c.Console {
		say("Console", a.URL()+"/")
	}
	say("API", a.URL()+"   its pages: /docs, /openapi.json, /asyncapi.json")
	say("Admin", a.AdminURL()+"   /metrics, /debug/pprof/; keep it private")
	say("Stop", "with Ctrl-C")
}

func mailOf(c *config.Config) string {
	if c.SMTP == "" {
		return "off: gotong admin reset gives a link to users who forgot their password"
	}
	return "links for a new password are sent through " + withoutPassword(c.SMTP)
}

func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil && u.RawQuery == "" {
		return address
	}
	u.User, u.RawQuery = nil, url.Values{"host": u.Query()["host"]}.Encode() // PostgreSQL accepts a password in the query too
	return u.String()
}
