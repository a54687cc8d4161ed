// Package moderation counts the reports on messages: a reader makes a job of each
// report, and the job makes the thread count all reports on the message, by a command.
// A message that is deleted or erased takes the texts of its reports with it, because
// they may quote it.
//
// # Caveats
//
// The command that counts names the reporters; the events that follow from it do not.
package moderation

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/report"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// queue is the name of the reader and of its queue, and begins the request ids.
const queue = "moderation"

const page = 100 // reports that are read at once

// order is the body of a job: the message to count the reports of or, with Seq, the
// event of the thread that was deleted or erased.
type order struct {
	Thread    gotong.Stream  `json:"thread"`
	MessageID gotong.EventID `json:"message_id,omitzero"`
	Seq       uint64         `json:"seq,omitempty"`
}

// Reader returns the reader that makes a job of each report, deletion and erasure.
func Reader(codec *store.Codec) reader.Reader {
	return reader.Reader{Name: queue, Read: func(_ map[gotong.Key][]byte, run []reader.Commit) (step reader.Step, err error) {
		for _, c := range run {
			for i := range c.Events {
				row := &c.Events[i]
				if !concerns(row) {
					continue
				}
				e, err := codec.Event(row)
				if err != nil {
					return step, err
				}
				o, id := order{Thread: e.Stream}, reader.RequestID(queue, string(e.Stream))
				switch d := e.Data.(type) {
				case report.Filed:
					o = order{Thread: d.Thread, MessageID: d.MessageID}
				case thread.Deleted:
					o.Seq = d.TargetSeq
				case gotong.Erased:
					o.Seq = d.Seq
				}
				if o.Seq > 0 {
					id = reader.RequestID(queue, string(e.Stream), strconv.FormatUint(o.Seq, 10))
				}
				body, err := json.Marshal(o)
				if err != nil {
					return step, err
				}
				step.Jobs = append(step.Jobs, store.Job{Queue: queue, ID: id, Due: e.At, Body: body})
			}
		}
		return step, nil
	}}
}

func concerns(row *store.Event) bool {
	if row.Stream.Kind() == thread.Name {
		return row.Type == thread.EvDeleted || row.Type == gotong.EvErased
	}
	return row.Stream.Kind() == report.Name && row.Type == report.EvFiled
}

// Executor runs commands; the engine is one.
type Executor interface {
	Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error)
}

// Handler returns the handler that makes threads count their reports, and erases the
// texts of those on a message that is gone.
func Handler(from store.Loader, codec *store.Codec, exec Executor) reader.Handler {
	h := handler{from, codec, exec}
	return reader.Handler{Queue: queue, Run: func(ctx context.Context, job store.Job) (reader.Result, error) {
		var body order
		if err := json.Unmarshal(job.Body, &body); err != nil {
			return reader.Done, err
		}
		if body.Seq > 0 {
			return reader.Done, h.gone(ctx, job, body)
		}
		return reader.Done, h.count(ctx, job, body)
	}}
}

type handler struct {
	from  store.Loader
	codec *store.Codec
	exec  Executor
}

func (h handler) count(ctx context.Context, job store.Job, body order) error {
	reports, err := Reports(ctx, h.from, h.codec, body.Thread, body.MessageID)
	if err != nil || len(reports) == 0 {
		return err
	}
	data := thread.Report{MessageID: body.MessageID}
	for _, r := range reports {
		data.Reporters = append(data.Reporters, thread.Reporter{UserID: r.ReporterID, At: r.At, Context: r.Context})
	}
	if _, err = h.exec.Execute(ctx, gotong.Command{
		Stream: body.Thread, Type: thread.CmdReport, Actor: reader.System(), RequestID: job.ID, CorrelationID: job.ID, Data: data,
	}); err != nil {
		return err
	}
	e, o, err := h.message(ctx, body.Thread, reports[0].Seq)
	if err == nil && (e.Content == nil || o.Deleted()) { // since it was reported
		err = h.erase(ctx, job, body.Thread, body.MessageID)
	}
	return err
}

// message returns an event of a thread and, if it is a message, its overlay.
func (h handler) message(ctx context.Context, of gotong.Stream, seq uint64) (e gotong.Event, o thread.Overlay, err error) {
	key := thread.OverlayKey(of.ID(), seq)
	snap, err := h.from.Load(ctx, store.Need{
		Documents: []gotong.Key{key}, Events: []store.EventRange{{Stream: of, From: seq - 1, To: seq}},
	})
	if err != nil || len(snap.Events[0]) == 0 {
		return e, o, cmp.Or(err, store.ErrCorrupt)
	}
	if body, ok := snap.Documents[key]; ok {
		doc, err := h.codec.Document(key.Collection, body)
		if o, _ = doc.(thread.Overlay); err != nil {
			return e, o, err
		}
	}
	e, err = h.codec.Event(&snap.Events[0][0])
	return e, o, err
}

// gone erases the texts of the reports on a message that lost a text.
func (h handler) gone(ctx context.Context, job store.Job, body order) error {
	e, _, err := h.message(ctx, body.Thread, body.Seq)
	switch d := e.Data.(type) {
	case thread.Posted:
		return h.erase(ctx, job, body.Thread, e.ID)
	case thread.Edited:
		return h.erase(ctx, job, body.Thread, d.MessageID)
	}
	return err
}

// erase erases the texts of all reports on a message.
func (h handler) erase(ctx context.Context, job store.Job, of gotong.Stream, message gotong.EventID) error {
	for to, more := "~", true; more; {
		snap, err := h.from.Load(ctx, store.Need{Ranges: []store.KeyRange{{
			Collection: report.OfMessage, Owner: report.MessageKey(of, message), From: "0", To: to, Descending: true, Limit: page,
		}}})
		if err != nil {
			return err
		}
		for _, row := range snap.Ranges[0] {
			to = row.Key.Name
			s := gotong.NewStream(report.Name, row.Key.StreamID())
			snap, err := h.from.Load(ctx, store.Need{Events: []store.EventRange{{Stream: s, To: 1}}})
			if err != nil || len(snap.Events[0]) == 0 {
				return cmp.Or(err, store.ErrCorrupt)
			}
			if _, err := h.exec.Execute(ctx, gotong.Command{
				Stream: s, Type: gotong.CmdErase, Actor: reader.System(), RequestID: reader.RequestID(queue, job.ID, string(s)),
				CorrelationID: job.ID,
				Data:          gotong.Erase{Events: []gotong.EventID{snap.Events[0][0].ID}, Reason: "The reported message is gone."},
			}); err != nil {
				return err
			}
		}
		more = len(snap.Ranges[0]) == page
	}
	return nil
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
