// Command gotong is the server and its tools: it serves, runs a demo, imports
// exports of other chats, follows threads and signs in.
//
// Exit codes: 0 done, 1 failed, 2 wrong use, 3 gates could not be completed. A
// first interrupt ends a command in good order, a second one at once.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // where the machine has no time zones of its own

	"gotong.dev/gotong/internal/auth/argon"
)

func main() { os.Exit(start()) }

func start() int {
	if len(os.Args) == 2 && os.Args[1] == argon.Command {
		return deriveKeys()
	}
	endings := []os.Signal{os.Interrupt, syscall.SIGTERM}
	switch serves := len(os.Args) > 1 && os.Args[1] == "serve"; {
	case signal.Ignored(syscall.SIGHUP): // it runs under nohup
	case serves: // it means another thing; one that arrives before that must not end the process
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	default:
		endings = append(endings, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), endings...)
	defer stop()
	context.AfterFunc(ctx, stop) // from then on an interrupt is deadly again
	return run(ctx, os.Args[1:], ownStdio())
}

// deriveKeys hashes passwords for a server, as a child process of it. It ends
// when its input does, not by a signal: an interrupt reaches the server and its
// children at the same time, and the server still answers requests that it has
// begun. Started from a terminal, it has no server, and an interrupt ends it.
func deriveKeys() int {
	if !isTerminal(os.Stdin) {
		signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	}
	if argon.Serve(os.Stdin, os.Stdout) != nil {
		return 1
	}
	return 0
}
