package main

import (
	"context"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/config"
)

type explainCmd struct {
	Access explainAccessCmd `cmd:"" help:"Explain why a user may, or may not, read a stream."`
}

type explainAccessCmd struct {
	config.Config
	User   string `arg:"" name:"user" help:"Their user id, e-mail address or user name."`
	Stream string `arg:"" name:"stream" help:"The stream, such as thread/0192…."`
}

func (*explainAccessCmd) Help() string {
	return "The command calls the function that authorises every read. " + orderHelp +
		`    gotong explain access wati thread/0192… --data /var/lib/gotong`
}

func (c *explainAccessCmd) Run(ctx context.Context, std *stdio) error {
	reply, err := order(ctx, &c.Config, app.Order{Do: "explain", User: c.User, Stream: gotong.Stream(c.Stream)})
	if err != nil {
		return err
	}
	for _, line := range reply.Lines {
		if _, err := fmt.Fprintln(std.out, line); err != nil {
			return err
		}
	}
	return nil
}
