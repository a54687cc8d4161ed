package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var holeTests = map[string]func(*env){
	"holes/stream":    streamHoles,
	"holes/partition": partitionHoles,
}

// lost has the missing events of a stream of seven; each row is a case.
var lost = [][]uint64{{}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {1, 2}, {3, 4, 5}, {6, 7}, {2, 3}, {1, 2, 3, 4, 5, 6, 7}}

const (
	holeHome = gotong.Stream("group/holes")
	holeHead = 7
)

func holeStream(i int) gotong.Stream { return gotong.Stream(fmt.Sprint("thread/holes-", i)) }

// withHoles writes a stream for each case, all in one partition, and then removes
// the missing events of the case. It returns how many events each position has,
// and 0 for one that lacks some.
func withHoles(e *env) (positions []int) {
	if e.harness.Lose == nil {
		e.Skipf("rows of this store cannot be removed")
	}
	first := uint64(1)
	for _, events := range []int{2, 3, 1, 1} {
		for i, missing := range lost {
			e.next(Draft{Stream: holeStream(i), Home: holeHome, Events: events})
			whole := events
			for seq := first; seq < first+uint64(events); seq++ {
				if slices.Contains(missing, seq) {
					whole = 0
				}
			}
			positions = append(positions, whole)
		}
		first += uint64(events)
	}
	for i, missing := range lost {
		for _, seq := range missing {
			e.check(e.harness.Lose(holeStream(i), seq))
		}
	}
	return positions
}

// streamHoles: every read of a stream ends before a missing event, and is an error
// if it would begin with one.
func streamHoles(e *env) {
	withHoles(e)
	for i, missing := range lost {
		for from := range uint64(holeHead + 2) {
			for _, to := range []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, math.MaxUint64} {
				for _, limit := range []int{0, 1, 2} {
					for _, descending := range []bool{false, true} {
						e.streamHole(store.EventRange{Stream: holeStream(i), From: from, To: to, Limit: limit, Descending: descending}, missing)
					}
				}
			}
		}
	}
}

func (e *env) streamHole(r store.EventRange, missing []uint64) {
	e.Helper()
	var all, want []uint64
	for seq := r.From + 1; seq <= min(r.To, holeHead); seq++ {
		all = append(all, seq)
	}
	if r.Descending {
		slices.Reverse(all)
	}
	if r.Limit > 0 {
		all = all[:min(len(all), r.Limit)]
	}
	for _, seq := range all {
		if slices.Contains(missing, seq) {
			break
		}
		want = append(want, seq)
	}
	snap, err := e.s.Load(e.ctx, store.Need{Events: []store.EventRange{r}})
	if len(all) > 0 && len(want) == 0 {
		said := fmt.Sprintf("%s has no event %d", r.Stream, all[0])
		if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), said) {
			e.Errorf("%+v without %v: %v, want %q", r, missing, err, said)
		}
		return
	}
	e.check(err)
	if got := seqs(snap.Events[0]); !slices.Equal(got, want) {
		e.Errorf("%+v without %v: %v, want %v", r, missing, got, want)
	}
}

// partitionHoles: every read of a partition ends before the first commit that is
// not whole, and is an error if it would begin with one.
func partitionHoles(e *env) {
	positions := withHoles(e)
	p, head := gotong.PartitionOf(holeHome), uint64(len(positions))
	for from := range head + 2 {
		for _, to := range []uint64{from, from + 1, from + 3, head, math.MaxUint64} {
			for _, limit := range []int{1, 4, 1000} {
				end, events := from, 0
				for end < min(to, head) && events < limit && positions[end] > 0 {
					events += positions[end]
					end++
				}
				rows, err := e.s.ReadPartition(e.ctx, p, from, to, limit)
				if events == 0 && from < min(to, head) {
					if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprint("commit ", from+1)) {
						e.Errorf("after %d, up to %d, limit %d: %d events, %v, want corrupt", from, to, limit, len(rows), err)
					}
					continue
				}
				e.check(err)
				if len(rows) != events || events > 0 && rows[events-1].Position != end {
					e.Errorf("after %d, up to %d, limit %d: %d events, want %d up to %d", from, to, limit, len(rows), events, end)
				}
			}
		}
	}
}
