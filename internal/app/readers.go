package app

import (
	"context"
	"fmt"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/advice"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/moderation"
	"gotong.dev/gotong/internal/push"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/search"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/telemetry"
	"gotong.dev/gotong/internal/timer"
	hooks "gotong.dev/gotong/internal/webhook"
)

// readers returns every reader of this server, one row each.
// asks is true if an Edge-Pod gives advice. pushes is true if pushes are sent, after
// this delay.
func readers(asks, pushes bool, delay time.Duration) []reader.Reader {
	kinds := Kinds()
	return append([]reader.Reader{
		audit.Reader(), timer.Reader(kinds), hooks.Planner(store.NewCodec(kinds)), advice.Reader(asks),
		push.Alerting(inbox.Reader(kinds), pushes, delay), push.Planner(pushes, delay),
		search.Reader(store.NewCodec(kinds)), moderation.Reader(store.NewCodec(kinds)), files.Reader(),
	}, more...)
}

var more []reader.Reader // of tests

// handlers returns the handler of every queue of jobs, one row each. The engine
// exists when it is called.
func handlers(a *App) []reader.Handler {
	list := []reader.Handler{timer.Handler(a.codec, a.engine), a.sender().Handler(), advice.Handler(advice.Options{
		Boundary: a.pod, Store: a.store, Codec: a.codec, Engine: a.engine, Now: a.now, Ended: a.metrics.Pod.Advised,
	}), moderation.Handler(a.store, a.codec, a.engine), files.Handler(a.files, a.store, a.codec, a.engine)}
	if a.pusher != nil {
		list = append(list, a.pusher.Handler())
	}
	return list
}

// Readers returns every reader of a server, for tools that make their documents
// again.
func Readers() []reader.Reader { return readers(false, false, 0) }

// collections returns every collection of documents: those of the kinds, then
// those of the readers.
func collections(kinds []gotong.Kind) []string {
	return append(store.Collections(kinds), reader.Collections(readers(false, false, 0))...)
}

func (a *App) newReaders(b Build) (*reader.Runner, error) {
	r, err := reader.New(reader.Options{
		Store: a.store, Clock: a.clock, Log: a.log, Shared: a.shared(), Version: b.Version, Observer: reader.Observer{
			Ended: a.metrics.JobEnded,
			Advanced: func(changes []store.Change) {
				for of, users := range inbox.Changed(changes) {
					a.hub.Signals().Changed(of, users...)
				}
			},
		},
	}, readers(a.pod.Asks(), a.pusher != nil, a.cfg.PushDelay), handlers(a))
	if err != nil {
		return nil, err
	}
	a.metrics.Readers(func() (list []telemetry.ReaderStatus) {
		now := a.clock.Mono()
		for _, s := range r.Status() {
			list = append(list, telemetry.ReaderStatus{
				Reader: s.Reader, Partition: int(s.Partition), Lag: s.End - s.Cursor, Behind: s.Behind(now).Seconds(),
				Stopped: s.Stop != nil,
			})
		}
		return list
	}, func() map[string]float64 { return r.Late(a.now()) })
	return r, nil
}

// readersRun returns an error if a reader of this node stopped.
func (a *App) readersRun(context.Context) error {
	if stops := a.readers.Stopped(); len(stops) > 0 {
		return fmt.Errorf("reader %s stopped at position %d of partition %d, and %d more stops",
			stops[0].Reader, stops[0].Position, stops[0].Partition, len(stops)-1)
	}
	return nil
}
