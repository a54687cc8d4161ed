package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/config"
)

type consoleCmd struct {
	config.Config
}

func (*consoleCmd) Help() string {
	return `The page shows sessions, commits, readers, jobs, webhooks, gates, streams and storage, and proves single events. It shows no
text of users. The link is valid for an hour; anybody who has it can give the server the orders of gotong reader, job and explain. The
server has the page on its listener for operators (--admin-addr). Give this command the configuration of the server.

Examples:

    gotong console --data /var/lib/gotong
    ssh -L 8081:127.0.0.1:8081 server     # and there: gotong console`
}

func (c *consoleCmd) Run(ctx context.Context, std *stdio) error {
	if err := checkStoreOf(&c.Config); err != nil {
		return err
	}
	if !c.Console {
		return misuse("--console", "the console is off")
	}
	link, err := operatorPage("http://"+c.AdminAddr, &c.Config)
	if err != nil {
		return err
	}
	if _, err := request(ctx, http.MethodGet, "http://"+c.AdminAddr+"/version", "", nil); err != nil {
		err = fmt.Errorf("no answer from the server's admin listener at %s: %w", c.AdminAddr, err)
		return &failure{err: err, code: 1, hint: "--admin-addr, as the server has it"}
	}
	_, err = fmt.Fprintln(std.out, link)
	return err
}

// operatorPage returns the address of the operators' page with a token for an hour
// and, if they can be read, the keys that verify the log. They are in the fragment,
// which browsers send to no server.
func operatorPage(admin string, c *config.Config) (string, error) {
	token, err := operatorToken(c, time.Hour)
	if err != nil {
		return "", err
	}
	link := admin + "/#token=" + token
	var keys []string
	signers, _ := audit.ReadSigners(c.CheckpointsDir()) // without them, the page asks for a key
	for _, k := range audit.KeysOf(signers) {
		keys = append(keys, k.String())
	}
	if len(keys) > 0 {
		link += "&key=" + url.QueryEscape(strings.Join(keys, " "))
	}
	return link, nil
}
