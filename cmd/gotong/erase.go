package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/config"
)

type eraseCmd struct {
	config.Config
	Stream string   `arg:"" name:"stream" help:"The stream of the events, such as thread/0192…."`
	Seqs   []uint64 `arg:"" name:"seq" help:"The events, by seq."`
	Reason string   `name:"reason" required:"" help:"The reason; everybody who could see the events sees it."`
}

func (*eraseCmd) Help() string {
	return `Erases the content of the events for good, and the content of later events about them, such as the edits of a
message. Seqs, order, chain and data stay. For each erased event, an event with the reason follows, whose actor is
"operator". The command works on a store that no server has open; while a server runs, use POST /v1/admin/erasures.
Backups and earlier exports keep the text.

Examples:

    gotong erase thread/0192… 7 --reason "request of the author" --data /var/lib/gotong`
}

func (c *eraseCmd) Run(ctx context.Context, std *stdio) error {
	if err := checkStoreOf(&c.Config); err != nil {
		return err
	}
	stream, err := gotong.ParseStream(c.Stream)
	if err != nil {
		return misuse("the name of a stream, such as thread/0192…", "%q names no stream", c.Stream)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	n, err := app.Erase(ctx, &c.Config, stream, c.Seqs, c.Reason)
	if errors.Is(err, app.ErrServing) {
		return &failure{err: err, code: 1, hint: "POST /v1/admin/erasures of that server, or stop it first"}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "The content of %d events was erased.\n", n)
	return err
}
