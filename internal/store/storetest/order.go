package storetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var orderTests = map[string]func(*env){
	"order/one order":          oneOrder,
	"order/chain":              chainHolds,
	"partition/bounds":         partitionBounds,
	"partition/whole commits":  wholeCommits,
	"partition/separate":       separatePartitions,
	"partition/many positions": manyPositions,
}

// oneOrder: seq, (at, id) and id alone give one order, although the clock stood
// still and went back.
func oneOrder(e *env) {
	const stream = gotong.Stream("thread/a")
	clock := []gotong.Instant{50, 50, 49, 1050, 1049, 1050, 1051, 999, 3000, 0}
	for i := range 120 {
		e.next(Draft{Stream: stream, Events: 1 + i%3, At: 1_764_000_000_000_000 + clock[i%len(clock)]})
	}
	bySeq := e.events(store.EventRange{Stream: stream, To: math.MaxUint64})
	equal(e, "events", len(bySeq), 240)
	for name, order := range map[string]func(a, b store.Event) int{
		"(at, id)": func(a, b store.Event) int { return cmp.Or(cmp.Compare(a.At, b.At), a.ID.Compare(b.ID)) },
		"id":       func(a, b store.Event) int { return a.ID.Compare(b.ID) },
		"text":     func(a, b store.Event) int { return cmp.Compare(a.ID.String(), b.ID.String()) },
	} {
		shuffled := slices.Clone(bySeq)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		slices.SortFunc(shuffled, order)
		for i := range shuffled {
			if shuffled[i].Seq != uint64(i+1) {
				e.Fatalf("by %s, seq %d comes at place %d", name, shuffled[i].Seq, i+1)
			}
		}
	}
}

// chainHolds: every row links to the one before, by a second writing of the
// chain's rules.
func chainHolds(e *env) {
	for i := range 60 {
		e.next(Draft{
			Stream: gotong.Stream(fmt.Sprint("thread/", i%3)), Events: 1 + i%4, Bare: i%5 == 0,
			Audience: gotong.Audience([]string{"", "user/u2", "role/admin"}[i%3]),
		})
	}
	total := uint64(0)
	for i := range 3 {
		total += e.verifyStream(gotong.Stream(fmt.Sprint("thread/", i)))
	}
	if total < 60 {
		e.Errorf("%d commits", total)
	}
}

// verifyStream checks all rows of a stream and returns the number of their
// commits.
func (e *env) verifyStream(stream gotong.Stream) (commits uint64) {
	e.Helper()
	var prev store.Event
	for {
		rows := e.events(store.EventRange{Stream: stream, From: prev.Seq, To: math.MaxUint64, Limit: 100})
		for i := range rows {
			row := &rows[i]
			if row.Seq != prev.Seq+1 || row.Prev != prev.Chain || row.Chain != link(e.s.Epoch(), row) || row.At <= prev.At {
				e.Fatalf("%s: %d does not follow %d", stream, row.Seq, prev.Seq)
			}
			if row.Position != prev.Position {
				commits++
			}
			prev = *row
		}
		if len(rows) == 0 {
			break
		}
	}
	h := e.head(stream)
	if h.Seq != prev.Seq || h.Chain != prev.Chain || h.At != prev.At || h.Count != prev.Count {
		e.Fatalf("%s: head %+v, last event %d", stream, h, prev.Seq)
	}
	return commits
}

// link is the chain hash of a row, written down a second time from the
// contract's words.
func link(epoch gotong.Epoch, row *store.Event) gotong.Hash {
	field := func(b []byte, v []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		return append(b, v...)
	}
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	data := sha256.Sum256(slices.Concat([]byte{0x20}, row.DataSalt[:], row.Data))
	content := row.ContentCommit
	if !row.Erased {
		content = sha256.Sum256(slices.Concat([]byte{0x21}, row.ContentSalt[:], row.Content))
	}
	b := []byte{0x10, 2}
	for _, v := range [][]byte{
		[]byte(epoch), number(uint64(row.Partition)), []byte(row.Stream), number(row.Seq), row.ID[:], []byte(row.Type),
		number(uint64(row.At)), []byte(row.Audience), number(row.Count), row.Prev[:], data[:], content[:],
	} {
		b = field(b, v)
	}
	return sha256.Sum256(b)
}

