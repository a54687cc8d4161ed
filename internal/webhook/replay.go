package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"sort"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// again sends up to limit events of a replay. It returns true at its end, and
// removes it.
func (r *round) again(ctx context.Context, id string, limit int) (bool, error) {
	k := kept{key: ReplayKey(r.id, id)}
	p, version, err := Read[Replay](ctx, r.opt.Store, k.key)
	if err != nil || version == 0 {
		return true, err
	}
	k.version = version
	a := replaying{r, id, &p, limit}
	var finished bool
	switch {
	case p.Dead:
		finished, err = a.letters(ctx)
	case p.Stream != "":
		finished, err = a.stretch(ctx, p.Stream, p.From-1, p.To)
	default:
		finished, err = a.since(ctx)
	}
	if finished && err == nil {
		return true, r.opt.Store.SetRegister(ctx, k.key, k.version, nil, 0)
	}
	k.dirty = 1
	return false, errors.Join(err, k.save(ctx, r.opt.Store, p))
}

type replaying struct {
	*round
	id   string
	at   *Replay
	left int // of the events that this round may send
}

// stretch sends the events of a stream with from < seq <= to, after those that were
// sent. An event that the receiver rejects is a dead letter at once, one that it
// accepts is none any more.
func (a *replaying) stretch(ctx context.Context, s gotong.Stream, from, to uint64) (bool, error) {
	w := walk{round: a.round, stream: s, seq: max(from, a.at.Seq), to: to}
	for ; a.left > 0 && !a.isDown() && w.seq < to; a.left-- {
		m, finished, err := w.next(ctx, a.id)
		if a.at.Seq = w.seq; err != nil || finished {
			return finished, err
		}
		switch answer := a.send(ctx, m); answer.outcome {
		case accepted:
			err = a.exhume(ctx, s, m.seq)
		case rejected:
			err = a.bury(ctx, Dead{Stream: s, Seq: m.seq, EventID: m.id, Attempts: 1, Status: answer.status, Why: "rejected"})
		case stopped:
			return false, ctx.Err()
		case failed, gone:
			return false, nil
		}
		if err != nil {
			return false, err
		}
		w.seq, a.at.Seq = m.seq, m.seq
	}
	return w.seq >= to, nil
}

// exhume removes a dead letter, if there is one.
func (a *replaying) exhume(ctx context.Context, s gotong.Stream, seq uint64) error {
	key := DeadKey(a.round.id, s, seq)
	_, version, err := Read[Dead](ctx, a.opt.Store, key)
	if err != nil || version == 0 {
		return err
	}
	return a.opt.Store.SetRegister(context.WithoutCancel(ctx), key, version, nil, 0)
}

// letters sends the dead letters.
func (a *replaying) letters(ctx context.Context) (bool, error) {
	for a.left > 0 && !a.isDown() {
		rows, err := a.opt.Store.FindRegisters(ctx, everything(dead, a.round.id, a.at.After, 1))
		if err != nil || len(rows) == 0 {
			return len(rows) == 0, err
		}
		var d Dead
		if err := json.Unmarshal(rows[0].Body, &d); err != nil {
			return false, err
		}
		if done, err := a.stretch(ctx, d.Stream, d.Seq-1, d.Seq); !done || err != nil {
			return false, err
		}
		a.at.After, a.at.Seq = rows[0].Key.Name, 0
	}
	return false, nil
}

// since sends the events of all streams since an instant, as far as their lanes have
// got: the lanes themselves send the rest.
func (a *replaying) since(ctx context.Context) (bool, error) {
	for a.left > 0 && !a.isDown() {
		rows, err := a.opt.Store.FindRegisters(ctx, everything(lanes, a.round.id, a.at.After, 1))
		if err != nil || len(rows) == 0 {
			return err == nil, err
		}
		var l Lane
		if err := json.Unmarshal(rows[0].Body, &l); err != nil {
			return false, err
		}
		s := gotong.Stream(rows[0].Key.Name)
		from, err := a.before(ctx, s, l.Seq)
		if err != nil {
			return false, err
		}
		if done, err := a.stretch(ctx, s, from, l.Seq); !done || err != nil {
			return false, err
		}
		a.at.After, a.at.Seq = rows[0].Key.Name, 0
	}
	return false, nil
}

// before returns the last event of a stream, up to end, that precedes the instant of
// the replay.
func (a *replaying) before(ctx context.Context, s gotong.Stream, end uint64) (uint64, error) {
	var fault error
	n := sort.Search(int(end), func(i int) bool { //nolint:gosec // a seq fits
		seq := uint64(i) + 1 //nolint:gosec // not negative
		snap, err := a.opt.Store.Load(ctx, store.Need{Events: []store.EventRange{{Stream: s, From: seq - 1, To: seq}}})
		if err != nil || len(snap.Events[0]) == 0 {
			fault = errors.Join(fault, err)
			return false // a damaged event: look further on
		}
		return snap.Events[0][0].At >= a.at.Since
	})
	if fault != nil && !errors.Is(fault, store.ErrCorrupt) {
		return 0, fault
	}
	return uint64(n), nil //nolint:gosec // not negative
}
