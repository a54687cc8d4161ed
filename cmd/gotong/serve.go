package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"

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
	log, err := checked(&c.Config, std)
	if err != nil {
		return err
	}
	app.LeaveSmallHeap()
	a, err := app.New(ctx, app.Options{
		Config: c.Config, Build: build(), Log: log, HashProgram: std.program,
		CheckpointsNew: c.CheckpointsNew, AcceptRollback: c.AcceptRollback, KeepLogins: c.KeepLogins,
	})
	if err != nil {
		return err
	}
	announce(std, a, &c.Config)
	err = a.Run(ctx)
	if err == nil {
		_, _ = fmt.Fprintln(std.out, "Stopped.")
	}
	return err
}

func checked(c *config.Config, std *stdio) (*slog.Logger, error) {
	warnings, err := app.CheckConfig(c)
	if err != nil {
		return nil, misconfigured(err)
	}
	log, err := telemetry.NewLogger(std.err, c.LogLevel, c.LogFormat)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		_, _ = fmt.Fprintf(std.err, "Careful: %s\n", w)
	}
	return log, nil
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
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}
