package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/config"
)

type adminCmd struct {
	Grant adminGrantCmd `cmd:"" help:"Give an account a platform role; this makes the first admin."`
	Reset adminResetCmd `cmd:"" help:"Print a link with which a user sets a new password."`
	Key   adminKeyCmd   `cmd:"" help:"Print a new signing key."`
}

type adminKeyCmd struct{}

func (*adminKeyCmd) Help() string {
	return `Several nodes on one database need the same signing key. Anybody who has it can sign in as any user.

Examples:

    gotong admin key >signing.key && chmod 600 signing.key
    GOTONG_SIGNING_KEY_FILE=signing.key gotong serve
    export GOTONG_SIGNING_KEY=$(gotong admin key)`
}

func (*adminKeyCmd) Run(std *stdio) error {
	_, err := fmt.Fprintln(std.out, auth.NewSigningKey())
	return err
}

type adminGrantCmd struct {
	config.Config
	server
	User string `arg:"" name:"user" help:"Its user id, user name, or (while no server runs) e-mail address."`
	Role string `name:"role" help:"The role: ${enum}." enum:"admin,moderator,user" default:"admin"`
}

func (*adminGrantCmd) Help() string {
	return `It works on the database itself or, while a server has the database open, through that server (--url), with a token
that it signs with the server's key: give it the configuration of the server. The event in the log names
"operator" as its actor. Nothing changes if the account already has the role; otherwise its logins end.

Examples:

    gotong admin grant wati@example.org --data /var/lib/gotong
    gotong admin grant Bu.Wati --role moderator --config gotong.yaml --url http://127.0.0.1:8080
    gotong admin grant Bu.Wati --role user`
}

func (c *adminGrantCmd) Run(ctx context.Context, std *stdio) error {
	if err := checkStoreOf(&c.Config); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	done, err := app.GrantRole(ctx, &c.Config, c.User, gotong.Role(c.Role))
	if errors.Is(err, app.ErrServing) {
		done, err = c.through(ctx)
	}
	if err != nil {
		return err
	}
	text := "now has the role " + c.Role + "; the user must sign in again"
	if !done.Changed {
		text = "already has the role " + c.Role
	}
	_, err = fmt.Fprintf(std.out, "%s %s.\n", done.UserID, text)
	return err
}

// through asks the server that has the store open to grant the role.
func (c *adminGrantCmd) through(ctx context.Context) (app.Granted, error) {
	token, err := operatorToken(&c.Config, time.Minute)
	if err != nil {
		return app.Granted{}, err
	}
	if _, err := c.client(ctx, nil); err != nil { // says what is wrong with the address
		return app.Granted{}, err
	}
	before, err := c.ask(ctx, token, http.MethodGet, "/v1/admin/users?user="+url.QueryEscape(c.User), nil)
	if err != nil || before.Role == gotong.Role(c.Role) {
		return app.Granted{UserID: before.UserID, Role: before.Role}, err
	}
	after, err := c.ask(ctx, token, http.MethodPost, "/v1/admin/users/"+before.UserID+"/role", map[string]string{"role": c.Role})
	return app.Granted{UserID: after.UserID, Role: after.Role, Changed: true}, err
}

type accountView struct {
	UserID string      `json:"user_id"`
	Role   gotong.Role `json:"role"`
}

func (c *adminGrantCmd) ask(ctx context.Context, token, method, path string, body any) (view accountView, err error) {
	a, err := c.request(ctx, method, path, token, body)
	switch {
	case err != nil:
		return view, err
	case a.code == http.StatusUnauthorized:
		return view, misuse("--url of the server on this database, with the --data or --signing-key that it has",
			"the server at %s has another signing key", c.URL)
	case a.code == http.StatusNotFound:
		return view, app.ErrNoAccount
	case a.code != http.StatusOK:
		return view, fmt.Errorf("the server at %s answers %s", c.URL, a.status)
	}
	err = json.Unmarshal(a.body, &view)
	return view, err
}

type adminResetCmd struct {
	config.Config
	User string `arg:"" name:"user" help:"The user id, user name or e-mail address of the account."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (*adminResetCmd) Help() string {
	return `The link works once, for an hour. Give it only to a person whom you know to be the user: it replaces the password, and
all logins of the account end. The server must be running; the command sends an order to its listener for operators
(--admin-addr), signed with the server's key: give it the configuration of the server. The link begins with --public-url.

Examples:

    gotong admin reset Bu.Wati --config gotong.yaml
    gotong admin reset wati@example.org --data /var/lib/gotong --public-url https://chat.example.org`
}

func (c *adminResetCmd) Run(ctx context.Context, std *stdio) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	reply, err := order(ctx, &c.Config, app.Order{Do: "reset", User: c.User})
	if err != nil {
		return err
	}
	if reply.Reset == nil {
		return errors.New("the server answered without a token; it may be of another version")
	}
	made := struct {
		UserID  string         `json:"user_id"`
		Link    string         `json:"link"`
		Expires gotong.Instant `json:"expires"`
	}{reply.Reset.UserID, app.ResetLink(&c.Config, reply.Reset.Token), reply.Reset.Expires}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(made)
	}
	_, err = fmt.Fprintf(std.out, "%s\n", made.Link)
	if err == nil {
		until := made.Expires.Time().Local().Format(time.DateTime)
		_, err = fmt.Fprintf(std.err, "It sets the password of %s once, until %s.\n", made.UserID, until)
	}
	return err
}

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
	_, err = fmt.Fprintf(std.out, "Erased: the content of %s.\n", count(n, "event"))
	return err
}
