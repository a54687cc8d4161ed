package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"gotong.dev/gotong/internal/config"
)

type healthcheckCmd struct {
	config.Config

	Live bool `name:"live" help:"Ask whether the process answers, not whether it is ready."`
}

func (*healthcheckCmd) Help() string {
	return `It asks the server's listener for operators (--admin-addr) for /readyz, for at most 5 seconds, and exits with 0 if the server is
ready and with 1 if not. It needs no token. Give this command the configuration of the server.

Examples:

    gotong healthcheck
    HEALTHCHECK CMD ["/gotong", "healthcheck"]     # in a Dockerfile`
}

func (c *healthcheckCmd) Run(ctx context.Context, std *stdio) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	path := "/readyz"
	if c.Live {
		path = "/livez"
	}
	host, port, err := net.SplitHostPort(c.AdminAddr)
	if err != nil {
		return misuse("--admin-addr", "%v", err)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() { // it listens on all addresses
		host = "127.0.0.1"
	}
	a, err := request(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, "", nil)
	if err != nil {
		err = fmt.Errorf("no answer from the server's admin listener at %s: %w", c.AdminAddr, err)
		return &failure{err: err, code: 1, hint: "--admin-addr, as the server has it"}
	}
	if _, err := fmt.Fprintf(std.out, "%s\n", bytes.TrimSpace(a.body)); err != nil || a.code == http.StatusOK {
		return err
	}
	return fmt.Errorf("the server answered %s", a.status)
}
