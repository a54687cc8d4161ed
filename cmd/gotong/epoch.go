package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/store"
)

type epochCmd struct {
	List epochListCmd `cmd:"" help:"Show the epochs of a log."`
	New  epochNewCmd  `cmd:"" help:"Begin a new epoch: after a backup was restored, or a rollback accepted."`
}

type epochListCmd struct {
	Store string `name:"store" required:"" help:"Address of the store." env:"GOTONG_STORE" placeholder:"URL"`
	JSON  bool   `name:"json" help:"Print JSON."`
	trust
}

func (c *epochListCmd) Validate() error { return checkStore("--store", c.Store) }

func (*epochListCmd) Help() string {
	return `A server may have the store open.

Examples:

    gotong epoch list --store sqlite:/var/lib/gotong/gotong.db`
}

func (c *epochListCmd) Run(ctx context.Context, std *stdio) error {
	c.readOnly = true
	return withStore(ctx, c.trust, c.Store, func(s *place) error { return printEpochs(ctx, std, s, c.JSON) })
}

type epochNewCmd struct {
	Store string `name:"store" required:"" help:"Address of the store; no server may run on it." env:"GOTONG_STORE" placeholder:"URL"`
	JSON  bool   `name:"json" help:"Print JSON."`
	Keep  bool   `name:"keep-logins" help:"Keep logins, tickets and tokens of other issuers from before the new epoch valid."`
	trust
}

func (c *epochNewCmd) Validate() error { return checkStore("--store", c.Store) }

func (*epochNewCmd) Help() string {
	return `A restored backup lacks what was written after it, and clients may have seen that. With a new epoch their cursors
are rejected (epoch_changed), and they read anew instead of missing something. Old events stay as they are.

All logins end, because logins that ended after the backup would otherwise be valid again. --keep-logins keeps them.

Examples:

    gotong epoch new --store sqlite:/var/lib/gotong/gotong.db`
}

func (c *epochNewCmd) Run(ctx context.Context, std *stdio) error {
	return withStore(ctx, c.trust, c.Store, func(s *place) error {
		text := "All logins are kept: this undoes every logout since the backup. Users who refreshed a token since then must sign in again."
		if !c.Keep { // before the epoch: a command that was interrupted is given again
			logins, err := auth.EndLogins(ctx, s, now())
			if err != nil {
				return err
			}
			text = fmt.Sprintf("All logins have ended, %d of them of accounts in this store; all users must sign in again.", logins)
		}
		if err := s.Renew(ctx, store.NewEpoch()); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(std.err, text); err != nil {
			return err
		}
		return printEpochs(ctx, std, s, c.JSON)
	})
}

func withStore(ctx context.Context, t trust, address string, do func(*place) error) error {
	s, err := t.open(ctx, address, true)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

func printEpochs(ctx context.Context, std *stdio, s *place, asJSON bool) error {
	state, err := s.State(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return indented(std.out, state.Eras)
	}
	var b strings.Builder
	for i, era := range state.Eras {
		what := "from the beginning"
		if i > 0 {
			what = "from position " + positionsText(era.After) + " on"
		}
		_, _ = fmt.Fprintf(&b, "%-12s %s\n", era.Epoch, what)
	}
	_, err = io.WriteString(std.out, b.String())
	return err
}

// positionsText lists the positions of the partitions that are not empty.
func positionsText(after [gotong.Partitions]uint64) string {
	var parts []string
	for p, n := range after {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d of partition %d", n, p))
		}
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, ", ")
}
