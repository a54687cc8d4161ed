package copy_test

import (
	"math/rand/v2"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// TestRunsOfReadersDoNotMatter: the documents that a reader makes commit by commit are
// those that it makes in long runs.
func TestRunsOfReadersDoNotMatter(t *testing.T) {
	s := newMemory()
	v := newVillage(t, s, rand.New(rand.NewPCG(3, 4)).IntN)
	defer v.close()
	v.live(300)
	v.side()
	for _, r := range app.Readers() {
		for p := range gotong.Partition(gotong.Partitions) {
			byCommit(t, s, &r, p)
		}
		r.Ran = nil // documents alone
		check(t, reader.Compare(t.Context(), s, &r, 0, func(d reader.Difference) { t.Errorf("%s: %+v", r.Name, d) }))
	}
}

// byCommit has a reader process a partition, with each commit as a run.
func byCommit(t *testing.T, s store.Whole, r *reader.Reader, p gotong.Partition) {
	t.Helper()
	for at := uint64(0); ; {
		rows, err := s.ReadPartition(t.Context(), p, at, at+1, 0)
		check(t, err)
		if len(rows) == 0 {
			return
		}
		c, docs := reader.Commit{Partition: p, Position: rows[0].Position, Events: rows}, map[gotong.Key][]byte{}
		if r.Needs != nil {
			snap, err := s.Load(t.Context(), store.Need{Documents: r.Needs(c)})
			check(t, err)
			docs = snap.Documents
		}
		step, err := r.Read(docs, []reader.Commit{c})
		check(t, err)
		check(t, s.Advance(t.Context(), store.Step{Reader: r.Name, Partition: p, From: at, To: c.Position, Changes: step.Changes}))
		at = c.Position
	}
}
