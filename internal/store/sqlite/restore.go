package sqlite

import (
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

// once turns a row that exists into the fault of the step that it is.
func once(err error) error {
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultConstraint {
		return fmt.Errorf("%w: a row that exists", store.ErrMalformed)
	}
	return err
}

// restore writes a step of a copy.
func (w *writer) restore(step *store.Restoring) error {
	for _, r := range step.Rows.Streams {
		if _, err := w.addStream(r.Stream, r.Head.Home); err != nil {
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
	w.rows += len(step.Rows.Streams) + len(step.Rows.Claims) + len(step.Documents)
	return w.change(step.Documents, false)
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
	h, err := w.head(l.Record.Request.Stream)
	if err == nil {
		err = l.Follows(h.Home, h.Seq, w.ends.positions[l.Record.Partition])
	}
	if err != nil {
		return err
	}
	next := head{Head: l.Head(h.Home), no: h.no}
	w.dirty[l.Record.Request.Stream] = &next
	return w.insert(&next, &l.Record, l.Events)
}
