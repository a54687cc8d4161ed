package main

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"gotong.dev/gotong/client"
)

type searchCmd struct {
	login
	Query []string `arg:"" help:"Words, and from:NAME, in:THREAD, before:DATE, after:DATE, has:link, has:file."`
	Last  int      `name:"last" help:"How many messages to list, newest first." default:"20"`
	Zone  string   `name:"zone" help:"Time zone of the times." default:"Local"`
	JSON  bool     `name:"json" help:"Print one line of JSON for each."`
}

func (*searchCmd) Help() string {
	return `Lists the names of groups, cases and threads that fit, then messages. The exit code is 1 if nothing fits.

Examples:

    gotong search kerja bakti
    gotong search '"kerja bakti" from:bu.wati after:2026-11-01'
    gotong search has:file notulen --last 200 --json | jq -r .file_names[].text`
}

func (c *searchCmd) Run(ctx context.Context, std *stdio) error {
	zone, err := zoneOf(c.Zone)
	if err != nil {
		return err
	}
	remote, err := c.client(ctx)
	if err != nil {
		return err
	}
	query, page, found := strings.Join(c.Query, " "), client.Page{}, 0
	for left := c.Last; left > 0; {
		page.Limit = min(left, 50)
		list, err := remote.Search(ctx, query, page)
		if err != nil {
			return err
		}
		for _, n := range list.Names {
			if err := printLine(std, c.JSON, n, n.Kind, n.Snippet.Text, n.ID); err != nil {
				return err
			}
		}
		for _, m := range list.Items {
			if err := printLine(std, c.JSON, m, c.parts(zone, m)...); err != nil {
				return err
			}
		}
		left, found = left-len(list.Items), found+len(list.Items)+len(list.Names)
		if page.Cursor = list.NextCursor; page.Cursor == "" {
			break
		}
	}
	if found == 0 {
		return errors.New("nothing fits; a search finds whole words and their forms, in what you may read")
	}
	return nil
}

func (*searchCmd) parts(zone *time.Location, m client.FoundMessage) []string {
	at := m.At.Time()
	if m.SentAtMS > 0 {
		at = time.UnixMilli(m.SentAtMS)
	}
	parts := []string{at.In(zone).Format("2006-01-02 15:04"), cmp.Or(m.SentBy, m.Author.Name), m.Snippet.Text}
	for _, f := range m.FileNames {
		parts = append(parts, "["+f.Text+"]")
	}
	return append(parts, m.ThreadID)
}
