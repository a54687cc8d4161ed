//go:build unix

package audit

import (
	"fmt"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
)

// BenchmarkVerify verifies a log of a million events in an SQLite file. It
// reports the events per second, and the processor time; `go test -bench Verify -benchtime 1x` makes the
// log once.
func BenchmarkVerify(b *testing.B) {
	const events = 1_000_000
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "b.db"), sqlite.Options{Collections: []string{tilesCollection}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a benchmark
	w := newWorld(b, 1)
	w.epoch = s.Epoch()
	for written := 0; written < events; {
		batch := make([]store.Commit, 0, 1000)
		for len(batch) < cap(batch) {
			home := gotong.Stream(fmt.Sprintf("group/%d", w.rng.IntN(200)))
			stream := gotong.Stream("thread/" + home.ID())
			head := w.heads[stream]
			if !head.Exists() {
				head = gotong.Head{At: 1_700_000_000_000_000, Home: home}
			}
			request := gotong.RequestKey{
				Stream: stream, Actor: fmt.Sprintf("0192f0c1-7f5e-7e3a-8000-%012d", w.rng.IntN(900)), RequestID: fmt.Sprintf("r%d-%d", head.Seq, w.rng.Uint32()),
			}
			data := fmt.Sprintf(`{"actor":{"user_id":%q,"role":"user"},"request_id":%q,"payload":{"n":%d}}`,
				request.Actor, request.RequestID, head.Seq)
			e := w.event(stream, home, head, fact{"thing.done", "", data})
			e.Content = fmt.Appendf(nil, `{"text":"message %d with a text of the usual length, of some eighty characters or so"}`, head.Seq)
			e.ContentCommit = gotong.CommitContent(e.ContentSalt, e.Content)
			e.Chain = e.Header(w.epoch).Chain()
			prev := w.heads[stream]
			w.heads[stream] = gotong.Head{Seq: e.Seq, Chain: e.Chain, At: e.At, Count: e.Count, Home: home}
			batch = append(batch, store.Commit{
				Request: request, Home: home, Prev: prev,
				Events: []store.Event{e}, At: e.At,
			})
		}
		outcomes, err := store.CommitAll(b.Context(), s, batch)
		if err != nil || outcomes[len(outcomes)-1].Status != store.Committed {
			b.Fatal(outcomes[len(outcomes)-1], err)
		}
		written += len(batch)
	}
	pinned := w.pinned[0]
	began := processorTime(b)
	b.ResetTimer()
	for b.Loop() {
		from, err := FromStore(b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		r, err := Verify(b.Context(), from, VerifyOptions{Pinned: pinned, Parallel: runtime.GOMAXPROCS(0)})
		if err != nil || r.Events != events || r.Code != Verified {
			b.Fatalf("%d events, %v, %v", r.Events, r.Findings, err)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric((processorTime(b)-began)/float64(b.N), "cpu-s/op")
}

// processorTime is how many seconds of processors this process has used.
func processorTime(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
