package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/importer"
)

type importCmd struct {
	login
	File   string `arg:"" type:"existingfile" help:"The export."`
	Format string `name:"format" required:"" enum:"irc,whatsapp" help:"The format of the export: ${enum}." placeholder:"FORMAT"`

	Thread string `name:"thread" xor:"where" help:"Into this thread, which you own or are an admin of." placeholder:"ID"`
	Scope  string `name:"scope" xor:"where" help:"Into a private thread of this scope: the one that an earlier import of it created, or a new one." placeholder:"SCOPE"`

	Zone string `name:"zone" help:"Time zone of the export, such as Asia/Jakarta." default:"Local"`
	Date string `name:"date" help:"Day on which an irc export begins, as 2006-01-02; by default it is in the file's name." placeholder:"DAY"`
	Self string `name:"self" help:"Your name in a whatsapp export, where it says You or Anda." placeholder:"NAME"`

	DryRun bool `name:"dry-run" help:"Only read the file and print what it holds; connects to no server."`
	JSON   bool `name:"json" help:"Print the summary as JSON."`
}

func (*importCmd) Help() string {
	return `Messages keep who sent them and when; joins and leaves become members who come and go. A second run adds
nothing, and a longer export of the same chat only its new lines.

Examples:

    gotong import --format irc 2026-08-17.txt --dry-run
    gotong import --format irc 2026-08-17.txt --scope rt05
    gotong import --format whatsapp "Chat WhatsApp dengan RT 05.txt" --zone Asia/Jakarta --self Wati --scope rt05
    gotong import --format whatsapp longer.txt --thread 0192f0c1-2345-8abc-9def-0123456789ab`
}

func (c *importCmd) Run(ctx context.Context, std *stdio) error {
	entries, err := c.read()
	if err != nil {
		return err
	}
	report := importReport{File: filepath.Base(c.File), Format: c.Format, DryRun: c.DryRun, Thread: c.Thread}
	if c.DryRun {
		_, report.Read = plan(c.Thread, entries)
		return c.print(std, report)
	}
	if c.Thread == "" && c.Scope == "" {
		return misuse("--scope rt05, or --thread with the id of a thread of yours", "no target is given")
	}
	remote, err := c.client(ctx)
	if err != nil {
		return err
	}
	if report.Thread, err = c.thread(ctx, remote, entries); err != nil {
		return err
	}
	var steps []importer.Step
	steps, report.Read = plan(report.Thread, entries)
	began := time.Now()
	report.Written, err = c.write(ctx, std, remote, report.Thread, steps)
	report.Seconds = time.Since(began).Seconds()
	if ctx.Err() != nil {
		err = &failure{err: errors.New("interrupted"), code: 1, hint: "the same command again: it resumes where it stopped"}
	}
	return errors.Join(c.print(std, report), err)
}

// read reads the whole file. An export is small, and the estimate of the
// remaining time needs its length.
func (c *importCmd) read() ([]importer.Entry, error) {
	source := importer.Source{Format: importer.Format(c.Format), Name: c.File, Self: c.Self}
	var err error
	if source.Zone, err = zoneOf(c.Zone); err != nil {
		return nil, err
	}
	if c.Date != "" {
		if source.Date, err = time.Parse(time.DateOnly, c.Date); err != nil {
			return nil, misuse("--date 2026-08-17", "%q is not a day", c.Date)
		}
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	var list []importer.Entry
	for e, err := range importer.Parse(source, file) {
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	if len(list) == 0 {
		return nil, errors.New("the file is empty")
	}
	return list, nil
}

func (c *importCmd) thread(ctx context.Context, remote *client.Client, entries []importer.Entry) (string, error) {
	if c.Thread != "" {
		t, err := remote.Thread(ctx, c.Thread)
		if err == nil && t.MyRole != "owner" && t.MyRole != "admin" {
			err = &failure{
				err: errors.New("only an owner or admin of a thread can import into it"), code: 1,
				hint: "--scope, to import into a thread of your own",
			}
		}
		return c.Thread, notThere(err, gotong.NewStream("thread", c.Thread))
	}
	id := importer.ThreadRequestID(c.Scope, importer.Format(c.Format), entries)
	t, err := remote.CreateThread(ctx, client.NewThread{ScopeID: c.Scope, Privacy: "private"}, client.RequestID(id))
	return t.ThreadID, err
}

func plan(thread string, entries []importer.Entry) ([]importer.Step, importer.Summary) {
	p := importer.NewPlan(thread)
	var steps []importer.Step
	for s, err := range p.Steps(every(entries)) {
		if err == nil { // always: these entries were read already
			steps = append(steps, s)
		}
	}
	return steps, p.Summary()
}

func every[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// write sends the steps over one connection, many at a time.
func (c *importCmd) write(
	ctx context.Context, std *stdio, remote *client.Client, thread string, steps []importer.Step,
) (importer.Result, error) {
	conn := remote.NewConn(client.ConnOptions{MaxPending: importer.Window})
	inner, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var lost error // why the connection ended
	running.Go(func() { lost = conn.Run(inner) })
	submit := func(ctx context.Context, typ string, data any, requestID string) (importer.Wait, error) {
		call, err := conn.Submit(ctx, gotong.NewStream("thread", thread), typ, data, client.RequestID(requestID))
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (gotong.Receipt, bool, error) {
			r, err := call.Wait(ctx)
			return r, call.PutOff(), err
		}, nil
	}
	bar := newProgress(std, len(steps))
	result, err := importer.Run(ctx, submit, every(steps), bar.show)
	bar.clear()
	cancel()
	running.Wait()
	if err != nil && !errors.Is(lost, context.Canceled) {
		err = lost
	}
	return result, err
}

type importReport struct {
	File    string           `json:"file"`
	Format  string           `json:"format"`
	Thread  string           `json:"thread,omitempty"`
	DryRun  bool             `json:"dry_run"`
	Read    importer.Summary `json:"read"`
	Written importer.Result  `json:"written"`
	Seconds float64          `json:"seconds"`
}

func (c *importCmd) print(std *stdio, r importReport) error {
	if c.JSON {
		return indented(std.out, r)
	}
	_, err := io.WriteString(std.out, r.text())
	return err
}
