// Package proofs serves the proof of an event, for those who may see the event.
package proofs

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/view"
	"gotong.dev/gotong/proof"
)

// Options are what the route works with; all are required.
type Options struct {
	Views *view.Views

	// Prove returns the proof of an event that exists, as it is stored. It waits
	// for the checkpoint that covers the event, and returns
	// [gotong.CodeNotYet] after 5 s.
	Prove func(ctx context.Context, p gotong.Partition, position uint64, stream gotong.Stream, seq uint64) (proof.Event, error)
}

// Routes returns a function that registers the route.
func Routes(o Options) func(*httpapi.API) {
	return func(api *httpapi.API) {
		httpapi.Register(api, httpapi.Route{
			ID: "get-event-proof", Method: http.MethodGet, Path: "/v1/streams/{kind}/{id}/events/{seq}/proof",
			Tag:     "Proofs",
			Summary: "Get the proof of an event",
			Description: "For those who may see the event. Content that was erased, or that a later event changed or withdrew, " +
				"is left out; its commitment remains. The proof of the tally of a gate that is not secret carries those of the votes. " +
				"If no checkpoint covers the event within 5 seconds: 503 not_yet.",
		}, o.get)
	}
}

type getInput struct {
	Kind string `path:"kind" maxLength:"32" doc:"The kind of the stream, such as thread."`
	ID   string `path:"id" maxLength:"128" doc:"The id of the stream."`
	Seq  uint64 `path:"seq" minimum:"1" maximum:"9007199254740991" doc:"The seq of the event."`
}

func (o Options) get(ctx context.Context, in *getInput) (*httpapi.Out[proof.Event], error) {
	stream, err := gotong.ParseStream(in.Kind + "/" + in.ID)
	if err != nil {
		return nil, gotong.NotFound()
	}
	page, err := o.visible(ctx, stream, in.Seq)
	if err != nil {
		return nil, err
	}
	e, err := o.Prove(ctx, gotong.PartitionOf(page.Head.Home), page.Events[0].Position, stream, in.Seq)
	if err != nil {
		return nil, err
	}
	// The wait may have been long: what the caller may see is decided anew.
	if page, err = o.visible(ctx, stream, in.Seq); err != nil {
		return nil, err
	}
	if now := &page.Events[0]; now.Overlaid || now.Erased {
		e.Content, e.ContentSalt = nil, nil
	}
	return httpapi.Reply(e, nil)
}

// visible reads an event that the caller may see, or returns [gotong.CodeNotFound].
func (o Options) visible(ctx context.Context, stream gotong.Stream, seq uint64) (view.Page, error) {
	me := httpapi.CallOf(ctx).Principal.Viewer()
	page, err := o.Views.Read(ctx, me, view.Query{Stream: stream, From: seq - 1, To: seq, Limit: 1})
	if err == nil && len(page.Events) == 0 {
		err = gotong.NotFound()
	}
	return page, err
}
