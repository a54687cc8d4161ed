// Command load runs the scenarios of gotong bench against servers that it
// starts, each beside bare loops of the same work in the same run, and an honest
// poster beside attacks. It prints medians and ratios.
//
// The server's CPU is taken from the kernel's accounting of its process, which
// survives a noisy machine; rates and latencies compare only within one run.
//
// # Caveats
//
// It needs some 25,000 open files (ulimit -n) for 10,000 connections on both
// sides. It is run by hand, never as a test.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gotong.dev/gotong/internal/auth/argon"
	"gotong.dev/gotong/internal/bench"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == argon.Command {
		exit(argon.Serve(os.Stdin, os.Stdout))
	}
	if len(os.Args) > 2 && os.Args[1] == "server" {
		exit(serve(os.Args[2]))
	}
	if len(os.Args) == 7 && os.Args[1] == "limit" {
		exit(serveLimit(os.Args[2:]))
	}
	if len(os.Args) == 4 && os.Args[1] == "crowd" {
		exit(serveCrowd(os.Args[2], os.Args[3]))
	}
	only := flag.String("only", strings.Join(append(bench.Names(), attacking), ","), "which scenarios, by comma")
	seconds := flag.Duration("for", 5*time.Second, "how long each measurement lasts")
	rounds := flag.Int("rounds", 1, "how often all is measured, in turns")
	clients := flag.Int("clients", 10_000, "connections of everyday, idle and storm")
	events := flag.Int("log", 0, "posts that are in the log before a scenario begins")
	page := flag.String("results", "", "write the table into this page, between its measured marks")
	store := flag.String("store", "", "keep the log in SurrealDB, surreal://USER:PASSWORD@HOST:PORT/NAMESPACE, one database a scenario")
	profile := flag.String("profile", "", "write CPU profiles of the server into this directory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &run{ctx: ctx, length: *seconds, clients: *clients, events: *events, profile: *profile, store: *store}
	names := strings.Split(*only, ",")
	text, err := r.measure(names, *rounds)
	fmt.Print(text)
	if err == nil && *page != "" {
		err = keep(*page, text)
	}
	exit(err)
}

// attacking is the name of the scenario that only this program has.
const attacking = "attacks"

// measure runs all scenarios this number of times, in turns, and returns the
// table.
func (r *run) measure(names []string, rounds int) (string, error) {
	all := map[string]figures{}
	for round := range rounds {
		for _, name := range names {
			if name == attacking {
				if round == 0 { // it has rounds of its own
					if err := r.with(name, attacks); err != nil {
						return "", fmt.Errorf("%s: %w", name, err)
					}
				}
				continue
			}
			i := slices.IndexFunc(bench.Scenarios, func(s bench.Scenario) bool { return s.Name == name })
			if i < 0 {
				return "", fmt.Errorf("unknown scenario %q", name)
			}
			if all[name] == nil {
				all[name] = figures{}
			}
			if err := r.round(bench.Scenarios[i], all[name]); err != nil {
				return "", fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return table(names, all, rounds, r.length), nil
}

// round measures the bare loops of a scenario, and then a fresh server.
func (r *run) round(s bench.Scenario, into figures) error {
	limit, err := r.limit(s)
	if err != nil {
		return fmt.Errorf("bare: %w", err)
	}
	return r.with(s.Name, func(r *run) error {
		if err := r.prefill(); err != nil {
			return err
		}
		result, err := r.bench(s.Name, r.length)
		if err != nil {
			return err
		}
		server := figuresOf(result)
		into.add(limit)
		into.add(server)
		into.add(divide(server, limit))
		return nil
	})
}

// bench runs one scenario against the server, and keeps its profile.
func (r *run) bench(name string, length time.Duration) (*bench.Result, error) {
	var profiled sync.Once
	var profiles sync.WaitGroup
	report, err := bench.Run(r.ctx, bench.Options{
		URL: "http://" + r.addr, Users: &bench.Issuer{KID: "load", Key: []byte(secret)}, Only: []string{name}, For: length,
		Clients: r.clients, Handshakes: 1000, Meter: r.usage,
		Progress: func(p bench.Progress) {
			if p.Step == "measure" && r.profile != "" {
				profiled.Do(func() { profiles.Go(func() { r.fetch(name) }) })
			}
		},
	})
	profiles.Wait()
	if err != nil {
		return nil, err
	}
	fmt.Fprint(os.Stderr, report.Text())
	if result := report.Results[0]; result.Error != "" {
		return nil, errors.New(result.Error)
	}
	return report.Results[0], nil
}

// prefill posts until the log is as long as it should be.
func (r *run) prefill() error {
	for posts := 0; posts < r.events; {
		result, err := r.bench("full", 20*time.Second)
		if err != nil {
			return fmt.Errorf("fill the log: %w", err)
		}
		posts += int(result.Posts)
	}
	return nil
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
