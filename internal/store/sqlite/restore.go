package sqlite

import (
	"context"
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

// Restore implements [store.Mover].
func (s *Store) Restore(ctx context.Context, step store.Restoring) error {
	eras := *s.eras.Load()
	if step.From == "" {
		eras = step.Eras
	}
	if err := errors.Join(step.Check(eras), s.known(step.Documents)); err != nil {
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
			if empty, err := isEmpty(w.conn); err != nil || !empty {
				return errors.Join(err, store.ErrConflict)
			}
			if err := writeEras(w.conn, eras); err != nil {
				return err
			}
		}
		w.progress = step.To
		return errors.Join(writeMeta(w.conn, metaProgress, step.To), once(w.restore(&step)))
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
	for i := range step.Events {
		if err := w.restoreEvent(&step.Events[i]); err != nil {
			return err
		}
	}
	for i := range step.Rows.Records {
		r := &step.Rows.Records[i]
		h, err := w.place(r.Request.Stream, r.Partition)
		if err == nil {
			err = w.insertRecord(h.no, r)
		}
		if err != nil {
			return err
		}
	}
	for _, r := range step.Rows.Claims {
		h, err := w.place(r.Stream, 0)
		if err == nil {
			err = w.conn.exec("INSERT INTO claims VALUES (?, ?, ?)", r.Claim.Space, r.Claim.Name, int(h.no))
		}
		if err != nil {
			return err
		}
	}
	w.rows += step.Len() + len(step.Documents)
	return errors.Join(w.restoreSide(&step.Rows), w.change(step.Documents))
}

func (w *writer) restoreSide(rows *store.Rows) error {
	for _, r := range rows.Registers {
		err := w.conn.exec("INSERT INTO registers VALUES (?, ?, ?, ?, ?, ?)",
			r.Key.Collection, r.Key.Owner, r.Key.Name, r.Version, r.Body, r.Expires)
		if err != nil {
			return err
		}
	}
	for _, r := range rows.Cursors {
		if err := w.conn.exec("INSERT INTO cursors VALUES (?, ?, ?)", r.Reader, r.Partition, r.Position); err != nil {
			return err
		}
	}
	for _, j := range rows.Jobs {
		if j.Body == nil {
			j.Body = []byte{}
		}
		err := w.conn.exec("INSERT INTO jobs VALUES (?, ?, ?, ?, 0, ?)", j.Queue, j.ID, j.Due, j.Attempt, j.Body)
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) restoreStream(r *store.StreamRow) error {
	if r.Head.Seq > maxSeq {
		return fmt.Errorf("%w: %s is too long for this store", store.ErrMalformed, r.Stream)
	}
	h := head{Head: r.Head}
	err := w.conn.exec("INSERT INTO streams VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", r.Stream, h.Home,
		gotong.PartitionOf(h.Home), h.Seq, h.Chain[:], h.At, h.Count)
	if err != nil {
		return err
	}
	return w.numbered(r.Stream, &h)
}

// numbered gives a head the number of the row that was just written.
func (w *writer) numbered(s gotong.Stream, h *head) error {
	if h.no = w.conn.db.LastInsertRowID(); h.no > maxStreams {
		return errors.New("sqlite: too many streams")
	}
	w.heads.put(s, h)
	return nil
}

// place is the row of a stream; one that only ever had no-ops gets it here.
func (w *writer) place(s gotong.Stream, p gotong.Partition) (*head, error) {
	h, err := w.head(s)
	if err != nil || h.no != 0 {
		return h, err
	}
	err = w.conn.exec("INSERT INTO streams VALUES (NULL, ?, '', ?, 0, zeroblob(32), 0, 0)", s, p)
	if err != nil {
		return h, err
	}
	return h, w.numbered(s, h)
}

func (w *writer) restoreEvent(e *store.Event) error {
	h, err := w.head(e.Stream)
	if err != nil {
		return err
	}
	if e.Seq == 0 || e.Seq > h.Seq || e.Partition != gotong.PartitionOf(h.Home) {
		return fmt.Errorf("%w: event %d of %s is of no stream that was written", store.ErrMalformed, e.Seq, e.Stream)
	}
	if w.positions[e.Partition] < e.Position {
		w.positions[e.Partition], w.moved[e.Partition] = e.Position, true
	}
	return w.insertEvent(h.no, e.Partition, e.Position, e)
}
