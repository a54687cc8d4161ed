package sqlite

import (
	"gotong.dev/gotong"
	"zombiezen.com/go/sqlite"
)

// head is a stream's row as the writer knows it, ahead of the file while its
// transaction runs. no 0: there is no row yet.
type head struct {
	gotong.Head
	no int64
}

// heads is a cache in two generations: what was not used since the younger one
// began is forgotten with the older one.
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

const selectHead = "SELECT no, home, seq, chain, at, count FROM streams WHERE name = ?"

// readHead reads a stream's row, with the zero number where there is none.
func readHead(c *conn, s gotong.Stream) (h head, err error) {
	err = c.query(selectHead, func(row *sqlite.Stmt) error {
		h.no = row.ColumnInt64(0)
		h.Home, h.Seq = gotong.Stream(row.ColumnText(1)), unsigned(row, 2)
		row.ColumnBytes(3, h.Chain[:])
		h.At, h.Count = gotong.Instant(row.ColumnInt64(4)), unsigned(row, 5)
		return nil
	}, s)
	return h, err
}

// head is the stream's head with what this transaction did to it. What it
// changed is kept aside too, so that the cache may forget at any time.
func (w *writer) head(s gotong.Stream) (*head, error) {
	if found, ok := w.dirty[s]; ok {
		return found, nil
	}
	if found := w.heads.get(s); found != nil {
		return found, nil
	}
	read, err := readHead(w.conn, s)
	if err != nil {
		return nil, err
	}
	w.heads.put(s, &read)
	return &read, nil
}
