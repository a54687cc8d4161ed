package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// task is a lane or a replay that a round serves.
type task struct {
	stream   gotong.Stream
	position uint64 // of the mark; 0: it had been blocked
	replay   string // of a replay
	finished bool   // nothing is left of it, or it is blocked
}

// tally is what the requests of a round that run at once have found.
type tally struct {
	mu        sync.Mutex
	attempted bool
	down      *answer // the receiver as a whole does not respond
}

// round serves a bounded number of lanes. It returns when the next round is due; 0:
// there is nothing to do.
func (t *turn) round(ctx context.Context) (gotong.Instant, error) {
	sends, err := t.open(ctx)
	if err != nil || !sends {
		return 0, err
	}
	if t.state.Until > t.now() {
		return t.state.Until, nil
	}
	r := &round{turn: t}
	if err := r.collect(ctx); err != nil {
		return 0, err
	}
	if err := r.begin(ctx); err != nil {
		return 0, err
	}
	if err := r.run(ctx); err != nil {
		return 0, errors.Join(err, t.save(context.WithoutCancel(ctx)))
	}
	return r.end(ctx)
}

type round struct {
	*turn
	tally
	tasks []task
	more  bool // marks or replays are left beyond the bounds of a round
}

// collect finds what is due: lanes with a mark beyond Done, lanes that were blocked,
// and replays.
func (r *round) collect(ctx context.Context) error {
	need := store.Need{Ranges: []store.KeyRange{{
		Collection: dues, Owner: r.id, From: gotong.SeqName(r.state.Done + 1), To: "~", Limit: perRound,
	}}}
	for _, b := range r.state.Blocked {
		need.Registers = append(need.Registers, LaneKey(r.id, b.Stream))
	}
	snap, err := r.opt.Store.Load(ctx, need)
	if err != nil {
		return err
	}
	now, waiting := r.now(), map[gotong.Stream]bool{}
	for _, b := range r.state.Blocked {
		var l Lane
		if err := json.Unmarshal(snap.Registers[LaneKey(r.id, b.Stream)].Body, &l); err != nil {
			return err
		}
		if waiting[b.Stream] = true; l.Attempts == 0 || b.Due <= now { // or it was skipped
			r.tasks = append(r.tasks, task{stream: b.Stream})
		}
	}
	for _, row := range snap.Ranges[0] {
		var d due
		position, err := strconv.ParseUint(row.Key.Name, 10, 64)
		if err := errors.Join(err, json.Unmarshal(row.Body, &d)); err != nil {
			return err
		}
		r.tasks = append(r.tasks, task{stream: d.Stream, position: position, finished: waiting[d.Stream]})
	}
	rows, err := r.opt.Store.FindRegisters(ctx, everything(replays, r.id, "", perRound))
	for _, row := range rows {
		r.tasks = append(r.tasks, task{replay: row.Key.Name})
	}
	r.more = len(snap.Ranges[0]) == perRound || len(rows) == perRound
	return err
}

// begin sends the message of a new epoch before anything else of it.
func (r *round) begin(ctx context.Context) error {
	if r.state.Epoch == r.epoch {
		return nil
	}
	m, err := r.epochMessage()
	if err != nil {
		return err
	}
	switch a := r.send(ctx, m); a.outcome {
	case accepted, rejected:
		r.state.Epoch = r.epoch
	case stopped:
		return ctx.Err()
	case failed, gone:
	}
	return nil
}

// run serves the tasks, a few at once. If the receiver did not respond before, one
// request alone tries whether it does.
func (r *round) run(ctx context.Context) error {
	for i := range r.tasks {
		if r.state.Failures == 0 || r.isDown() {
			break
		}
		if err := r.serve(ctx, &r.tasks[i], 1); err != nil {
			return err
		}
		if r.attempted && !r.isDown() {
			break
		}
	}
	limit := perLane
	if r.crashed {
		limit = 1
	}
	var group errgroup.Group
	group.SetLimit(inFlight)
	for i := range r.tasks {
		if !r.tasks[i].finished && !r.isDown() && ctx.Err() == nil {
			group.Go(func() error { return r.serve(ctx, &r.tasks[i], limit) })
		}
	}
	return group.Wait()
}

// serve sends up to limit events of a task.
func (r *round) serve(ctx context.Context, of *task, limit int) (err error) {
	switch {
	case of.finished:
	case of.replay != "":
		of.finished, err = r.again(ctx, of.replay, limit)
	default:
		of.finished, err = r.lane(ctx, of.stream, limit)
	}
	return err
}

func (r *round) isDown() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.down != nil
}

// send sends a message once and records what the result shows about the receiver.
func (r *round) send(ctx context.Context, m *message) answer {
	began, at := r.opt.Clock.Mono(), r.now()
	a := r.attempt(ctx, r.config, r.hook.Profile, m)
	took := r.opt.Clock.Mono().Sub(began)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempted = true; a.outcome == stopped {
		return a
	}
	line := Attempt{At: at, WebhookID: m.id, Stream: m.stream, Seq: m.seq, Status: a.status, MS: took.Milliseconds(), Replay: m.replay}
	if a.err != nil {
		line.Error = reason(a.err)
	}
	r.state.Log = append(r.state.Log, line)
	if a.outcome != accepted && r.state.FailingSince == 0 {
		r.state.FailingSince = at
	}
	switch a.outcome {
	case accepted, rejected:
		r.recovered(a.outcome == accepted)
	default:
		if r.down == nil || a.outcome == gone {
			r.down = &a
		}
	}
	if r.opt.Observer.Attempted != nil {
		r.opt.Observer.Attempted([...]string{"accepted", "rejected", "failed", "gone", ""}[a.outcome], took)
	}
	return a
}

// end writes the state of delivery, and returns when the next round is due.
func (r *round) end(ctx context.Context) (next gotong.Instant, err error) {
	left := r.more
	for i, through := 0, true; i < len(r.tasks); i++ {
		task := &r.tasks[i]
		if left = left || !task.finished; task.position == 0 {
			continue
		}
		if through = through && task.finished; through {
			r.state.Done = task.position
		}
	}
	if r.down != nil {
		return r.failure(ctx, *r.down)
	}
	if r.state.FailingSince > 0 && r.attempted {
		if stop, err := r.judge(ctx); stop || err != nil {
			return 0, err
		}
	}
	if r.attempted || len(r.tasks) > 0 {
		if err := r.save(ctx); err != nil {
			return 0, err
		}
	}
	if left {
		return r.now(), nil
	}
	for _, b := range r.state.Blocked {
		if next == 0 || b.Due < next {
			next = b.Due
		}
	}
	return next, nil
}
