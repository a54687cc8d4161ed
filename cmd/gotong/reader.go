package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/config"
)

type readerCmd struct {
	List    readerListCmd    `cmd:"" help:"Show how far each reader of the log has come, and where one stopped."`
	Skip    readerSkipCmd    `cmd:"" help:"Have a reader pass the position at which it stopped."`
	Rebuild readerRebuildCmd `cmd:"" help:"Delete a reader's documents and have them made again."`
}

type jobCmd struct {
	List  jobListCmd  `cmd:"" help:"Show the jobs: waiting, running or dead."`
	Retry jobRetryCmd `cmd:"" help:"Make a job due now, even a dead one."`
}

// orderHelp ends the help of each order.
const orderHelp = `The command works on the database. While a server has the database open, it sends an order to that server's listener
for operators (--admin-addr), signed with the server's key. Either way, give it the configuration of the server.

Examples:

`

// order carries out an order on the store of the configuration, or by the server
// that has it open.
func order(ctx context.Context, c *config.Config, o app.Order) (app.Reply, error) {
	if err := checkStoreOf(c); err != nil {
		return app.Reply{}, err
	}
	reply, err := o.Execute(ctx, c)
	if !errors.Is(err, app.ErrServing) {
		return reply, err
	}
	token, err := operatorToken(c, time.Minute)
	if err != nil {
		return reply, err
	}
	a, err := request(ctx, http.MethodPost, "http://"+c.AdminAddr+app.OrderPath, token, o)
	if err != nil {
		err = fmt.Errorf("no answer from the server's admin listener at %s: %w", c.AdminAddr, err)
		return reply, &failure{err: err, code: 1, hint: "--admin-addr, as the server has it"}
	}
	if a.code == http.StatusUnauthorized {
		return reply, misuse("with the --data or --signing-key that the server has",
			"the server at %s has another signing key", c.AdminAddr)
	}
	if err := json.Unmarshal(a.body, &reply); err != nil {
		return reply, fmt.Errorf("the server at %s answers %s", c.AdminAddr, a.status)
	}
	if reply.Error != "" {
		err = errors.New(reply.Error)
	}
	return reply, err
}

// checkStoreOf checks the configuration of a command that works on the store.
func checkStoreOf(c *config.Config) error {
	_, err := c.Check()
	if wrong := app.CheckStore(c.StoreURL()); err == nil && wrong != nil {
		err = fmt.Errorf("store: %w", wrong)
	}
	return misconfigured(err)
}

func operatorToken(c *config.Config, life time.Duration) (string, error) {
	secret, err := c.SigningSecret()
	if err == nil && secret == nil {
		secret, err = auth.ReadSigningKey(c.Data)
	}
	if err != nil {
		return "", misuse("with the --data or --signing-key that the server has; or again while it is stopped",
			"a server runs, and its signing key cannot be read: %w", err)
	}
	return auth.OperatorToken(secret, gotong.InstantOf(time.Now()), life)
}

type readerListCmd struct {
	config.Config
	JSON bool `name:"json" help:"Print JSON."`
}

func (*readerListCmd) Help() string {
	return "Partitions without an event are left out.\n\n" + orderHelp +
		`    gotong reader list --data /var/lib/gotong
    gotong reader list --json | jq '.[] | select(.stop)'`
}

func (c *readerListCmd) Run(ctx context.Context, std *stdio) error {
	reply, err := order(ctx, &c.Config, app.Order{Do: "readers"})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(reply.Readers)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "READER\tPARTITION\tAT\tOF\tSTATE")
	for _, s := range reply.Readers {
		state := "ok"
		switch {
		case s.Stop != nil:
			state = fmt.Sprintf("stopped at %d since %s: %s", s.Stop.Position, s.Stop.At, s.Stop.Error)
		case s.Clearing:
			state = "a rebuild was interrupted; run it again"
		case s.Quiet > 0:
			state = "rebuilding"
		case s.Cursor < s.End:
			state = "behind"
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", s.Reader, s.Partition, s.Cursor, s.End, state)
	}
	return w.Flush()
}

type readerSkipCmd struct {
	config.Config
	Reader    string `arg:"" name:"reader" help:"The name of the reader."`
	Partition uint8  `arg:"" name:"partition" help:"The partition where the reader stopped; gotong reader list shows it."`
}

func (*readerSkipCmd) Help() string {
	return `The reader will not process that position, not even in a rebuild: what this commit would have caused in it is lost. The
store records the skip and its time. The reader audit needs every commit and cannot skip one: see gotong reader rebuild.

` + orderHelp +
		`    gotong reader skip timer 3 --data /var/lib/gotong`
}

func (c *readerSkipCmd) Run(ctx context.Context, std *stdio) error {
	reply, err := order(ctx, &c.Config, app.Order{Do: "skip", Reader: c.Reader, Partition: gotong.Partition(c.Partition)})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "Reader %s will skip position %d of partition %d.\n", c.Reader, reply.Skipped.Position, c.Partition)
	return err
}

type readerRebuildCmd struct {
	config.Config
	Reader string `arg:"" name:"reader" help:"The name of the reader."`
}

func (*readerRebuildCmd) Help() string {
	return `As soon as a server runs, the reader processes the log again from the beginning. It makes no jobs from what it had
already processed, and existing jobs stay. The reader timer has no documents: its rebuild makes the jobs again that
are missing, such as the one that closes an open gate, and replaces those that were altered.

` + orderHelp + `    gotong reader rebuild audit --data /var/lib/gotong`
}

func (c *readerRebuildCmd) Run(ctx context.Context, std *stdio) error {
	_, err := order(ctx, &c.Config, app.Order{Do: "rebuild", Reader: c.Reader})
	if err == nil {
		_, err = fmt.Fprintf(std.out, "Reader %s will process the log again from the beginning.\n", c.Reader)
	}
	return err
}

type jobListCmd struct {
	config.Config
	Dead bool `help:"Only the jobs that failed too often and are not tried again."`
	JSON bool `name:"json" help:"Print JSON."`
}

func (*jobListCmd) Help() string {
	return orderHelp + `    gotong job list --dead --data /var/lib/gotong`
}

func (c *jobListCmd) Run(ctx context.Context, std *stdio) error {
	reply, err := order(ctx, &c.Config, app.Order{Do: "jobs", Dead: c.Dead})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(reply.Jobs)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "QUEUE\tJOB\tDUE\tFAILURES\tCRASHES\tSTATE\tERROR")
	for i := range reply.Jobs {
		j, state := &reply.Jobs[i], "waiting"
		switch {
		case j.Dead:
			state = "dead"
		case j.Running:
			state = "running"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", j.Queue, j.ID, j.Due, j.Failures, j.Crashes, state, j.Error)
	}
	return w.Flush()
}

type jobRetryCmd struct {
	config.Config
	Queue string `arg:"" name:"queue" help:"The queue of the job."`
	Job   string `arg:"" name:"job" help:"The id of the job."`
}

func (*jobRetryCmd) Help() string {
	return "Resets the counts of its failures and crashes.\n\n" + orderHelp +
		`    gotong job retry timer timer-3f9a… --data /var/lib/gotong`
}

func (c *jobRetryCmd) Run(ctx context.Context, std *stdio) error {
	_, err := order(ctx, &c.Config, app.Order{Do: "retry", Queue: c.Queue, Job: c.Job})
	if err == nil {
		_, err = fmt.Fprintf(std.out, "Job %s of %s is due now.\n", c.Job, c.Queue)
	}
	return err
}

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
