package httpapi

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
)

// View is a stream as its routes show it: with its ETag, and the cursor of the
// state that it shows.
type View interface {
	Tagger
	Cursor() string
}

// Resource is the streams of one kind, each shown as a T.
type Resource[T View] struct {
	Streams
	Path string // of all of them; an id follows it

	// View reads a stream as the caller may see it. The error has
	// [gotong.CodeNotFound] if the caller may not know of it.
	View func(ctx context.Context, stream gotong.Stream) (T, error)
}

// One returns what views returns for one stream; [gotong.CodeNotFound] if it returns
// nothing, because the caller may not know of the stream.
func One[T any](
	ctx context.Context, stream gotong.Stream, views func(ctx context.Context, ids []string) (map[string]T, error),
) (T, error) {
	all, err := views(ctx, []string{stream.ID()})
	view, ok := all[stream.ID()]
	if err == nil && !ok {
		err = gotong.NotFound()
	}
	return view, err
}

// Get returns the answer to a read of the stream with this id.
func (r Resource[T]) Get(ctx context.Context, id, ifNoneMatch string) (*Shown[T], error) {
	stream, err := r.Stream(id)
	if err != nil {
		return nil, err
	}
	view, err := r.View(ctx, stream)
	if err != nil {
		return nil, err
	}
	return Show(view, view.Cursor(), ifNoneMatch), nil
}

// Write executes a command on the stream with this id and returns the stream as
// it is then.
func (r Resource[T]) Write(ctx context.Context, id, name string, data any, raw []byte) (*Answered[T], error) {
	receipt, err := r.Run(ctx, id, name, data, raw)
	if err != nil {
		return nil, err
	}
	view, err := r.View(ctx, receipt.Stream)
	return Answer(receipt, view, err)
}

// In names a stream in the path; [Route.Subject] says what it is.
type In struct {
	ID string `path:"id"`
}

// RegisterGet registers the operation that reads one stream.
func RegisterGet[T View](a *API, r Resource[T], route Route) {
	type input struct {
		In
		IfNoneMatch string `header:"If-None-Match"`
	}
	route.Method, route.Path = http.MethodGet, r.Path+"/{id}"
	Register(a, route, func(ctx context.Context, in *input) (*Shown[T], error) { return r.Get(ctx, in.ID, in.IfNoneMatch) })
}

// RegisterCreate registers the operation that creates a stream, by the command
// name, which data makes of the body. streamOf derives the stream from the
// caller and the key of the request, so that a retry creates no second one.
func RegisterCreate[T View, B any](
	a *API, r Resource[T], route Route, streamOf func(actor, requestID string) gotong.Stream, name string, data func(B) any,
) {
	route.Method, route.Path, route.Status, route.Write = http.MethodPost, r.Path, http.StatusCreated, true
	Register(a, route, func(ctx context.Context, in *Sent[B]) (*Answered[T], error) {
		call := CallOf(ctx)
		id := streamOf(call.Principal.UserID, call.RequestID).ID()
		out, err := r.Write(ctx, id, name, data(in.JSON.Value), in.JSON.Raw)
		if err == nil {
			out.Location = r.Path + "/" + id
		}
		return out, err
	})
}

// RegisterWrite registers an operation on one stream, by the command name, which
// data makes of the body. The route's Path is what follows that of the stream.
func RegisterWrite[T View, B any](a *API, r Resource[T], route Route, name string, data func(B) any) {
	route.Path, route.Write = r.Path+"/{id}"+route.Path, true
	Register(a, route, func(ctx context.Context, in *SentTo[B]) (*Answered[T], error) {
		return r.Write(ctx, in.ID, name, data(in.JSON.Value), in.JSON.Raw)
	})
}

// Streams are the streams of one kind, as paths name them.
type Streams struct {
	Kind   string
	Engine Executor
}

// Stream returns the stream with this id, or [gotong.CodeNotFound] if no stream
// can have it.
func (s Streams) Stream(id string) (gotong.Stream, error) {
	stream, err := gotong.ParseStream(s.Kind + "/" + id)
	if err != nil {
		return "", gotong.NotFound()
	}
	return stream, nil
}

// All returns the streams with these ids, which exist.
func (s Streams) All(ids []string) []gotong.Stream {
	list := make([]gotong.Stream, len(ids))
	for i, id := range ids {
		list[i] = gotong.NewStream(s.Kind, id)
	}
	return list
}

// Run executes a command of this call on the stream with this id. raw and
// targets are those of [Call.Command].
func (s Streams) Run(
	ctx context.Context, id, name string, data any, raw []byte, targets ...string,
) (gotong.Receipt, error) {
	stream, err := s.Stream(id)
	if err != nil {
		return gotong.Receipt{}, err
	}
	return Run(ctx, s.Engine, CallOf(ctx).Command(stream, name, data, raw, targets...))
}

// AsOf returns the cursor of a stream at this seq, from which it can be
// followed.
func AsOf(ctx context.Context, seq uint64) string {
	return gotong.Cursor{Epoch: CallOf(ctx).epoch, Seq: seq}.String()
}
