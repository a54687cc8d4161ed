package main

import (
	"context"
	"time"

	"gotong.dev/gotong/client"
)

type pushCmd struct {
	List   pushListCmd   `cmd:"" help:"List the subscriptions of the login of the token, oldest first."`
	Remove pushRemoveCmd `cmd:"" help:"End a subscription: the device gets no more pushes."`
}

type pushListCmd struct {
	login
	Zone string `name:"zone" help:"Time zone of the times." default:"Local"`
	JSON bool   `name:"json" help:"Print one line of JSON for each."`
}

func (c *pushListCmd) Run(ctx context.Context, std *stdio) error {
	var list []client.PushSubscription
	zone, err := zoneOf(c.Zone)
	if err != nil {
		return err
	}
	remote, err := c.client(ctx)
	if err == nil {
		list, err = remote.Subscriptions(ctx)
	}
	for _, s := range list {
		if err == nil {
			err = c.print(std, zone, s)
		}
	}
	return err
}

func (c *pushListCmd) print(std *stdio, zone *time.Location, s client.PushSubscription) error {
	parts := []string{s.ID, "until " + stamp(zone, s.ExpiresAtMS), s.Endpoint}
	if s.Withdraw {
		parts = append(parts, "also withdrawals")
	}
	return printLine(std, c.JSON, s, parts...)
}

type pushRemoveCmd struct {
	login
	ID string `arg:"" name:"subscription" help:"As the list prints it."`
}

func (c *pushRemoveCmd) Run(ctx context.Context, _ *stdio) error {
	remote, err := c.client(ctx)
	if err != nil {
		return err
	}
	return remote.Unsubscribe(ctx, c.ID)
}
