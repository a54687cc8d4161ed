package httpapi

import (
	"context"

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

	// View reads a stream as the caller may see it; [gotong.CodeNotFound] where
	// they may not know of it.
	View func(ctx context.Context, stream gotong.Stream) (T, error)
}

// Get returns the answer of reading the stream with this id.
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

// Write executes a command on the stream with this id and returns its answer:
// the stream, read anew.
func (r Resource[T]) Write(ctx context.Context, id, name string, data any, raw []byte) (*Answered[T], error) {
	receipt, err := r.Run(ctx, id, name, data, raw)
	if err != nil {
		return nil, err
	}
	view, err := r.View(ctx, receipt.Stream)
	return Answer(receipt, view, err)
}

// Create is [Resource.Write] for the command that creates the stream.
func (r Resource[T]) Create(ctx context.Context, id, name string, data any, raw []byte) (*Answered[T], error) {
	out, err := r.Write(ctx, id, name, data, raw)
	if err == nil {
		out.Location = r.Path + "/" + id
	}
	return out, err
}
