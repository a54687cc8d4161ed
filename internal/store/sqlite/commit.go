package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
	"zombiezen.com/go/sqlite"
)

// Submit implements [store.Committer].
func (s *Store) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	if err := store.CheckBatch(batch, s.collections); err != nil {
		done(nil, err)
		return
	}
	out := make([]store.Outcome, len(batch))
	write := func(w *writer) (err error) {
		if err := w.gate(sqlstore.How{}); err != nil {
			return err
		}
		if err := w.sound(batch); err != nil {
			return err
		}
		for i := range batch {
			if out[i], err = w.commit(&batch[i], s.Now()); err != nil {
				return fmt.Errorf("a commit to %s: %w", batch[i].Request.Stream, err)
			}
		}
		return nil
	}
	s.queue.Submit(ctx, store.CommitWork(op(write), batch, out, announce, done))
}

// errBadHead is returned before anything is written.
var errBadHead = fmt.Errorf("%w: the newest event of a stream does not match its commitments", store.ErrCorrupt)

// sound checks the heads on which the commits build: an event that was damaged
// in the file must not become a link of the chain.
func (w *writer) sound(batch []store.Commit) error {
	for i := range batch {
		h, err := w.head(batch[i].Request.Stream)
		if err != nil {
			return err
		}
		if h.bad {
			return fmt.Errorf("%w: %s, event %d", errBadHead, batch[i].Request.Stream, h.Seq)
		}
	}
	return nil
}

// commit decides the fate of one commit by reading, and writes it only when
// nothing speaks against it.
func (w *writer) commit(c *store.Commit, now gotong.Instant) (store.Outcome, error) {
	h, err := w.head(c.Request.Stream)
	if err != nil {
		return store.Outcome{}, err
	}
	if h.no != 0 {
		record, ok, err := readRecord(w.conn, h.no, c.Request)
		if err != nil || ok {
			return store.Outcome{Status: store.Replayed, Record: record}, err
		}
	}
	if !c.Follows(h.Head) {
		return store.Outcome{Status: store.Moved, Stream: c.Request.Stream}, nil
	}
	for _, other := range c.Others {
		oh, err := w.head(other.Stream)
		if err != nil || oh.Seq != other.Seq {
			return store.Outcome{Status: store.Moved, Stream: other.Stream}, err
		}
	}
	for _, claim := range c.Claims {
		taken := map[gotong.Claim]gotong.Stream{}
		err := w.conn.run(func(b *batch) { sqlstore.ReadClaims(b, selectClaims, []gotong.Claim{claim}, taken) })
		if err != nil || len(taken) > 0 {
			return store.Outcome{Status: store.Taken, Claim: claim}, err
		}
	}
	for _, r := range c.Registers {
		version := uint64(0)
		err := w.conn.run(func(b *batch) {
			sqlstore.ReadRegisters(b, []gotong.Key{r.Key}, "", func(kept store.Register) {
				if sqlstore.Exists(&kept, now) {
					version = kept.Version
				}
			})
		})
		if err != nil || version != r.Expect {
			return store.Outcome{Status: store.Stale, Register: r.Key}, err
		}
	}
	record, err := w.apply(c, h)
	return store.Outcome{Status: store.Committed, Record: record}, err
}

func (w *writer) apply(c *store.Commit, h *head) (store.Record, error) {
	next := *h
	if len(c.Events) > 0 { // else its Prev is only an expectation, and may lack time, count and home
		next.Head = c.Head()
	}
	if err := w.number(c, h, &next); err != nil {
		return store.Record{}, err
	}
	record := c.Record(w.ends.positions[c.Partition()] + 1)
	if err := w.insert(&next, &record, c.Events); err != nil {
		return record, err
	}
	w.dirty[c.Request.Stream] = &next
	for _, claim := range c.Claims {
		if err := w.conn.exec("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", claim.Space, claim.Name, next.no); err != nil {
			return record, err
		}
	}
	if err := w.change(c.Changes, false); err != nil {
		return record, err
	}
	for _, r := range c.Registers {
		if err := w.setRegister(r); err != nil {
			return record, err
		}
	}
	w.rows += len(c.Claims) + len(c.Changes)
	return record, w.erase(c, next.no)
}

// number gives a stream that has none its number, and its home with its first
// event.
func (w *writer) number(c *store.Commit, h, next *head) error {
	switch {
	case h.no == 0:
		if err := w.conn.exec("INSERT INTO streams VALUES (NULL, ?, ?)", c.Request.Stream, next.Home); err != nil {
			return err
		}
		next.no = w.conn.db.LastInsertRowID()
	case h.Home != next.Home:
		return w.conn.exec("UPDATE streams SET home = ? WHERE no = ?", next.Home, h.no)
	}
	return nil
}

