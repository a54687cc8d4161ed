// Package timer runs the deadlines of streams: the commands that a kind's events
// ask for at a later time ([gotong.Kind.Timers]). A reader makes a job of each; the
// handler issues the command as the system actor when it is due.
//
// # Caveats
//
// A timer may be late, but never early: the rules compare the clock with the
// deadline themselves, and reject a command that is too early with
// [gotong.CodeNotYet]. Its job then stays due.
package timer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// queue is the name of the queue of timers, and begins their request ids.
const queue = "timer"

// parallel is how many commands a node issues at once. They are of different
// streams, and their commits share a sync.
const parallel = 32

// order is the body of a job: the command to issue.
type order struct {
	Stream gotong.Stream   `json:"stream"`
	Type   string          `json:"type"`
	Data   json.RawMessage `json:"data"`
}

// Reader returns the reader that makes the jobs of these kinds' timers.
func Reader(kinds []gotong.Kind) reader.Reader {
	codec, timers := store.NewCodec(kinds), map[string]*gotong.Kind{}
	for i := range kinds {
		if kinds[i].Timers != nil {
			timers[kinds[i].Name] = &kinds[i]
		}
	}
	return reader.Reader{Name: queue, Ran: ran, Read: func(_ map[gotong.Key][]byte, run []reader.Commit) (step reader.Step, err error) {
		for _, c := range run {
			of := timers[c.Events[0].Stream.Kind()]
			if of == nil { // not even decoded: most events are of such kinds
				continue
			}
			for i := range c.Events {
				if of.Timed != nil && !slices.Contains(of.Timed, c.Events[i].Type) {
					continue
				}
				e, err := codec.Event(&c.Events[i])
				if err != nil {
					return step, err
				}
				for _, t := range of.Timers(e) {
					job, err := jobOf(e.Stream, t)
					if err != nil {
						return step, err
					}
					step.Jobs = append(step.Jobs, job)
				}
			}
		}
		return step, nil
	}}
}

// jobOf returns the job of a timer. Its id, which is also the command's request id,
// follows from the command alone.
func jobOf(s gotong.Stream, t gotong.Timer) (store.Job, error) {
	data, err := json.Marshal(t.Data)
	if err != nil {
		return store.Job{}, err
	}
	o := order{s, t.Command, data}
	body, err := json.Marshal(o)
	return store.Job{Queue: queue, ID: idOf(o), Due: t.Due, Body: body}, err
}

// ran implements [reader.Reader.Ran].
func ran(job store.Job) (gotong.RequestKey, bool) {
	o, err := orderOf(job)
	return gotong.RequestKey{Stream: o.Stream, Actor: reader.System().UserID, RequestID: job.ID}, err == nil
}

// orderOf returns the command of a job, or an error if the body is not the one from
// which the id follows.
func orderOf(job store.Job) (o order, err error) {
	err = json.Unmarshal(job.Body, &o)
	if body, _ := json.Marshal(o); err == nil && (idOf(o) != job.ID || !bytes.Equal(body, job.Body)) {
		err = errors.New("timer: the body of the job was altered; gotong reader rebuild timer replaces it")
	}
	return o, err
}

// StreamOf returns the stream of which a job is a timer; empty if it is none.
func StreamOf(job store.Job) gotong.Stream {
	if o, err := orderOf(job); job.Queue == queue && err == nil {
		return o.Stream
	}
	return ""
}

func idOf(o order) string { return reader.RequestID(queue, string(o.Stream), o.Type, string(o.Data)) }

// Executor runs commands; the engine is one.
type Executor interface {
	Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error)
}

// Handler returns the handler that issues the commands that are due.
func Handler(codec *store.Codec, exec Executor) reader.Handler {
	return reader.Handler{Queue: queue, Parallel: parallel, Run: func(ctx context.Context, job store.Job) (reader.Result, error) {
		o, err := orderOf(job)
		if err != nil {
			return reader.Done, err
		}
		t, ok := codec.Command(o.Stream, o.Type)
		if !ok {
			return reader.Done, fmt.Errorf("timer: no command %s of the kind %s", o.Type, o.Stream.Kind())
		}
		data, err := t.Decode(json.Unmarshal, o.Data)
		if err != nil {
			return reader.Done, err
		}
		_, err = exec.Execute(ctx, gotong.Command{
			Stream: o.Stream, Type: o.Type, Actor: reader.System(), RequestID: job.ID, CorrelationID: job.ID, Data: data, Raw: o.Data,
		})
		if gotong.CodeOf(err) == gotong.CodeNotYet {
			return reader.TooEarly(job.Due), nil
		}
		return reader.Done, err
	}}
}
