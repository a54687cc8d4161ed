package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/importer"
)

type importCmd struct {
	login
	File    string `arg:"" type:"path" help:"The export: a file, a zip, or the directory that holds it and its media."`
	Format  string `name:"format" enum:"auto,irc,whatsapp,telegram,slack,discord,matrix,mattermost" default:"auto" help:"The format of the export: ${enum}." placeholder:"FORMAT"`
	Dialect string `name:"dialect" help:"Which program wrote an irc export, such as irssi; by default it is recognised." placeholder:"NAME"`
	Chat    string `name:"chat" help:"The chat or channel, of an export that holds several." placeholder:"NAME"`

	Thread string `name:"thread" xor:"where" help:"Into this thread, which you own or are an admin of." placeholder:"ID"`
	Scope  string `name:"scope" xor:"where" help:"Into a private thread of this scope: the one that already holds a part of the export, or a new one." placeholder:"SCOPE"`

	Zone  string            `name:"zone" help:"Time zone of the export, such as Asia/Jakarta." default:"Local"`
	Date  string            `name:"date" help:"Day on which an irc export begins, as 2006-01-02; by default it is in the file or its name." placeholder:"DAY"`
	Dates string            `name:"dates" enum:",dmy,mdy" default:"" help:"Order of day and month in a whatsapp export; by default the file decides it." placeholder:"dmy|mdy"`
	Self  string            `name:"self" help:"Your name in a whatsapp export, where it says You or Anda." placeholder:"NAME"`
	Alias map[string]string `name:"alias" mapsep:"none" help:"A person whom an earlier export called otherwise; repeatable." placeholder:"NEW=OLD"`

	NoMedia bool `name:"no-media" help:"Leave out the files that the export holds; the messages name them."`

	DryRun bool `name:"dry-run" help:"Write nothing, and report what would happen: without a target only what the file holds, and without a server."`
	JSON   bool `name:"json" help:"Print the summary as JSON."`

	zone *time.Location
}

func (*importCmd) Help() string {
	return `Messages keep who sent them and when; joins and leaves become members who come and go. A second run adds
nothing, and a longer export of the same chat only its new lines. The whole file is read before anything is
written. Files that a zip or a directory holds become attachments. The exit code is 1 if a part of the export
could not be read or was rejected. See docs/import.md.

Examples:

    gotong import 2026-08-17.txt --dry-run
    gotong import "Chat WhatsApp dengan RT 05.txt" --zone Asia/Jakarta --self Wati --scope rt05
    gotong import ChatExport_2026-08-17/ --scope rt05
    gotong import slack-export.zip --chat umum --scope rt05
    gotong import longer.txt --thread 0192f0c1-2345-8abc-9def-0123456789ab`
}

func (c *importCmd) Run(ctx context.Context, std *stdio) error {
	source, err := c.source()
	if err != nil {
		return err
	}
	file, err := importer.Open(c.File, source)
	if err != nil {
		return rejected(err)
	}
	defer file.Close() //nolint:errcheck // only read
	report := importReport{File: filepath.Base(c.File), DryRun: c.DryRun, Thread: c.Thread, zone: c.zone}
	if report.Survey, err = file.Survey(source); err != nil {
		return rejected(err)
	}
	if c.Thread == "" && c.Scope == "" {
		if c.DryRun {
			return errors.Join(c.print(std, report), report.faulty())
		}
		return misuse("--scope rt05, or --thread with the id of a thread of yours", "no target is given")
	}
	remote, err := c.client(ctx)
	if err != nil {
		return err
	}
	in := importing{importCmd: c, remote: remote, file: file, source: source, survey: &report.Survey, known: &report.Known}
	if report.Thread, err = in.thread(ctx); err != nil {
		return err
	}
	if err := in.compare(ctx, report.Thread); err != nil {
		return err
	}
	if c.DryRun {
		return errors.Join(c.print(std, report), report.faulty())
	}
	if report.Thread == "" {
		if report.Thread, err = in.create(ctx); err != nil {
			return err
		}
	}
	began := time.Now()
	report.Written, err = in.write(ctx, std, report.Thread)
	report.Seconds = time.Since(began).Seconds()
	if ctx.Err() != nil {
		err = &failure{err: errors.New("interrupted"), code: 1, hint: "the same command again: it resumes where it stopped"}
	}
	report.stopped = err != nil
	if err == nil {
		err = report.faulty()
	}
	return errors.Join(c.print(std, report), err)
}

// rejected explains why a file is not imported.
func rejected(err error) error {
	if r, ok := errors.AsType[*importer.RejectionError](err); ok {
		return &failure{err: r, hint: r.Hint, code: 1}
	}
	return err
}

func (c *importCmd) source() (importer.Source, error) {
	s := importer.Source{
		Name: c.File, Dialect: c.Dialect, Dates: c.Dates, Self: c.Self, Chat: c.Chat, Alias: c.Alias, NoMedia: c.NoMedia,
	}
	if c.Format != "auto" {
		s.Format = importer.Format(c.Format)
	}
	if c.Dialect != "" && !slices.Contains(strings.Split(importer.DialectNames(), ", "), c.Dialect) {
		return s, misuse("one of "+importer.DialectNames(), "%q is no dialect of irc", c.Dialect)
	}
	var err error
	if c.zone, err = zoneOf(c.Zone); err != nil {
		return s, err
	}
	s.Zone = c.zone
	if c.Date != "" {
		if s.Date, err = time.Parse(time.DateOnly, c.Date); err != nil {
			return s, misuse("--date 2026-08-17", "%q is not a day", c.Date)
		}
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return s, misuse("a file or a directory", "%w", err)
	}
	s.Latest = info.ModTime().Add(24 * time.Hour) // whatever the zone
	return s, nil
}

