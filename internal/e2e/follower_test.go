package e2e_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/store"
)

// seen is an event as a follower got it. Followers share equal ones.
type seen struct {
	seq  uint64
	id   gotong.EventID
	typ  string
	data string // canonical
}

// pool keeps one copy of what many followers got.
type pool struct {
	mu   sync.Mutex
	kept map[string]*seen
}

func newPool() *pool { return &pool{kept: map[string]*seen{}} }

func (p *pool) keep(e client.Event) *seen {
	key := string(e.Stream) + e.Cursor().String() + e.ID.String() + e.Type + string(e.Data)
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.kept[key]
	if !ok {
		s = &seen{e.Seq, e.ID, e.Type, canonical(e.Data)}
		p.kept[key] = s
	}
	return s
}

// follower follows one stream from its start until the event that ends the
// test, coming back from its cursor again and again.
type follower struct {
	name    string
	stream  gotong.Stream
	clients []*client.Client // used in turn, one after each pause
	pauses  int              // how often it leaves by itself
	pool    *pool
	last    func(client.Event) bool
	got     []*seen
	resumes int
}

// The ends of one stretch of following.
var (
	errPause = errors.New("paused")
	errLast  = errors.New("saw the last event")
)

// run follows; rnd decides when to pause.
func (f *follower) run(ctx context.Context, rnd *rand.Rand) error {
	from := client.Start
	for turn := 0; ; turn++ {
		left := -1
		if turn < f.pauses {
			left = rnd.IntN(200)
		}
		conn := f.clients[turn%len(f.clients)].NewConn(client.ConnOptions{Handle: func(e client.Event) error {
			if left == 0 {
				return errPause // not handled: it comes again
			}
			left--
			f.got = append(f.got, f.pool.keep(e))
			if f.last(e) {
				return errLast
			}
			return nil
		}})
		if err := conn.Subscribe(f.stream, from); err != nil {
			return err
		}
		if err := conn.Run(ctx); !errors.Is(err, errPause) {
			if errors.Is(err, errLast) {
				return nil
			}
			return err
		}
		f.resumes++
		if c, ok := conn.Cursors()[f.stream]; ok {
			from = client.At(c)
		}
	}
}

// check compares what was got with the log: no loss, no duplicate, the same
// order, the same text. It goes up to the event that ended the test.
func (f *follower) check(tb testing.TB, rows []store.Event) {
	tb.Helper()
	if len(f.got) > len(rows) {
		tb.Errorf("%s got %d events of a log of %d", f.name, len(f.got), len(rows))
		return
	}
	for i, s := range f.got {
		e := &rows[i]
		if s.seq != e.Seq || s.id != e.ID || s.typ != e.Type || s.data != f.pool.expected(tb, e) {
			tb.Errorf("%s: event %d is %+v, and %d %s %s in the log", f.name, i+1, *s, e.Seq, e.Type, e.ID)
			return
		}
	}
}

// expected is what a row's data must be on the wire.
func (p *pool) expected(tb testing.TB, e *store.Event) string {
	tb.Helper()
	key := "row " + string(e.Stream) + e.ID.String()
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.kept[key]
	if !ok {
		s = &seen{data: payload(tb, e)}
		p.kept[key] = s
	}
	return s.data
}
