package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gotong.dev/gotong/client"
)

type tokenCmd struct {
	server
	Email     string `name:"email" help:"Address of the account." env:"GOTONG_EMAIL" required:"" placeholder:"ADDRESS"`
	Signup    bool   `name:"signup" help:"Create the account first."`
	Username  string `name:"username" help:"With --signup: the name that others see; by default the part of the address before the @." placeholder:"NAME"`
	Community string `name:"community" help:"With --signup: the community of the account." default:"rt05" placeholder:"ID"`
	Device    string `name:"device-token" help:"The device token that --json printed at an earlier sign-in, so that strangers who guess your password do not lock you out." env:"GOTONG_DEVICE_TOKEN" placeholder:"TOKEN"`
	JSON      bool   `name:"json" help:"Print JSON, with the refresh token and the device token."`
}

func (*tokenCmd) Help() string {
	return `The password comes from a prompt, from GOTONG_PASSWORD, or from the first line of standard input.

Examples:

    gotong token --email wati@example.org
    export GOTONG_TOKEN=$(gotong token --email wati@example.org)
    gotong token --email wati@example.org --signup --username Bu.Wati
    pass show gotong | gotong token --email wati@example.org --json`
}

func (c *tokenCmd) Run(ctx context.Context, std *stdio) error {
	remote, err := c.client(ctx, nil)
	if err != nil {
		return err
	}
	pass, err := c.password(std)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	auth, err := c.sign(ctx, remote, pass)
	if err != nil {
		return err
	}
	if !c.JSON {
		_, err := fmt.Fprintln(std.out, auth.AccessToken)
		return err
	}
	return json.NewEncoder(std.out).Encode(auth) //nolint:gosec // tokens are what was asked for
}

func (c *tokenCmd) sign(ctx context.Context, remote *client.Client, pass string) (client.Auth, error) {
	if !c.Signup {
		auth, err := remote.SignIn(ctx, c.Email, pass, client.Device(c.Device))
		var problem *client.Problem
		if errors.As(err, &problem) && problem.Status == 401 {
			err = &failure{
				err: errors.New("the address or the password is wrong"), code: 1,
				hint: "again; or --signup, to create the account",
			}
		}
		return auth, err
	}
	name := c.Username
	if name == "" {
		name, _, _ = strings.Cut(c.Email, "@")
	}
	return remote.SignUp(ctx, client.SignUp{Email: c.Email, Pass: pass, Username: name, CommunityID: c.Community})
}

// password reads the password from the variable, from the terminal, or from a
// pipe.
func (c *tokenCmd) password(std *stdio) (string, error) {
	if pass := std.env("GOTONG_PASSWORD"); pass != "" {
		return pass, nil
	}
	if std.secret != nil {
		return std.secret("Password for " + c.Email + ": ")
	}
	line, err := bufio.NewReader(std.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", misuse("GOTONG_PASSWORD=… gotong token …, or a password on the standard input", "no password is given")
	}
	return line, nil
}
