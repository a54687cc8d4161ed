package live_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// loads is a world that counts its reads.
type loads struct {
	*world
	n atomic.Int64
}

func (l *loads) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	l.n.Add(1)
	return l.world.Load(ctx, need)
}

// A read that waits costs the same few reads of the store, however much is
// written in its stream and beside it meanwhile, and ends when its event is
// there.
func TestReadsPerWait(t *testing.T) {
	beside := gotong.NewStream("room", "b0")
	for i := 1; gotong.PartitionOf(beside) != gotong.PartitionOf(r1); i++ {
		beside = gotong.NewStream("room", fmt.Sprint("b", i))
	}
	for _, tt := range []struct {
		name   string
		ahead  uint64
		code   gotong.Code
		writes int
		in     gotong.Stream
	}{
		{"it comes", 500, "", 1000, r1},
		{"it does not come", 1000, gotong.CodeNotYet, 999, r1},
		{"others write", 1, gotong.CodeNotYet, 2000, beside},
		{"far ahead", 1001, gotong.CodeCursorAhead, 0, r1},
		{"at the end of numbers", 1 << 62, gotong.CodeCursorAhead, 10, r1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &loads{world: newWorld(t)}
				h := l.start(func(o *live.Options) { o.Store = l })
				head := l.commit(h, r1, add("ann")).Seq
				pass(time.Second)
				var writing sync.WaitGroup
				writing.Go(func() {
					for range tt.writes {
						l.commit(h, tt.in, say("x"))
						pass(time.Millisecond)
					}
				})
				before := l.n.Load()
				began := time.Now()
				page, err := l.view(h).Read(t.Context(), reader("ann"), view.Query{Stream: r1, MinSeq: head + tt.ahead})
				if gotong.CodeOf(err) != tt.code || err == nil && page.Head.Seq < head+tt.ahead {
					t.Errorf("%v at %d", err, page.Head.Seq)
				}
				if took := time.Since(began); tt.code == "" && took > time.Second || tt.code == gotong.CodeCursorAhead && took > 0 {
					t.Errorf("%v after %s", err, took)
				}
				if n := l.n.Load() - before; n > 6 {
					t.Errorf("%d reads of the store for one request", n)
				}
				writing.Wait()
				if st := h.Stats(); l.view(h).Waiting() != 0 || st.Flows != 0 {
					t.Errorf("left behind: %+v", st)
				}
			})
		})
	}
}

// Of one user only so many reads wait; those of others do not count.
func TestReadWaitsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"), add("bob"))
		pass(time.Second)
		var mu sync.Mutex
		codes := map[string]int{}
		read := func(user string) {
			_, err := w.view(h).Read(t.Context(), reader(user), view.Query{Stream: r1, MinSeq: 3})
			mu.Lock()
			defer mu.Unlock()
			codes[fmt.Sprint(user, " ", gotong.CodeOf(err))]++
		}
		var reading sync.WaitGroup
		for range 200 {
			reading.Go(func() { read("ann") })
		}
		synctest.Wait()
		if n := w.view(h).Waiting(); n != 8 {
			t.Errorf("%d reads wait, want 8", n)
		}
		reading.Go(func() { read("bob") })
		synctest.Wait()
		w.commit(h, r1, say("3"))
		reading.Wait()
		if codes["ann "] != 8 || codes["ann rate_limited"] != 192 || codes["bob "] != 1 {
			t.Errorf("got %v", codes)
		}
	})
}

// A read that waits for what its reader may no longer see ends as for a stream
// that never was.
func TestReadWaitAndRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := w.start()
		w.commit(h, r1, add("ann"), add("bob"))
		pass(time.Second)
		time.AfterFunc(time.Second, func() { w.commit(h, r1, remove("bob"), say("4")) })
		_, err := w.view(h).Read(t.Context(), reader("bob"), view.Query{Stream: r1, MinSeq: 4})
		if gotong.CodeOf(err) != gotong.CodeNotFound {
			t.Errorf("got %v", err)
		}
	})
}
