package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/demo"
	"gotong.dev/gotong/internal/regular"
)

type demoCmd struct {
	config.Config

	Open bool `name:"open" group:"edge" help:"Open the console in a browser, if this is a terminal on a desktop." default:"true"`
}

func (*demoCmd) Help() string {
	return `RT 05, the day after a flood: a few neighbours, a group, two threads, a conversation that continues until Ctrl-C,
and a case that they resolve meanwhile: an objection, votes and a close within three minutes.
It opens the console, a page to chat in, and prints its address and what to paste into a second terminal. Without
--data all of it is in a directory of its own that is removed at the end; if a port is in use, another one is chosen.

Examples:

    gotong demo
    gotong demo --data ./rt05
    gotong demo --addr 127.0.0.1:9090`
}

func (c *demoCmd) Run(ctx context.Context, std *stdio, source *config.Source, parsed *kong.Context) error {
	given := map[string]bool{}
	for _, e := range source.Entries(parsed) {
		given[e.Key] = e.From != "default"
	}
	temporary, err := c.adapt(given, std)
	if err != nil {
		return err
	}
	err = c.run(ctx, std)
	if temporary {
		return errors.Join(err, os.RemoveAll(filepath.Dir(c.Data)))
	}
	return err
}

// adapt changes the defaults to those of a demo. It returns true if the data
// directory is temporary and must be removed.
func (c *demoCmd) adapt(given map[string]bool, std *stdio) (temporary bool, err error) {
	if !given["log-level"] {
		c.LogLevel = "warn"
	}
	if !given["log-format"] {
		c.LogFormat = telemetryText
	}
	if !given["access-token-life"] {
		c.AccessTokenLife = time.Hour // the token that is printed should last a while
	}
	for key, addr := range map[string]*string{"addr": &c.Addr, "admin-addr": &c.AdminAddr} {
		if !given[key] && inUse(*addr) {
			_, _ = fmt.Fprintf(std.out, "%s is in use, so the demo uses another port.\n", *addr)
			*addr = "127.0.0.1:0"
		}
	}
	if given["data"] || given["store"] {
		return false, nil
	}
	root, err := os.MkdirTemp("", "gotong-demo-")
	c.Data, c.Checkpoints = filepath.Join(root, "data"), filepath.Join(root, "checkpoints")
	return true, err
}

const telemetryText = "text"

func inUse(addr string) bool {
	l, err := net.Listen("tcp", addr) //nolint:noctx // a look at an address of this machine
	if err != nil {
		return true
	}
	return l.Close() != nil
}

// run serves, seeds and talks, and stops these in reverse order.
func (c *demoCmd) run(ctx context.Context, std *stdio) error {
	log, _, err := checked(&c.Config, std)
	if err != nil {
		return err
	}
	a, err := c.open(ctx, std, log)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	talking, hush := context.WithCancelCause(ctx)
	defer hush(nil)
	var running sync.WaitGroup
	var served error
	running.Go(func() {
		served = a.Run(serving)
		hush(errors.New("the server has ended"))
	})
	err = c.show(talking, std, a, log)
	if ctx.Err() != nil {
		err = nil // it was stopped: that is how a demo ends
		_, _ = fmt.Fprintln(std.out, "\nStopping.")
	}
	stop()
	running.Wait()
	return errors.Join(err, served)
}

func (c *demoCmd) open(ctx context.Context, std *stdio, log *slog.Logger) (*app.App, error) {
	root, err := os.MkdirTemp("", "gotong-demo-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(root, "tracks.yaml")
	cfg := c.Config
	cfg.Tracks = append(slices.Clone(cfg.Tracks), file)
	var a *app.App
	if err = os.WriteFile(file, demo.Tracks, 0o600); err == nil {
		a, err = app.New(ctx, app.Options{Config: cfg, Build: build(), Log: log, HashProgram: std.program})
	}
	return a, errors.Join(err, os.RemoveAll(root))
}

func (c *demoCmd) show(ctx context.Context, std *stdio, a *app.App, log *slog.Logger) error {
	secret, err := demoSecret(c.Data)
	if err != nil {
		return err
	}
	place, err := demo.Seed(ctx, demo.Options{URL: a.URL(), Secret: secret, Log: log})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprint(std.out, c.invitation(std, a, place))
	if c.Console && c.Open && std.terminal {
		openPage(ctx, std, consoleAddress(a, place))
	}
	place.Talk(ctx)
	return nil
}

// openPage opens an address in the browser of a desktop. Whether that works does
// not matter, because the address is printed too.
func openPage(ctx context.Context, std *stdio, address string) {
	program := opener(runtime.GOOS, std.env)
	if program == "" {
		return
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, address) //nolint:gosec // one of two programs, and our own address
	if cmd.Start() == nil {
		_ = cmd.Process.Release() // it outlives the demo
	}
}

// opener returns the program that opens an address on the desktop; empty if there
// is no desktop.
func opener(system string, env func(string) string) string {
	switch {
	case env("CI") != "":
		return ""
	case system == "darwin":
		return "open"
	case env("DISPLAY") == "" && env("WAYLAND_DISPLAY") == "":
		return "" // xdg-open would start a browser in the terminal
	}
	return "xdg-open"
}

// demoSecret returns the secret from which the neighbours' passwords are
// derived. It is kept beside the data that it seeded.
func demoSecret(data string) (string, error) {
	path := filepath.Join(data, "demo-secret")
	b, err := regular.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	secret := rand.Text()
	return secret, os.WriteFile(path, []byte(secret+"\n"), 0o600)
}
