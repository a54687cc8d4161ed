package copy

import (
	"crypto/sha256"
	"encoding/json"
	"math/big"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// tally is the number of rows of a part and the sum of their hashes, which does
// not depend on their order.
type tally struct {
	n   uint64
	sum big.Int
}

type tallies map[Part]*tally

func newTallies() tallies {
	t := tallies{}
	for _, part := range Parts() {
		t[part] = &tally{}
	}
	return t
}

// add counts the rows of a page; registers only if they expire later than soon.
// Commits are compared one by one, and only their events are counted here.
func (t tallies) add(page *Page, soon gotong.Instant) error {
	t[Events].n += uint64(store.LoggedEvents(page.Commits)) //nolint:gosec // a length
	for part, row := range linesOf(&page.Rows) {
		if r, ok := row.(registerLine); ok && r.Expires != 0 && r.Expires <= int64(soon) {
			continue
		}
		text, err := json.Marshal(row)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		t[part].n++
		t[part].sum.Add(&t[part].sum, new(big.Int).SetBytes(sum[:]))
	}
	return nil
}

func (t tallies) differ(other tallies) error {
	for _, part := range Parts() {
		a, b := t[part], other[part]
		if a.n != b.n {
			return differs("the source has %d rows of sort %q, the target %d", a.n, part, b.n)
		}
		if a.sum.Cmp(&b.sum) != 0 {
			return differs("of %d rows of sort %q, at least one differs", a.n, part)
		}
	}
	return nil
}

func (t tallies) counts() Counts {
	c := Counts{}
	for part, tally := range t {
		c[part] = tally.n
	}
	return c
}
