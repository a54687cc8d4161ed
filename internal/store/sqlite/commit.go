package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"zombiezen.com/go/sqlite"
)

// maxSeq is the last seq that fits the key of an event.
const maxSeq = 1<<32 - 1

// maxStreams is the last number of a stream that fits it.
const maxStreams = 1<<31 - 1

func eventKey(no int64, seq uint64) int64 {
	return no<<32 | int64(min(seq, maxSeq))
}

// Submit implements [store.Committer].
func (s *Store) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	if err := s.accepts(batch); err != nil {
		done(nil, err)
		return
	}
	out := make([]store.Outcome, len(batch))
	write := func(w *writer) (err error) {
		for i := range batch {
			if out[i], err = w.commit(&batch[i], s.now()); err != nil {
				return err
			}
		}
		return nil
	}
	s.queue.Submit(ctx, store.CommitWork(open(write), batch, out, announce, done))
}

// accepts checks a batch before it is queued.
func (s *Store) accepts(batch []store.Commit) error {
	for i := range batch {
		if err := batch[i].Check(); err != nil {
			return err
		}
		if err := s.known(batch[i].Changes); err != nil {
			return err
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
	if h.Seq != c.Prev.Seq || h.Chain != c.Prev.Chain {
		return store.Outcome{Status: store.Moved, Stream: c.Request.Stream}, nil
	}
	for _, other := range c.Others {
		oh, err := w.head(other.Stream)
		if err != nil || oh.Seq != other.Seq {
			return store.Outcome{Status: store.Moved, Stream: other.Stream}, err
		}
	}
	for _, claim := range c.Claims {
		_, taken, err := readClaim(w.conn, claim)
		if err != nil || taken {
			return store.Outcome{Status: store.Taken, Claim: claim}, err
		}
	}
	for _, r := range c.Registers {
		kept, err := readRegister(w.conn, r.Key, now)
		if err != nil || kept.Version != r.Expect {
			return store.Outcome{Status: store.Stale, Register: r.Key}, err
		}
	}
	record, err := w.apply(c, h)
	return store.Outcome{Status: store.Committed, Record: record}, err
}

func (w *writer) apply(c *store.Commit, h *head) (store.Record, error) {
	if err := w.number(c, h); err != nil {
		return store.Record{}, err
	}
	p := c.Partition()
	record := c.Record(w.positions[p] + 1)
	if len(c.Events) > 0 {
		w.positions[p]++
		w.moved[p] = true
		h.Head = c.Head()
		w.dirty[c.Request.Stream] = h
	}
	for i := range c.Events {
		if err := w.insertEvent(h.no, p, record.Position, &c.Events[i]); err != nil {
			return record, err
		}
	}
	if err := w.insertRecord(h.no, &record); err != nil {
		return record, err
	}
	for _, claim := range c.Claims {
		if err := w.conn.exec("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", claim.Space, claim.Name, int(h.no)); err != nil {
			return record, err
		}
	}
	if err := w.change(c.Changes); err != nil {
		return record, err
	}
	for _, r := range c.Registers {
		if err := w.setRegister(r); err != nil {
			return record, err
		}
	}
	w.rows += len(c.Events) + len(c.Claims) + len(c.Changes) + 1
	return record, w.erase(c, h.no)
}

// number gives a stream that has none its number.
func (w *writer) number(c *store.Commit, h *head) error {
	if last := c.Head().Seq; last > maxSeq {
		return fmt.Errorf("sqlite: %s is full", c.Request.Stream)
	}
	if h.no != 0 {
		return nil
	}
	err := w.conn.exec("INSERT INTO streams VALUES (NULL, ?, ?, ?, 0, zeroblob(32), 0, 0)", c.Request.Stream, c.Home, c.Partition())
	if err != nil {
		return err
	}
	if h.no = w.conn.db.LastInsertRowID(); h.no > maxStreams {
		return errors.New("sqlite: too many streams")
	}
	w.dirty[c.Request.Stream] = h
	return nil
}

func (w *writer) insertEvent(no int64, p gotong.Partition, position uint64, e *store.Event) error {
	stmt, err := w.conn.db.Prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	stmt.BindInt64(1, eventKey(no, e.Seq))
	stmt.BindInt64(2, int64(p))
	stmt.BindInt64(3, number(position))
	stmt.BindBytes(4, e.ID[:])
	stmt.BindText(5, e.Type)
	stmt.BindInt64(6, int64(e.At))
	stmt.BindText(7, string(e.Audience))
	stmt.BindInt64(8, number(e.Count))
	stmt.BindText(9, string(e.Data))
	bindJSON(stmt, 10, e.Content)
	stmt.BindBytes(11, e.DataSalt[:])
	if e.Erased {
		stmt.BindNull(12)
	} else {
		stmt.BindBytes(12, e.ContentSalt[:])
	}
	stmt.BindBytes(13, e.ContentCommit[:])
	stmt.BindBytes(14, e.Prev[:])
	stmt.BindBytes(15, e.Chain[:])
	stmt.BindBool(16, e.Erased)
	return step(stmt, nil)
}

func (w *writer) insertRecord(no int64, r *store.Record) error {
	stmt, err := w.conn.db.Prepare("INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	stmt.BindText(1, r.Request.RequestID)
	stmt.BindInt64(2, no)
	stmt.BindText(3, r.Request.Actor)
	bindBlob(stmt, 4, r.Salt)
	bindBlob(stmt, 5, r.Fingerprint)
	stmt.BindInt64(6, int64(r.Partition))
	stmt.BindInt64(7, number(r.Position))
	stmt.BindInt64(8, number(r.First))
	stmt.BindInt64(9, number(r.Last))
	stmt.BindInt64(10, int64(r.At))
	return step(stmt, nil)
}

// erase removes content and content salts, and what the requests that brought
// them could be compared with.
func (w *writer) erase(c *store.Commit, no int64) error {
	for _, seq := range c.Erase {
		var env store.Envelope[json.RawMessage]
		found := false
		err := w.conn.query("SELECT data FROM events WHERE key = ?", func(row *sqlite.Stmt) error {
			found = true
			return json.Unmarshal(blob(row, 0), &env)
		}, int(eventKey(no, seq)))
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		err = w.conn.exec("UPDATE events SET content = NULL, content_salt = NULL, erased = 1 WHERE key = ?", int(eventKey(no, seq)))
		if err != nil {
			return err
		}
		err = w.conn.exec("UPDATE commits SET salt = NULL, fingerprint = NULL WHERE request_id = ? AND stream = ? AND actor = ?",
			env.RequestID, int(no), env.Actor.UserID)
		if err != nil {
			return err
		}
		w.erased, w.putOff = true, false
	}
	return nil
}

func readRecord(c *conn, no int64, key gotong.RequestKey) (r store.Record, found bool, err error) {
	err = c.query(`SELECT salt, fingerprint, partition, position, first, last, at
		FROM commits WHERE request_id = ? AND stream = ? AND actor = ?`, func(row *sqlite.Stmt) error {
		found = true
		r = store.Record{
			Request: key, Salt: blob(row, 0), Fingerprint: blob(row, 1),
			Partition: gotong.Partition(unsigned(row, 2)), //nolint:gosec // written as one
			Position:  unsigned(row, 3), First: unsigned(row, 4), Last: unsigned(row, 5),
			At: gotong.Instant(row.ColumnInt64(6)),
		}
		return nil
	}, key.RequestID, int(no), key.Actor)
	return r, found, err
}

func readClaim(c *conn, claim gotong.Claim) (stream gotong.Stream, taken bool, err error) {
	err = c.query(`SELECT s.name FROM claims c JOIN streams s ON s.no = c.stream
		WHERE c.space = ? AND c.name = ?`, func(row *sqlite.Stmt) error {
		stream, taken = gotong.Stream(row.ColumnText(0)), true
		return nil
	}, claim.Space, claim.Name)
	return stream, taken, err
}