func partitionBounds(e *env) {
	const home = gotong.Stream("group/g")
	p := gotong.PartitionOf(home)
	var commits []store.Commit
	for i := range 9 {
		commits = append(commits, e.m.Next(Draft{Stream: home, Events: 1 + i%3}))
	}
	e.must(commits...)
	e.next(Draft{Stream: home}) // a no-op takes no position
	for _, tt := range []struct{ from, to, first, last uint64 }{
		{0, 9, 1, 9}, {0, 1, 1, 1}, {3, 5, 4, 5}, {8, 9, 9, 9}, {8, math.MaxUint64, 9, 9}, {0, math.MaxUint64, 1, 9},
		{9, 9, 0, 0}, {9, math.MaxUint64, 0, 0}, {5, 3, 0, 0}, {0, 0, 0, 0}, {math.MaxUint64, math.MaxUint64, 0, 0},
	} {
		var want []store.Event
		for at := tt.first; at > 0 && at <= tt.last; at++ {
			for _, row := range commits[at-1].Events {
				row.Partition, row.Position = p, at
				want = append(want, row)
			}
		}
		for _, limit := range []int{0, 100, 5000, -1} {
			got := e.partition(p, tt.from, tt.to, limit)
			if len(got) != len(want) || len(want) > 0 && !slices.EqualFunc(got, want, sameRow) {
				e.Errorf("(%d, %d] limit %d: %d rows, want %d", tt.from, tt.to, limit, len(got), len(want))
			}
		}
	}
}

func sameRow(a, b store.Event) bool {
	return a.Stream == b.Stream && a.Seq == b.Seq && a.Position == b.Position && a.Chain == b.Chain
}

// wholeCommits: a page never ends within a commit, and is never empty before the
// end.
func wholeCommits(e *env) {
	const home = gotong.Stream("group/g")
	p := gotong.PartitionOf(home)
	for i := range 12 {
		e.next(Draft{Stream: gotong.Stream(fmt.Sprint("thread/", i%2)), Home: home, Events: 1 + i%4})
	}
	all := e.partition(p, 0, 99, 0)
	for limit := 1; limit <= len(all)+1; limit++ {
		var got []store.Event
		for cursor := uint64(0); ; {
			page := e.partition(p, cursor, 99, limit)
			if len(page) == 0 {
				break
			}
			if len(page) > limit+3 {
				e.Errorf("limit %d: %d rows", limit, len(page))
			}
			got, cursor = append(got, page...), page[len(page)-1].Position
		}
		if !slices.EqualFunc(got, all, sameRow) {
			e.Errorf("pages of %d give %d rows, one page %d", limit, len(got), len(all))
		}
	}
}

func separatePartitions(e *env) {
	seen := map[gotong.Partition]int{}
	for i := range 64 {
		home := gotong.Stream(fmt.Sprint("group/", i))
		e.next(Draft{Stream: home, Events: 1})
		seen[gotong.PartitionOf(home)]++
	}
	if len(seen) != gotong.Partitions {
		e.Fatalf("the test reaches %d partitions", len(seen))
	}
	for p, n := range seen {
		rows := e.partition(p, 0, 999, 0)
		if len(rows) != n {
			e.Errorf("partition %d has %d rows, want %d", p, len(rows), n)
		}
		for i := range rows {
			if rows[i].Partition != p || rows[i].Position != uint64(i+1) || gotong.PartitionOf(rows[i].Stream) != p {
				e.Errorf("partition %d: %s at %d of %d", p, rows[i].Stream, rows[i].Position, rows[i].Partition)
			}
		}
	}
}

// manyPositions: a page of the default size from somewhere in a long partition.
func manyPositions(e *env) {
	const home, n = gotong.Stream("group/g"), 2300
	p := gotong.PartitionOf(home)
	batch := make([]store.Commit, n)
	for i := range batch {
		batch[i] = e.m.Next(Draft{Stream: gotong.Stream(fmt.Sprint("thread/", i%7)), Home: home, Events: 1})
	}
	e.must(batch...)
	t := tail{seqs: map[gotong.Stream]uint64{}}
	pages := 0
	for t.cursor < n {
		rows := e.partition(p, t.cursor, n, 0)
		if len(rows) == 0 {
			e.Fatalf("nothing after %d", t.cursor)
		}
		t.take(e, rows)
		pages++
	}
	equal(e, "pages", pages, 3)
}
