package redis

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"gotong.dev/gotong/internal/bus"
)

// batch is the number of messages that are sent at once.
const batch = 256

var (
	errSilent = errors.New("the subscription no longer delivers messages")
	errEnded  = errors.New("the server ended the subscription")
	errMoved  = errors.New("the server belongs to a cluster")
)

// connection connects, then sends and receives until an error or the end of
// ctx.
func (l *Link) connection(ctx context.Context) error {
	ctx, cut := context.WithCancel(ctx)
	client, err := l.connect(ctx)
	if err != nil {
		cut()
		return err
	}
	defer client.Close() // does not wait for an answer, because its connections are cut
	defer cut()
	l.client.Store(&client)
	defer l.client.Store(nil)
	l.Observer.Dropped(l.Out.DropSignals())
	t := subscription{Link: l, client: client, probed: make(chan struct{}, 1), sharded: true}
	err = t.run(ctx)
	if unknownCommand(err) { // a server before 7.0, or one that has sharded pub/sub disabled
		t.sharded = false
		err = t.run(ctx)
	}
	if isMoved(err) || errors.Is(err, errMoved) {
		l.dial.ForceSingleClient = false // beginning with the next connection
		return errMoved
	}
	return err
}

// subscription is one subscription, with the messages that are published beside
// it.
type subscription struct {
	*Link
	client  rueidis.Client
	sharded bool
	probed  chan struct{} // has a value when a probe came back
}

// Both channels are in one slot of a cluster, which one subscription requires.
func (t *subscription) channel() string { return "gotong:{" + t.opt.Installation + "}:bus" }
func (t *subscription) probe() string   { return "gotong:{" + t.opt.Installation + "}:probe:" + t.ID }

// run sends and receives until an error.
func (t *subscription) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan error, 1)
	var receiving sync.WaitGroup
	receiving.Go(func() { over <- t.receive(ctx) })
	defer receiving.Wait()
	defer cancel()
	return t.loop(ctx, over)
}

// loop sends waiting messages and probes the subscription until over has a
// value.
func (t *subscription) loop(ctx context.Context, over <-chan error) error {
	tick := time.NewTicker(probing)
	defer tick.Stop()
	patience := time.NewTimer(silence)
	defer patience.Stop()
	for {
		var err error
		select {
		case err = <-over:
			if err == nil {
				err = errEnded
			}
		case <-patience.C:
			return errSilent
		case <-t.moved:
			return errMoved
		case <-t.probed:
			patience.Reset(silence)
			t.Proven()
		case <-tick.C:
			err = t.send(ctx, t.publication(t.probe(), "."))
		case <-t.Out.Ready():
			err = t.publish(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// receive subscribes and receives until the subscription ends. The callback
// runs on the goroutine that reads the connection and must not wait.
func (t *subscription) receive(ctx context.Context) error {
	subscribe := t.client.B().Subscribe().Channel(t.channel(), t.probe()).Build()
	if t.sharded {
		subscribe = t.client.B().Ssubscribe().Channel(t.channel(), t.probe()).Build()
	}
	return t.client.Receive(ctx, subscribe, func(m rueidis.PubSubMessage) {
		if m.Channel == t.channel() {
			t.ReceiveText(m.Message)
			return
		}
		select {
		case t.probed <- struct{}{}:
		default:
		}
	})
}

func (t *subscription) publication(channel, text string) rueidis.Completed {
	if t.sharded {
		return t.client.B().Spublish().Channel(channel).Message(text).Build()
	}
	return t.client.B().Publish().Channel(channel).Message(text).Build()
}

func (t *subscription) publish(ctx context.Context) error {
	list := t.Out.Take()
	for len(list) > 0 {
		part := list[:min(batch, len(list))]
		list = list[len(part):]
		commands := make([]rueidis.Completed, 0, len(part))
		for _, m := range part {
			if text, ok := t.Encode(m, bus.MaxMessage); ok {
				commands = append(commands, t.publication(t.channel(), text))
			}
		}
		if err := t.send(ctx, commands...); err != nil {
			t.Observer.Dropped(len(part))
			t.Requeue(part)
			t.Requeue(list)
			return err
		}
		t.Observer.Sent(len(commands))
	}
	return nil
}

// send sends commands and waits up to a second for the answers.
func (t *subscription) send(ctx context.Context, commands ...rueidis.Completed) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, r := range t.client.DoMulti(ctx, commands...) {
		if err := r.Error(); err != nil {
			return err
		}
	}
	return nil
}

// isMoved reports whether another server of a cluster holds the key.
func isMoved(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	_, moved := e.IsMoved()
	return moved
}

// unknownCommand reports whether the server does not know a command.
func unknownCommand(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && strings.Contains(strings.ToLower(e.Error()), "unknown command")
}
