// Package postgres is the bus over PostgreSQL: wake-ups, signals and hints by
// LISTEN and NOTIFY, so that several nodes need no server beside their store.
//
// A transaction that notifies takes one lock for the whole server while it
// commits. So nothing is notified within the transactions of the store: a
// connection of its own sends what waits, at most once in [interval], many
// messages at once.
//
// A connection does not show whether notifications arrive: a pooler in
// transaction mode accepts LISTEN and delivers nothing. Therefore each link also
// listens on a channel of its own, and reconnects if it does not receive its own
// notifications.
//
// # Caveats
//
// A notification has at most 7,999 bytes; a larger message is dropped. Messages
// published during an outage are lost, except the farthest wake-up of each
// partition and ended logins. The bus shares no allowances for rate limits.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/primary"
)

// interval is the shortest time between two transactions that notify.
const interval = 3 * time.Millisecond

const (
	maxPayload = 7999 // of one notification, in bytes (the server's limit)
	batch      = 256  // messages in one transaction
)

// The times of a connection. A connection to a silent server ends within 5 s.
const (
	connecting = 3 * time.Second        // to connect and authenticate
	answer     = 2 * time.Second        // to a statement
	probing    = 500 * time.Millisecond // between two notifications to itself
	silence    = 3 * time.Second        // without the return of one
)

var errSilent = errors.New("the server accepts LISTEN and delivers no notifications, " +
	"as a pooler in transaction mode does: give the address of the server itself, or set bus to redis or none")

// Options configure a Link. All but Observer and Guard are required.
type Options struct {
	URL          string // postgres://, with all that pgx understands
	Installation string // distinguishes installations in one database: the epoch of the log
	Observer     bus.Observer
	Guard        *primary.Guard // of the store, so that both use the same server; nil: any will do
}

// Link is one node's end of the bus. It is safe for concurrent use.
type Link struct {
	*bus.Link
	config  *pgx.ConnConfig
	guard   *primary.Guard
	channel string
}

// New returns a link; Run connects it. An error concerns the URL and does not
// show its password.
func New(opt Options) (*Link, error) {
	config, err := pgx.ParseConfig(opt.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // prepares nothing, which some poolers do not allow
	if config.ConnectTimeout <= 0 {
		config.ConnectTimeout = connecting
	}
	config.RuntimeParams["application_name"] = "gotong bus"
	if opt.Guard != nil {
		opt.Guard.Watch(&config.Config)
	}
	l := &Link{config: config, guard: opt.Guard, channel: "gotong:" + opt.Installation}
	l.Link = bus.NewLink(opt.Observer, func(ctx context.Context) error {
		return fmt.Errorf("postgres: %w", l.connection(ctx))
	})
	return l, nil
}

// probe returns the channel of this link alone.
func (l *Link) probe() string { return "gotong:" + l.ID }

// connection connects twice, because a connection that waits for notifications
// sends nothing. It sends and receives until an error or the end of ctx.
func (l *Link) connection(ctx context.Context) error {
	listening, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer closing(ctx, listening)
	sending, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer closing(ctx, sending)
	for _, channel := range []string{l.channel, l.probe()} {
		name := pgx.Identifier{channel}.Sanitize() //nolint:misspell // so it is called
		if err := execute(ctx, listening, "LISTEN "+name); err != nil {
			return err
		}
	}
	l.Observer.Dropped(l.Out.DropSignals())
	ctx, cancel := context.WithCancel(ctx)
	over, probed := make(chan error, 1), make(chan struct{}, 1)
	var receiving sync.WaitGroup
	receiving.Go(func() { over <- l.receive(ctx, listening, probed) })
	defer receiving.Wait()
	defer cancel()
	return l.loop(ctx, sending, over, probed)
}

func (l *Link) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*connecting) // of several hosts, some may be away
	defer cancel()
	if l.guard != nil {
		l.guard.Ask(ctx)
	}
	return pgx.ConnectConfig(ctx, l.config)
}

// closing closes a connection without waiting for a server that may be gone.
func closing(ctx context.Context, c *pgx.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_ = c.Close(ctx)
}

func execute(ctx context.Context, c *pgx.Conn, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	_, err := c.Exec(ctx, sql, args...)
	return err
}

// receive queues what other links send, until the connection ends.
func (l *Link) receive(ctx context.Context, c *pgx.Conn, probed chan<- struct{}) error {
	for {
		n, err := c.WaitForNotification(ctx)
		switch {
		case err != nil:
			return err
		case n.Channel == l.channel:
			l.ReceiveText(n.Payload)
		default:
			select {
			case probed <- struct{}{}:
			default:
			}
		}
	}
}

// loop sends waiting messages and probes the connection that listens, until over
// has a value.
func (l *Link) loop(ctx context.Context, c *pgx.Conn, over <-chan error, probed <-chan struct{}) error {
	tick := time.NewTicker(probing)
	defer tick.Stop()
	patience := time.NewTimer(silence)
	defer patience.Stop()
	for {
		var err error
		select {
		case err = <-over:
			return err
		case <-patience.C:
			return errSilent
		case <-probed:
			patience.Reset(silence)
			l.Proven()
		case <-tick.C:
			if err = l.present(ctx, c); err == nil {
				err = l.notify(ctx, c, l.probe(), []string{""})
			}
		case <-l.Out.Ready():
			err = l.publish(ctx, c)
		}
		if err != nil {
			return err
		}
	}
}

// present returns an error if the server is no longer the primary: another one has been
// promoted, and its nodes do not hear this one. The connection that listens is to the same
// server, or its probes do not arrive.
func (l *Link) present(ctx context.Context, c *pgx.Conn) error {
	if l.guard == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	var timeline string
	if err := c.QueryRow(ctx, "SELECT "+primary.SelectTimeline).Scan(&timeline); err != nil {
		return err
	}
	return l.guard.See(timeline)
}

// publish sends what waits, and then waits for the interval.
func (l *Link) publish(ctx context.Context, c *pgx.Conn) error {
	list := l.Out.Take()
	for len(list) > 0 {
		part := list[:min(batch, len(list))]
		list = list[len(part):]
		texts := make([]string, 0, len(part))
		for _, m := range part {
			if text, ok := l.Encode(m, maxPayload); ok {
				texts = append(texts, text)
			}
		}
		if err := l.notify(ctx, c, l.channel, texts); err != nil {
			l.Observer.Dropped(len(part))
			l.Requeue(part)
			l.Requeue(list)
			return err
		}
		l.Observer.Sent(len(texts))
		l.Observer.Dropped(len(part) - len(texts))
		clock.Pause(ctx, interval)
	}
	return nil
}

// notify sends these texts on a channel, in one transaction.
func (l *Link) notify(ctx context.Context, c *pgx.Conn, channel string, texts []string) error {
	err := execute(ctx, c, "SELECT pg_notify($1::text, payload) FROM unnest($2::text[]) AS payload", channel, texts)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "25006" {
		return errors.New("the server is read-only: it is a standby")
	}
	return err
}
