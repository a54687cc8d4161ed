// Command load measures the server under load, over real sockets, in a process
// of its own: acknowledged posts, fan-out, idle connections, a storm of
// returning clients, and an honest poster beside attacks.
//
// The server's CPU is taken from the kernel's accounting of its process, which
// survives a noisy machine; rates and latencies compare only within one run.
// Server and load share the cores, so the clients are as light as they can be:
// they count frames and do not decode them.
//
// # Caveats
//
// It needs some 25,000 open files (ulimit -n) for 10,000 connections on both
// sides. It is run by hand (make bench), never as a test.
//
// # Dependencies
//
// Package app for the server; for the clients the standard library only, and
// golang-jwt for tokens.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gotong.dev/gotong/internal/auth/argon"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == argon.Command {
		exit(argon.Serve(os.Stdin, os.Stdout))
	}
	if len(os.Args) > 2 && os.Args[1] == "server" {
		exit(serve(os.Args[2]))
	}
	if len(os.Args) > 4 && os.Args[1] == "limit" {
		conns, _ := strconv.Atoi(os.Args[3])
		length, _ := time.ParseDuration(os.Args[4])
		exit(serveLimit(os.Args[2], conns, length))
	}
	only := flag.String("only", "posts,fanout,steady,idle,storm,attacks", "which scenarios, by comma")
	seconds := flag.Duration("for", 5*time.Second, "how long each measurement lasts")
	clients := flag.Int("clients", 10_000, "connections of idle and storm")
	store := flag.String("store", "", "keep the log in SurrealDB, surreal://USER:PASSWORD@HOST:PORT/NAMESPACE, one database a scenario")
	profile := flag.String("profile", "", "write the server's CPU profile of fanout and posts into this directory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &run{ctx: ctx, length: *seconds, clients: *clients, profile: *profile, store: *store}
	for name := range strings.SplitSeq(*only, ",") {
		scenario, ok := scenarios[name]
		if !ok {
			exit(fmt.Errorf("there is no scenario %q", name))
		}
		if err := r.with(name, scenario); err != nil {
			exit(fmt.Errorf("%s: %w", name, err))
		}
	}
}

var scenarios = map[string]func(*run) error{
	"posts": posts, "fanout": fanout, "steady": steady, "idle": idle, "storm": storm, "attacks": attacks,
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