// importing is an import with its target.
type importing struct {
	*importCmd
	remote *client.Client
	file   *importer.File
	source importer.Source
	survey *importer.Survey
	known  *comparison
}

func (in importing) steps(thread string) func(func(importer.Step, error) bool) {
	p := importer.NewPlan(thread)
	p.Targets, p.Names = in.survey.Targets, in.Thread == ""
	return p.Steps(in.file.Entries(in.source))
}

// thread returns the thread to import into; empty if it is to be created.
func (in importing) thread(ctx context.Context) (string, error) {
	if in.Thread == "" {
		return in.find(ctx)
	}
	t, err := in.remote.Thread(ctx, in.Thread)
	if err == nil && t.MyRole != "owner" && t.MyRole != "admin" {
		err = &failure{
			err: errors.New("only an owner or admin of a thread can import into it"), code: 1,
			hint: "--scope, to import into a thread of your own",
		}
	}
	return in.Thread, notThere(err, gotong.NewStream("thread", in.Thread))
}

// overlapPages is how many pages of messages are searched at the end of a thread.
const overlapPages = 5

// find returns the thread of the scope that already holds messages of this export:
// the whole, or a part that began elsewhere.
func (in importing) find(ctx context.Context) (string, error) {
	holders := map[string][]string{} // the threads with a message of this request id
	for page := (client.Page{Limit: 100}); ; {
		list, err := in.remote.Threads(ctx, in.Scope, page)
		if err != nil {
			return "", err
		}
		for _, t := range list.Items {
			if t.MyRole != "owner" && t.MyRole != "admin" {
				continue
			}
			if err := in.ends(ctx, t.ThreadID, holders); err != nil {
				return "", err
			}
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			break
		}
	}
	if len(holders) == 0 { // without another reading of the file
		return "", nil
	}
	var found []string
	for s, err := range in.steps("") {
		if err != nil {
			return "", err
		}
		for _, thread := range holders[s.RequestID] {
			if s.Op == importer.Post && !slices.Contains(found, thread) {
				found = append(found, thread)
			}
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	default:
		return "", &failure{
			err: fmt.Errorf("%d threads of the scope hold a part of this export", len(found)), code: 1,
			hint: "--thread " + strings.Join(found, ", or --thread "),
		}
	}
}

// ends adds the newest and the oldest messages of a thread, by request id.
func (in importing) ends(ctx context.Context, thread string, holders map[string][]string) error {
	r := client.Range{Limit: 100}
	for n := range overlapPages + 1 {
		if n == overlapPages {
			r = client.Range{Limit: 100, After: client.Start}
		}
		page, err := in.remote.Messages(ctx, thread, r)
		if err != nil {
			return err
		}
		for _, m := range page.Items {
			holders[m.RequestID] = append(holders[m.RequestID], thread)
		}
		if !page.More {
			break
		}
		r.Before = page.Next
	}
	return nil
}

func (in importing) create(ctx context.Context) (string, error) {
	t, err := in.remote.CreateThread(ctx, client.NewThread{ScopeID: in.Scope, Privacy: "private", Name: in.survey.ChatName},
		client.RequestID(in.survey.ThreadRequestID(in.Scope)))
	return t.ThreadID, err
}

func (c *importCmd) print(std *stdio, r importReport) error {
	if c.JSON {
		return indented(std.out, r)
	}
	_, err := io.WriteString(std.out, r.text())
	return err
}

// maxUploads is how often an upload may expire.
const maxUploads = 8

// write sends the steps over one connection, many at a time.
func (in importing) write(ctx context.Context, std *stdio, thread string) (importer.Result, error) {
	conn := in.remote.NewConn(client.ConnOptions{MaxPending: importer.Window})
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
	bar := newProgress(std, in.survey.Steps, in.known.Bytes)
	steps := in.known.without(in.steps(thread), in.upload(thread, bar))
	result, err := importer.Run(ctx, submit, steps, in.known.ids, bar.show)
	std.wipe()
	cancel()
	running.Wait()
	if err != nil && !errors.Is(lost, context.Canceled) {
		err = lost
	}
	return result, err
}

// upload returns a function that uploads files for the thread. An upload that expired
// before its message was posted, because an import was interrupted for a day, cannot be
// continued; the next request id of the same series can.
func (in importing) upload(thread string, bar *progress) importer.Upload {
	return func(ctx context.Context, m importer.Medium) (id string, err error) {
		from := m.Open()
		defer from.Close() //nolint:errcheck // only read
		file := client.NewFile{Name: m.Name, Size: m.Size, From: from, Progress: bar.bytes}
		for n := range maxUploads {
			f, err := in.remote.Upload(ctx, thread, file, client.RequestID(m.RequestID+strings.Repeat(".", n)))
			if gotong.CodeOf(err) != gotong.CodeNotFound || n == maxUploads-1 {
				return f.ID, err
			}
		}
		return "", nil
	}
}
