package sqlite

import (
	"fmt"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
	"zombiezen.com/go/sqlite"
)

// head is a stream's newest event, with the number of the stream. no 0: the
// stream has no row; Seq 0: it has no event.
type head struct {
	gotong.Head
	no  int64
	key int64 // of the row of the newest event
	bad bool  // the row does not match its link of the chain, or the home is of another partition
}

// heads is a cache in two generations: what was not used since the younger one
// began is forgotten with the older one. A head in it never changes.
type heads struct {
	most       int // in one generation
	young, old map[gotong.Stream]*head
}

// generation is how many heads one of the two holds; about 20 MB together.
const generation = 32768

func (h *heads) get(s gotong.Stream) *head {
	if found, ok := h.young[s]; ok {
		return found
	}
	found, ok := h.old[s]
	if ok {
		h.put(s, found)
	}
	return found
}

func (h *heads) put(s gotong.Stream, row *head) {
	if h.young == nil || len(h.young) >= h.most {
		h.young, h.old = map[gotong.Stream]*head{}, h.young
	}
	h.young[s] = row
}

// ends is where the log ends: the key of its newest row, and the last position
// of each partition.
type ends struct {
	key       int64
	positions [gotong.Partitions]uint64
}

// pass moves the ends past a row. A request that changed nothing has no
// position.
func (e *ends) pass(key int64, p gotong.Partition, position uint64) {
	e.key = max(e.key, key)
	e.positions[p] = max(e.positions[p], position)
}

// tip is what was committed last, as the writer knows it: the ends of the log,
// and the heads of the streams that were written or asked for last. Because it
// is kept apart from the file, rows that are missing at the end of the log are
// not taken for its end.
type tip struct {
	mu    sync.Mutex
	ends  ends
	heads heads
}

func (t *tip) now() ends {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ends
}

// head is the head that a stream had when the newest row was the one with this
// key; nil where it is not known.
func (t *tip) head(s gotong.Stream, key int64) *head {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.heads.get(s); found != nil && found.key <= key {
		return found
	}
	return nil
}

// keep remembers a head that was read. Only the writer calls it: what anyone
// else has read may be old.
func (t *tip) keep(s gotong.Stream, h *head) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heads.put(s, h)
}

// advance takes over what a transaction has committed.
func (t *tip) advance(to ends, changed map[gotong.Stream]*head) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends = to
	for s, h := range changed {
		t.heads.put(s, h)
	}
}

func (t *tip) reset(to ends) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends, t.heads = to, heads{most: t.heads.most}
}

const (
	selectStream = "SELECT no, home FROM streams WHERE name = ?"
	selectNewest = "SELECT " + sqlstore.EventColumns + `, e.key FROM events e
		WHERE e.stream = +? AND e.seq IS NOT NULL ORDER BY e.seq DESC LIMIT 1`
	selectLater = "SELECT key, partition, position, stream FROM events WHERE key > ? ORDER BY key"
	selectEnd   = "SELECT position FROM events WHERE partition = +? AND position IS NOT NULL ORDER BY position DESC LIMIT 1"
)

// readHead reads a stream's head, with the zero number where there is none.
func readHead(c *conn, s gotong.Stream, eras store.Eras) (h head, err error) {
	err = c.query(selectStream, func(row *sqlite.Stmt) error {
		h.no, h.Home = row.ColumnInt64(0), gotong.Stream(row.ColumnText(1))
		return nil
	}, s)
	if err == nil && h.no != 0 {
		err = h.read(c, s, eras)
	}
	return h, err
}

// read reads the newest event of the stream of this number.
func (h *head) read(c *conn, s gotong.Stream, eras store.Eras) error {
	rows := sqlstore.NewEvents(&h.key)
	return c.ask(selectNewest, func(row sqlstore.Row) error {
		e, err := rows.Scan(row, s)
		h.Seq, h.Chain, h.At, h.Count = e.Seq, e.Chain, e.At, e.Count
		h.bad = e.Header(eras.At(e.Partition, e.Position)).Chain() != e.Chain || gotong.PartitionOf(h.Home) != e.Partition
		return err
	}, h.no)
}

func readEnds(c *conn) (e ends, err error) {
	for p := range gotong.Partition(gotong.Partitions) {
		err := c.query(selectEnd, func(row *sqlite.Stmt) error { e.positions[p] = unsigned(row, 0); return nil }, p)
		if err != nil {
			return e, err
		}
	}
	err = c.query("SELECT max(key) FROM events", func(row *sqlite.Stmt) error { e.key = row.ColumnInt64(0); return nil })
	return e, err
}

// catchUp moves the ends past the rows that were written since, and returns of
// which streams these are.
func (e *ends) catchUp(c *conn) (streams map[int64]bool, err error) {
	err = c.query(selectLater, func(row *sqlite.Stmt) error {
		p := row.ColumnInt64(1)
		if p < 0 || p >= gotong.Partitions {
			return fmt.Errorf("%w: there is no partition %d", store.ErrCorrupt, p)
		}
		e.pass(row.ColumnInt64(0), gotong.Partition(p), unsigned(row, 2))
		if streams == nil {
			streams = map[int64]bool{}
		}
		streams[row.ColumnInt64(3)] = true
		return nil
	}, int(e.key))
	return streams, err
}

// head is the stream's head with what this transaction did to it.
func (w *writer) head(s gotong.Stream) (*head, error) {
	if found, ok := w.dirty[s]; ok {
		return found, nil
	}
	if found := w.tip.head(s, w.ends.key); found != nil {
		return found, nil
	}
	read, err := readHead(w.conn, s, w.base.Eras())
	if err == nil && read.no != 0 && !read.bad {
		w.tip.keep(s, &read)
	}
	return &read, err
}
