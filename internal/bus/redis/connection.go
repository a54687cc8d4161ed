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

// batch is how many messages are sent at once.
const batch = 256

var (
	errSilent = errors.New("the subscription receives nothing any more")
	errEnded  = errors.New("the server ended the subscription")
	errMoved  = errors.New("the server is one of a cluster")
)

// connection connects, and talks until something is wrong or ctx ends.
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
	l.opt.Observer.Dropped(l.out.DropSignals())
	t := talk{Link: l, client: client, heard: make(chan struct{}, 1), sharded: true}
	err = t.run(ctx)
	if unknownCommand(err) { // a server before 7.0, or one that does not want it
		t.sharded = false
		err = t.run(ctx)
	}
	if isMoved(err) || errors.Is(err, errMoved) {
		l.dial.ForceSingleClient = false // from the next connection on
		return errMoved
	}
	return err
}

// talk is one subscription, and what is published beside it.
type talk struct {
	*Link
	client  rueidis.Client
	sharded bool
	heard   chan struct{} // a probe came back
}

// The channels stand in one slot of a cluster, as one subscription must.
func (t *talk) channel() string { return "gotong:{" + t.opt.Installation + "}:bus" }
func (t *talk) probe() string   { return "gotong:{" + t.opt.Installation + "}:probe:" + t.id }

// run talks until something is wrong.
func (t *talk) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan error, 1)
	var receiving sync.WaitGroup
	receiving.Go(func() { over <- t.receive(ctx) })
	defer receiving.Wait()
	defer cancel()
	return t.loop(ctx, over)
}

// loop sends what waits and probes the subscription, until that is over.
func (t *talk) loop(ctx context.Context, over <-chan error) error {
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
		case <-t.heard:
			patience.Reset(silence)
			t.proven()
		case <-tick.C:
			err = t.send(ctx, t.publication(t.probe(), "."))
		case <-t.out.Ready():
			err = t.publish(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// receive subscribes and hears until it ends. It is called from the reader of
// the connection and must not wait.
func (t *talk) receive(ctx context.Context) error {
	subscribe := t.client.B().Subscribe().Channel(t.channel(), t.probe()).Build()
	if t.sharded {
		subscribe = t.client.B().Ssubscribe().Channel(t.channel(), t.probe()).Build()
	}
	return t.client.Receive(ctx, subscribe, func(m rueidis.PubSubMessage) {
		if m.Channel == t.channel() {
			t.hear(m.Message)
			return
		}
		select {
		case t.heard <- struct{}{}:
		default:
		}
	})
}

func (t *talk) publication(channel, text string) rueidis.Completed {
	if t.sharded {
		return t.client.B().Spublish().Channel(channel).Message(text).Build()
	}
	return t.client.B().Publish().Channel(channel).Message(text).Build()
}

// publish sends everything that waits.
func (t *talk) publish(ctx context.Context) error {
	list := t.out.Take()
	for len(list) > 0 {
		part := list[:min(batch, len(list))]
		list = list[len(part):]
		commands := make([]rueidis.Completed, 0, len(part))
		for _, m := range part {
			if text, ok := t.encode(m); ok {
				commands = append(commands, t.publication(t.channel(), text))
			}
		}
		if err := t.send(ctx, commands...); err != nil {
			t.opt.Observer.Dropped(len(part))
			t.keepWakes(part, list)
			return err
		}
		t.opt.Observer.Sent(len(commands))
	}
	return nil
}

// keepWakes puts back what is worth saying late.
func (t *talk) keepWakes(lists ...[]bus.Message) {
	for _, list := range lists {
		for _, m := range list {
			if m.Signal == nil {
				t.out.Put(m)
			}
		}
	}
}

// send waits for the answers, but not long.
func (t *talk) send(ctx context.Context, commands ...rueidis.Completed) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, r := range t.client.DoMulti(ctx, commands...) {
		if err := r.Error(); err != nil {
			return err
		}
	}
	return nil
}

// isMoved reports whether another server of a cluster has what was asked for.
func isMoved(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	_, moved := e.IsMoved()
	return moved
}

// unknownCommand reports whether the server has no such command.
func unknownCommand(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && strings.Contains(strings.ToLower(e.Error()), "unknown command")
}
