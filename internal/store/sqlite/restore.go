package sqlite

import (
	"context"
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
	"zombiezen.com/go/sqlite"
)

// Restore implements [store.Mover].
func (s *Store) Restore(ctx context.Context, step store.Restoring) error {
	eras := *s.eras.Load()
	if step.From == "" {
		eras = step.Eras
	}
	if err := errors.Join(step.Check(eras), store.CheckChanges(step.Documents, s.collections)); err != nil {
		return err
	}
	err := s.perform(ctx, 0, func(w *writer) error {
		if w.sealed != "" {
			return store.ErrSealed
		}
		if w.progress != step.From {
			return store.ErrConflict
		}
		if step.From == "" {
			empty := false
			err := w.conn.ask("SELECT "+isEmpty, func(row sqlstore.Row) error { return row.Scan(&empty) })
			if err != nil || !empty {
				return errors.Join(err, store.ErrConflict)
			}
			if err := writeEras(w.conn, eras); err != nil {
				return err
			}
		}
		w.progress = step.To
		return errors.Join(writeMeta(w.conn, "progress", step.To), once(w.restore(&step)))
	})
	if err == nil && step.From == "" {
		s.eras.Store(&eras)
	}
	return err
}

// once turns a row that exists into the fault of the step that it is.
func once(err error) error {
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultConstraint {
		return fmt.Errorf("%w: a row that exists", store.ErrMalformed)
	}
	return err
}

func (w *writer) restore(step *store.Restoring) error {
	for i := range step.Rows.Streams {
		if err := w.restoreStream(&step.Rows.Streams[i]); err != nil {
			return err
		}
	}
	for i := range step.Commits {
		if err := w.restoreCommit(&step.Commits[i]); err != nil {
			return err
		}
	}
	for i := range step.Rows.Records {
		r := &step.Rows.Records[i]
		h, err := w.place(r.Request.Stream)
		if err == nil {
			err = w.insert(h, r, nil)
		}
		if err != nil {
			return err
		}
	}
	for _, r := range step.Rows.Claims {
		h, err := w.place(r.Stream)
		if err == nil {
			err = w.conn.exec("INSERT INTO claims VALUES (?, ?, ?)", r.Claim.Space, r.Claim.Name, h.no)
		}
		if err != nil {
			return err
		}
	}
	w.rows += step.Len() + len(step.Documents)
	return errors.Join(w.conn.run(func(b *batch) { sqlstore.Restore(b, &step.Rows) }), w.change(step.Documents, false))
}

func (w *writer) restoreStream(r *store.StreamRow) error {
	_, err := w.addStream(r.Stream, r.Head.Home)
	return err
}

// addStream gives a stream its number.
func (w *writer) addStream(s, home gotong.Stream) (*head, error) {
	if err := w.conn.exec("INSERT INTO streams VALUES (NULL, ?, ?)", s, home); err != nil {
		return nil, err
	}
	h := &head{Head: gotong.Head{Home: home}, no: w.conn.db.LastInsertRowID()}
	w.dirty[s] = h
	return h, nil
}

// place is the row of a stream; one that only ever had no-ops gets it here.
func (w *writer) place(s gotong.Stream) (*head, error) {
	h, err := w.head(s)
	if err != nil || h.no != 0 {
		return h, err
	}
	return w.addStream(s, "")
}

func (w *writer) restoreCommit(l *store.Logged) error {
	stream := l.Record.Request.Stream
	h, err := w.head(stream)
	if err != nil {
		return err
	}
	if h.no == 0 || l.Record.Partition != gotong.PartitionOf(h.Home) {
		return fmt.Errorf("%w: commit %d of partition %d is of no stream that was written",
			store.ErrMalformed, l.Record.Position, l.Record.Partition)
	}
	if r := &l.Record; r.First != h.Seq+1 || r.Position != w.ends.positions[r.Partition]+1 {
		return fmt.Errorf("%w: commit %d of partition %d, from event %d of %s, does not follow", store.ErrMalformed,
			r.Position, r.Partition, r.First, stream)
	}
	next := head{Head: l.Head(h.Home), no: h.no}
	w.dirty[stream] = &next
	return w.insert(&next, &l.Record, l.Events)
}
