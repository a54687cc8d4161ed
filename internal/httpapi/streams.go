package httpapi

import (
	"context"

	"gotong.dev/gotong"
)

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
