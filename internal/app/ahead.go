package app

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
)

// ahead warns of streams whose newest event is ahead of the clock: the clock of
// the node that wrote it was ahead, or this one is behind. Order holds either
// way, but the events show a time that has not come yet.
type ahead struct {
	log   *slog.Logger
	clock clock.Clock
	last  atomic.Int64 // the moment of the latest warning
}

// warnEvery is the shortest time between two warnings. Without it a busy stream
// that is ahead would fill the log.
const warnEvery = time.Minute

// warn logs a command to such a stream, at most once in warnEvery.
func (a *ahead) warn(ctx context.Context, stream gotong.Stream, by time.Duration) {
	last, now := a.last.Load(), a.clock.Mono()
	if now.Sub(clock.Moment(last)) < warnEvery || !a.last.CompareAndSwap(last, int64(now)) {
		return
	}
	a.log.WarnContext(ctx, "the newest event of a stream is ahead of this machine's clock; check the clock",
		"stream", stream, "ahead", by.Round(time.Millisecond))
}

// look logs, once, the streams that are ahead when the server starts.
func (a *ahead) look(ctx context.Context, from store.Mover) {
	count, farthest := 0, store.StreamRow{}
	for mark, first := "", true; first || mark != ""; first = false {
		rows, err := from.Rows(ctx, store.AllStreams, mark, 0)
		if err != nil {
			if ctx.Err() == nil {
				a.log.WarnContext(ctx, "the newest events could not be compared with the clock", "cause", err)
			}
			return
		}
		limit := a.clock.Now().Add(engine.MaxAhead)
		for _, row := range rows.Streams {
			if row.Head.At > limit {
				count++
			}
			if row.Head.At > farthest.Head.At {
				farthest = row
			}
		}
		mark = rows.Next
	}
	if count > 0 {
		a.log.WarnContext(ctx, "the newest events of streams are ahead of this machine's clock; check the clock", "streams", count,
			"farthest", farthest.Stream, "ahead", farthest.Head.At.Sub(a.clock.Now()).Round(time.Millisecond))
	}
}
