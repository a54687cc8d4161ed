package webhook

import (
	"context"
	"encoding/json"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// kept is a register that its holder writes again and again.
type kept struct {
	key     gotong.Key
	version uint64
	dirty   int // changes that were not written
}

func (k *kept) save(ctx context.Context, to store.Registers, doc any) error {
	if k.dirty == 0 {
		return nil
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if err := to.SetRegister(context.WithoutCancel(ctx), k.key, k.version, body, 0); err != nil {
		return err
	}
	k.version, k.dirty = k.version+1, 0
	return nil
}

// lane sends events of a stream in order, up to limit. It returns true if none is
// left, or if the receiver rejects the next one.
func (r *round) lane(ctx context.Context, s gotong.Stream, limit int) (finished bool, err error) {
	k := kept{key: LaneKey(r.id, s)}
	l, version, err := Read[Lane](ctx, r.opt.Store, k.key)
	if err != nil {
		return false, err
	}
	k.version = version
	w := walk{round: r, stream: s, seq: l.Seq, fresh: version == 0}
	for ; limit > 0 && !finished && !r.isDown() && err == nil; limit-- {
		var m *message
		if m, finished, err = w.next(ctx, ""); w.seq != l.Seq { // over events that are not for the webhook
			l = Lane{Seq: w.seq}
			k.dirty++
		}
		if err != nil || finished {
			break
		}
		switch a := r.send(ctx, m); a.outcome {
		case accepted:
			w.seq, l = m.seq, Lane{Seq: m.seq}
		case rejected:
			l.Attempts, l.Next = l.Attempts+1, m.seq
			finished, err = r.rejected(ctx, s, &l, m, a)
			w.seq = l.Seq
		case stopped:
			err = ctx.Err()
			continue
		case failed, gone:
			continue
		}
		if k.dirty++; k.dirty >= perSave {
			err = k.save(ctx, r.opt.Store, l)
		}
	}
	if finished && l.Attempts == 0 { // not before: marks that were passed while it waited are found nowhere else
		r.block(s, 0)
	}
	if saved := k.save(ctx, r.opt.Store, l); err == nil {
		err = saved
	}
	return finished, err
}

// rejected notes that the receiver rejected an event: the lane waits or, after the
// last wait, the event is dead. It returns true if the lane waits.
func (r *round) rejected(ctx context.Context, s gotong.Stream, l *Lane, m *message, a answer) (bool, error) {
	if l.Attempts > len(r.opt.Waits) {
		err := r.bury(ctx, Dead{Stream: s, Seq: m.seq, EventID: m.id, Attempts: l.Attempts, Status: a.status, Why: "rejected"})
		*l = Lane{Seq: m.seq}
		return false, err
	}
	if r.tooMany(a) {
		return false, nil
	}
	planned := r.wait(l.Attempts)
	r.block(s, r.now().Add(max(planned, min(a.after, 2*planned))))
	return true, nil
}

// tooMany reports whether so many lanes wait that this is a failure of the receiver.
func (r *round) tooMany(a answer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.state.Blocked) < maxBlocked {
		return false
	}
	r.down = &a
	return true
}

// bury keeps a reference to an event that was not accepted.
func (r *round) bury(ctx context.Context, d Dead) error {
	d.At = r.now()
	key := DeadKey(r.id, d.Stream, d.Seq)
	_, version, err := Read[Dead](ctx, r.opt.Store, key)
	if err != nil {
		return err
	}
	k := kept{key: key, version: version, dirty: 1}
	return k.save(ctx, r.opt.Store, d)
}

func (r *round) block(s gotong.Stream, until gotong.Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setBlocked(s, until)
}

// walk reads a stream event by event, as the webhook may see each at that moment.
type walk struct {
	*round
	stream gotong.Stream
	seq    uint64 // everything up to it was walked
	to     uint64 // 0: the end
	fresh  bool   // nothing of the stream was walked before
	page   int
	docs   store.Kept // decoded, from one read to the next
}

// maxPage is how many events are looked at in one read, where none is for the
// webhook.
const maxPage = 256

// next returns the message of the next event that is for the webhook, and walks over
// those before it. It returns true if there is none. The event itself is not walked
// over.
func (w *walk) next(ctx context.Context, replay string) (*message, bool, error) {
	for w.page = 1; ctx.Err() == nil; {
		m, finished, err := w.look(ctx, replay)
		switch {
		case view.Spoilt(err) && w.page > 1:
			w.page = 1 // its neighbours are good
		case view.Spoilt(err):
			w.seq++
			if err := w.bury(ctx, Dead{Stream: w.stream, Seq: w.seq, Why: "unreadable"}); err != nil {
				return nil, false, err
			}
		case err != nil || finished || m != nil:
			return m, finished, err
		default:
			w.page = min(4*w.page, maxPage)
		}
	}
	return nil, false, ctx.Err()
}

// look reads a page, with the access and the overlays of this moment.
func (w *walk) look(ctx context.Context, replay string) (m *message, finished bool, err error) {
	snap, err := w.opt.Views.Load(ctx, w.stream, []gotong.Viewer{w.viewer()},
		view.Span{From: w.seq, To: w.to, Limit: w.page, Bytes: store.MaxReadBytes}, store.Need{}, &w.docs)
	if err != nil {
		return nil, false, err
	}
	access, head := snap.Grants[0].Access, snap.State.Head.Seq
	switch {
	case !access.Readable || len(access.Visible) == 0, w.seq > head: // or the history was rolled back
		w.seq = head
		return nil, true, nil
	case w.fresh && access.Visible[0].From > w.seq+1:
		w.fresh, w.seq = false, access.Visible[0].From-1
		return nil, w.seq >= head, nil
	case len(snap.Rows) == 0:
		return nil, true, nil
	}
	for i := range snap.Rows {
		row, err := snap.Row(i)
		if err != nil {
			return nil, false, err
		}
		if stored := row.Stored; w.hook.Wants(w.stream, stored.Type) && access.Sees(stored.Seq, stored.Audience, row.About...) {
			if m, err := w.letter(ctx, row, access.Sees, replay); m != nil || err != nil {
				return m, false, err
			}
		}
		w.seq = row.Stored.Seq
	}
	return nil, w.to > 0 && w.seq >= w.to, nil
}
