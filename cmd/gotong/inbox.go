package main

import (
	"cmp"
	"context"
	"time"

	"gotong.dev/gotong/client"
)

type inboxCmd struct {
	login
	All  bool   `name:"all" help:"Also list what you have read."`
	Last int    `name:"last" help:"How many to list, newest first." default:"20"`
	Read bool   `name:"read" help:"Mark what is listed, and everything older, as read."`
	Zone string `name:"zone" help:"Time zone of the times." default:"Local"`
	JSON bool   `name:"json" help:"Print one line of JSON for each."`
}

func (c *inboxCmd) Run(ctx context.Context, std *stdio) error {
	zone, err := zoneOf(c.Zone)
	if err != nil {
		return err
	}
	remote, err := c.client(ctx)
	if err != nil {
		return err
	}
	newest := ""
	for page, left := (client.Page{}), c.Last; left > 0; {
		page.Limit = min(left, 100)
		list, err := remote.Notifications(ctx, c.All, page)
		if err != nil {
			return err
		}
		for _, n := range list.Items {
			if err := c.print(std, zone, n); err != nil {
				return err
			}
			newest = cmp.Or(newest, n.ID)
		}
		left -= len(list.Items)
		if page.Cursor = list.Next; page.Cursor == "" {
			break
		}
	}
	if c.Read && newest != "" {
		_, err = remote.ReadNotifications(ctx, newest)
	}
	return err
}

func (c *inboxCmd) print(std *stdio, zone *time.Location, n client.Notification) error {
	at, title := stamp(zone, n.CreatedAtMS), cmp.Or(n.Title, string(n.Stream))
	return printLine(std, c.JSON, n, at, n.Kind, n.Decision, title, n.Actor.Name, n.Body)
}
