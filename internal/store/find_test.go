package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// pace is a stream that is made up as it is read: the instant of each event
// follows from its seq.
type pace struct {
	store.Committer
	at    func(seq uint64) gotong.Instant
	head  uint64
	loads int
	rows  int
}

func (p *pace) id(seq uint64) gotong.EventID { return gotong.NewEventID(p.at(seq), seq) }

func (p *pace) Load(_ context.Context, need store.Need) (store.Snapshot, error) {
	p.loads++
	var snap store.Snapshot
	for _, r := range need.Events {
		var rows []store.Event
		for seq := r.From + 1; seq <= min(r.To, p.head); seq++ {
			rows = append(rows, store.Event{Stream: r.Stream, Seq: seq, ID: p.id(seq), At: p.at(seq)})
		}
		p.rows += len(rows)
		snap.Events = append(snap.Events, rows)
	}
	return snap, nil
}

const (
	second = gotong.Instant(1_000_000)
	day    = 86_400 * second
)

// paces are ways in which the events of a stream of a million come.
var paces = map[string]struct {
	at   func(seq uint64) gotong.Instant
	most int // reads
}{
	"even":  {func(seq uint64) gotong.Instant { return gotong.Instant(seq) * 10 * second }, 3},
	"daily": {func(seq uint64) gotong.Instant { n := gotong.Instant(seq); return n/500*day + n%500*60*second }, 3},
	"grows": {func(seq uint64) gotong.Instant { // every year ten times as many
		year, step := gotong.Instant(0), uint64(1)
		for before := uint64(0); ; before += step {
			step *= 10
			if seq <= before+step {
				return year + gotong.Instant(seq-before)*(365*day/gotong.Instant(step+1))
			}
			year += 365 * day
		}
	}, 5},
	"import, a pause, a crowd": {func(seq uint64) gotong.Instant {
		if seq <= 400_000 {
			return gotong.Instant(seq)
		}
		return 900*day + gotong.Instant(seq)*second
	}, 4},
	"doubling": {func(seq uint64) gotong.Instant { // no clock goes so: the worst for a guess
		return gotong.Instant(seq) + gotong.Instant(1)<<(seq/20_000)
	}, 6},
}

// TestFindEventNeedsFewReads: an event of a stream of a million is found in few reads,
// and one that is not there is not.
func TestFindEventNeedsFewReads(t *testing.T) {
	for name, test := range paces {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			p := &pace{at: test.at, head: 1_000_000}
			for i := range 3000 {
				seq := 1 + rnd.Uint64N(p.head)
				if i < 100 {
					seq = 1 + uint64(i)
				}
				p.loads, p.rows = 0, 0
				e, ok, err := store.FindEvent(t.Context(), p, "thread/a", p.id(seq), p.head)
				if err != nil || !ok || e.Seq != seq {
					t.Fatalf("event %d: found %v %d, %v", seq, ok, e.Seq, err)
				}
				if p.loads > test.most || p.rows > 256+test.most*80 {
					t.Fatalf("event %d: %d reads, %d rows", seq, p.loads, p.rows)
				}
				if _, ok, err := store.FindEvent(t.Context(), p, "thread/a", gotong.NewEventID(p.at(seq), seq+p.head), p.head); ok || err != nil {
					t.Fatalf("found what is not there beside %d: %v", seq, err)
				}
			}
		})
	}
}

// TestFindEventInShortStreams: every event of short streams, and what lies before, beside
// and after them.
func TestFindEventInShortStreams(t *testing.T) {
	for head := range uint64(150) {
		at := func(seq uint64) gotong.Instant {
			return gotong.InstantOf(time.Unix(1_700_000_000, 0)) + gotong.Instant(seq*seq)
		}
		p := &pace{at: at, head: head}
		for seq := uint64(1); seq <= head; seq++ {
			if e, ok, err := store.FindEvent(t.Context(), p, "thread/a", p.id(seq), head); err != nil || !ok || e.Seq != seq {
				t.Fatalf("%d of %d: %v %v", seq, head, ok, err)
			}
		}
		for _, id := range []gotong.EventID{{}, p.id(head + 1), gotong.NewEventID(p.at(head/2), 999)} {
			if _, ok, err := store.FindEvent(t.Context(), p, "thread/a", id, head); ok || err != nil {
				t.Errorf("%s of %d: %v %v", id, head, ok, err)
			}
		}
	}
}

// TestFindEventEndsWhereTheHeadIsTooLow: where the head is lower than it was, which happens
// only to a damaged log, a search ends.
func TestFindEventEndsWhereTheHeadIsTooLow(t *testing.T) {
	for _, head := range []uint64{0, 3, 200, 5000} {
		p := &pace{at: func(seq uint64) gotong.Instant { return gotong.Instant(seq) * second }, head: head}
		_, ok, err := store.FindEvent(t.Context(), p, "thread/a", p.id(head+5), head+10)
		if ok || !errors.Is(err, store.ErrCorrupt) || p.loads > 20 {
			t.Errorf("%d: %d reads, %v %v", head, p.loads, ok, err)
		}
	}
}