// insertEvent says OR FAIL and not, as usual, OR ABORT, for which SQLite would copy
// each page before it changes it. Nothing is lost: a row is checked before any
// page is changed, and an error takes the whole transaction back.
const insertEvent = `INSERT OR FAIL INTO events (partition, position, stream, seq, id, type, at, audience, count, data, content,
	data_salt, content_salt, content_commit, prev, chain, erased, request_id, actor, salt, fingerprint, last, decided)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// insert writes the rows of one commit, and moves the ends past them: a row for
// each event, the first one with the request, or one row of the request alone.
func (w *writer) insert(h *head, r *store.Record, events []store.Event) error {
	for i := range max(len(events), 1) {
		stmt, err := w.conn.db.Prepare(insertEvent)
		if err != nil {
			return err
		}
		stmt.BindInt64(1, int64(r.Partition))
		stmt.BindInt64(3, h.no)
		if len(events) == 0 {
			stmt.BindNull(2)
			for column := 4; column <= 17; column++ {
				stmt.BindNull(column)
			}
		} else {
			stmt.BindInt64(2, sqlstore.Number(r.Position))
			bindEvent(stmt, &events[i])
		}
		if i == 0 {
			bindRecord(stmt, r)
		} else {
			for column := 18; column <= 23; column++ {
				stmt.BindNull(column)
			}
		}
		if err := step(stmt, nil); err != nil {
			return err
		}
		key := w.conn.db.LastInsertRowID()
		if w.ends.pass(key, r.Partition, r.Position); len(events) > 0 {
			h.key = key
		}
		w.rows++
	}
	return nil
}

func bindEvent(stmt *sqlite.Stmt, e *store.Event) {
	stmt.BindInt64(4, sqlstore.Number(e.Seq))
	stmt.BindBytes(5, e.ID[:])
	stmt.BindText(6, e.Type)
	stmt.BindInt64(7, int64(e.At))
	stmt.BindText(8, string(e.Audience))
	stmt.BindInt64(9, sqlstore.Number(e.Count))
	stmt.BindText(10, string(e.Data))
	bindJSON(stmt, 11, e.Content)
	stmt.BindBytes(12, e.DataSalt[:])
	if e.Erased {
		stmt.BindNull(13)
	} else {
		stmt.BindBytes(13, e.ContentSalt[:])
	}
	stmt.BindBytes(14, e.ContentCommit[:])
	stmt.BindBytes(15, e.Prev[:])
	stmt.BindBytes(16, e.Chain[:])
	stmt.BindBool(17, e.Erased)
}

func bindRecord(stmt *sqlite.Stmt, r *store.Record) {
	stmt.BindText(18, r.Request.RequestID)
	stmt.BindText(19, r.Request.Actor)
	bindBlob(stmt, 20, r.Salt)
	bindBlob(stmt, 21, r.Fingerprint)
	if r.Position == 0 {
		stmt.BindNull(22)
	} else {
		stmt.BindInt64(22, sqlstore.Number(r.Last))
	}
	stmt.BindInt64(23, int64(r.At))
}

const (
	selectData = "SELECT data FROM events WHERE stream = ? AND seq = ?"
	eraseEvent = "UPDATE events SET content = NULL, content_salt = NULL, erased = 1 WHERE stream = ? AND seq = ?"
	blind      = "UPDATE events SET salt = NULL, fingerprint = NULL WHERE request_id = ? AND stream = ? AND actor = ?"
)

// erase removes content and content salts, and what the requests that brought
// them could be compared with.
func (w *writer) erase(c *store.Commit, no int64) error {
	for _, seq := range c.Erase {
		var env store.Envelope[json.RawMessage]
		found := false
		err := w.conn.query(selectData, func(row *sqlite.Stmt) error {
			found = true
			if json.Unmarshal(blob(row, 0), &env) != nil {
				return &store.Damaged{Stream: c.Request.Stream, Seq: seq}
			}
			return nil
		}, no, seq)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if err := w.conn.exec(eraseEvent, no, seq); err != nil {
			return err
		}
		if err := w.conn.exec(blind, env.RequestID, no, env.Actor.UserID); err != nil {
			return err
		}
		w.erased, w.putOff = true, false
	}
	return nil
}

const selectRecord = "SELECT " + sqlstore.RecordColumns + " FROM events e WHERE e.request_id = ? AND e.stream = ? AND e.actor = ?"

func readRecord(c *conn, no int64, key gotong.RequestKey) (r store.Record, found bool, err error) {
	err = c.ask(selectRecord, func(row sqlstore.Row) (err error) {
		r, err = sqlstore.ScanRecord(row)
		r.Request, found = key, true
		return err
	}, key.RequestID, no, key.Actor)
	return r, found, err
}

const selectClaims = "SELECT space, name, (SELECT name FROM streams WHERE no = stream) FROM claims"
