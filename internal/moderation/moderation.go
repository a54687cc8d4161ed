// Package moderation counts the reports on messages: a reader makes a job of each
// report, and the job makes the thread count all reports on the message, by a command.
//
// # Caveats
//
// The command names the reporters; the events that follow from it do not.
package moderation

import (
	"context"
	"encoding/json"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/report"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// queue is the name of the reader and of its queue, and begins the request ids.
const queue = "moderation"

// order is the body of a job: the message to count the reports of.
type order struct {
	Thread    gotong.Stream  `json:"thread"`
	MessageID gotong.EventID `json:"message_id"`
}

// Reader returns the reader that makes a job of each report.
func Reader(codec *store.Codec) reader.Reader {
	return reader.Reader{Name: queue, Read: func(_ map[gotong.Key][]byte, run []reader.Commit) (step reader.Step, err error) {
		for _, c := range run {
			for i := range c.Events {
				row := &c.Events[i]
				if row.Type != report.EvFiled || row.Stream.Kind() != report.Name {
					continue
				}
				e, err := codec.Event(row)
				if err != nil {
					return step, err
				}
				filed, _ := e.Data.(report.Filed)
				body, err := json.Marshal(order{filed.Thread, filed.MessageID})
				if err != nil {
					return step, err
				}
				step.Jobs = append(step.Jobs, store.Job{Queue: queue, ID: reader.RequestID(queue, string(e.Stream)), Due: e.At, Body: body})
			}
		}
		return step, nil
	}}
}

// Executor runs commands; the engine is one.
type Executor interface {
	Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error)
}

// Handler returns the handler that makes threads count their reports.
func Handler(from store.Loader, codec *store.Codec, exec Executor) reader.Handler {
	return reader.Handler{Queue: queue, Run: func(ctx context.Context, job store.Job) (reader.Result, error) {
		var body order
		if err := json.Unmarshal(job.Body, &body); err != nil {
			return reader.Done, err
		}
		reports, err := Reports(ctx, from, codec, body.Thread, body.MessageID)
		if err != nil {
			return reader.Done, err
		}
		data := thread.Report{MessageID: body.MessageID}
		for _, r := range reports {
			data.Reporters = append(data.Reporters, thread.Reporter{UserID: r.ReporterID, At: r.At, Context: r.Context})
		}
		_, err = exec.Execute(ctx, gotong.Command{
			Stream: body.Thread, Type: thread.CmdReport, Actor: reader.System(), RequestID: job.ID, CorrelationID: job.ID, Data: data,
		})
		return reader.Done, err
	}}
}

// Filed is a report and the id of its stream.
type Filed struct {
	report.Report
	ID string
}

// Reports returns the newest reports on a message, newest first, [thread.MaxReporters]
// at most.
func Reports(
	ctx context.Context, from store.Loader, codec *store.Codec, of gotong.Stream, message gotong.EventID,
) ([]Filed, error) {
	snap, err := from.Load(ctx, store.Need{Ranges: []store.KeyRange{{
		Collection: report.OfMessage, Owner: report.MessageKey(of, message),
		From: "0", To: "~", Descending: true, Limit: thread.MaxReporters,
	}}})
	if err != nil || len(snap.Ranges[0]) == 0 {
		return nil, err
	}
	var need store.Need
	for _, row := range snap.Ranges[0] {
		need.Documents = append(need.Documents, report.Key(row.Key.StreamID()))
	}
	if snap, err = from.Load(ctx, need); err != nil {
		return nil, err
	}
	list := make([]Filed, 0, len(need.Documents))
	for _, key := range need.Documents {
		doc, err := codec.Document(key.Collection, snap.Documents[key])
		r, ok := doc.(report.Report)
		if err != nil || !ok {
			return nil, fmt.Errorf("moderation: %v is no report: %w", key, store.ErrCorrupt)
		}
		list = append(list, Filed{r, key.Owner})
	}
	return list, nil
}
