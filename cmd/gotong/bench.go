package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/bench"
	"gotong.dev/gotong/internal/config"
)

type benchCmd struct {
	server
	Only      []string      `name:"only" help:"Which scenarios, or all: ${scenarios}." default:"paced,alone,threes,stream" placeholder:"SCENARIO,…"`
	For       time.Duration `name:"for" help:"How long each measurement lasts, after a fifth of it as a warm-up." default:"5s"`
	Clients   int           `name:"clients" help:"Connections of everyday, idle and storm." default:"10000"`
	Yes       bool          `name:"yes" help:"Also measure a server that is not in development on this machine; its log keeps the posts."`
	Tokens    string        `name:"tokens" help:"File with an access token a line, of a user each." type:"path" placeholder:"FILE"`
	JWTKey    string        `name:"jwt-key" help:"HS256 key that the server accepts by its jwt-keys, in the same form: kid=…,alg=HS256,file=…; signs for as many users as are needed." env:"GOTONG_BENCH_JWT_KEY" placeholder:"KEY"`
	Community string        `name:"community" help:"Without --tokens and --jwt-key: the community of the accounts that are made." default:"rt05" placeholder:"ID"`
	SVG       string        `name:"svg" help:"Directory for latency.svg and throughput.svg." type:"path" placeholder:"DIR"`
	JSON      bool          `name:"json" help:"Print the report as JSON."`
}

func (*benchCmd) Help() string {
	return `It posts to threads that it makes, and checks that nothing is lost, doubled or out of order. The threads stay
in the log for ever, so a server that is not in development on this machine needs --yes. Each connection is a user
of its own: by default it signs up at most 64 of them; large scenarios need --jwt-key or --tokens. Limits of the
server (429) are counted, not avoided.

Exit codes: 0 measured, 1 something was lost, doubled, out of order, unanswered or cut, 2 wrong use.

Examples:

    gotong bench
    gotong bench --only stream --for 30s --json >stream.json
    gotong serve --jwt-keys kid=bench,alg=HS256,file=bench.key --command-rate 1e6 --command-burst 1000000
    gotong bench --jwt-key kid=bench,alg=HS256,file=bench.key --only full,rooms,storm --svg plots`
}

func (c *benchCmd) Run(ctx context.Context, std *stdio) error {
	remote, err := c.client(ctx, nil)
	if err != nil {
		return err
	}
	if err := c.allowed(ctx); err != nil {
		return err
	}
	users, err := c.users(remote)
	if err != nil {
		return err
	}
	if slices.Equal(c.Only, []string{"all"}) {
		c.Only = bench.Names()
	}
	bar := benchBar{std: std}
	options := bench.Options{URL: c.URL, Users: users, Only: c.Only, For: c.For, Clients: c.Clients, Progress: bar.show}
	if err := options.Check(); err != nil {
		hint := "gotong bench --help"
		if _, few := errors.AsType[*bench.TooFewUsers](err); few {
			hint = "--jwt-key with a key of the server's jwt-keys, or --tokens with a file of so many tokens"
		}
		return &failure{err: err, code: 2, hint: hint}
	}
	report, err := bench.Run(ctx, options)
	std.wipe()
	if len(report.Results) > 0 {
		err = errors.Join(err, c.print(std, report))
	}
	if err == nil && slices.ContainsFunc(report.Results, (*bench.Result).Faulty) {
		err = &failure{err: errors.New("the server broke a promise or a connection, or could not be measured; see the report"), code: 1}
	}
	return err
}

// allowed protects a log that matters from being filled by mistake.
func (c *benchCmd) allowed(ctx context.Context) error {
	if c.Yes {
		return nil
	}
	const hint = "--yes, if that log may keep the posts for ever"
	u, err := url.Parse(c.URL)
	if err != nil || !loopback(u.Hostname()) {
		return misuse(hint, "%s is not on this machine", c.URL)
	}
	a, err := c.request(ctx, http.MethodGet, "/version", "", nil)
	if err != nil {
		return err
	}
	var version struct {
		Development bool `json:"development"`
	}
	if err := json.Unmarshal(a.body, &version); err != nil || !version.Development {
		return misuse(hint, "the server at %s is not in development", c.URL)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *benchCmd) users(remote *client.Client) (bench.Users, error) {
	switch {
	case c.Tokens != "" && c.JWTKey != "":
		return nil, misuse("one of them", "--tokens and --jwt-key exclude each other")
	case c.Tokens != "":
		b, err := os.ReadFile(c.Tokens)
		return bench.ReadTokens(string(b)), err
	case c.JWTKey == "":
		return &bench.SignUps{Client: remote, Community: c.Community}, nil
	}
	const hint = "--jwt-key kid=bench,alg=HS256,file=bench.key"
	var key config.JWTKey
	if err := key.UnmarshalText([]byte(c.JWTKey)); err != nil {
		return nil, misuse(hint, "--jwt-key %w", err)
	}
	secret, err := key.Material()
	if err == nil && (key.Alg != "HS256" || len(secret) == 0) {
		err = misuse(hint, "--jwt-key must be an HS256 key, in key=… or file=…")
	}
	return &bench.Issuer{KID: key.KID, Issuer: key.Iss, Audience: key.Aud, Key: secret}, err
}

func (c *benchCmd) print(std *stdio, report bench.Report) error {
	if c.SVG != "" {
		if err := writeCharts(c.SVG, report); err != nil {
			return err
		}
	}
	if !c.JSON {
		_, err := fmt.Fprint(std.out, report.Text())
		return err
	}
	return indented(std.out, report)
}

func writeCharts(dir string, report bench.Report) error {
	err := os.MkdirAll(dir, 0o755) //nolint:gosec // plots are for everybody
	for name, chart := range map[string]bench.Chart{"latency.svg": report.Latency(), "throughput.svg": report.Throughput()} {
		file, failed := os.Create(filepath.Join(dir, name)) //nolint:gosec // the directory is the user's choice
		if err = cmp.Or(err, failed); failed == nil {
			err = errors.Join(err, chart.SVG(file), file.Close())
		}
	}
	return err
}

// benchBar shows on stderr how far a run is: on a terminal in one line that is
// overwritten, elsewhere in a line for each step.
type benchBar struct {
	std  *stdio
	last bench.Progress
}

func (b *benchBar) show(p bench.Progress) {
	text := fmt.Sprintf("[%d/%d] %s: %s", p.Number, p.Of, p.Scenario, p.Step)
	if b.std.progress {
		if p.All > 0 {
			text += fmt.Sprintf(" %d of %d", p.Done, p.All)
		}
		_, _ = fmt.Fprint(b.std.err, "\r\x1b[K"+text)
		return
	}
	if p.Number != b.last.Number || p.Step != b.last.Step {
		_, _ = fmt.Fprintln(b.std.err, text)
	}
	b.last = p
}
