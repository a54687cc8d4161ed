package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/store/surreal"
	client "gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// onEngines runs a benchmark on both lines of SurrealDB, on rocksdb with every
// commit synced.
func onEngines(b *testing.B, run func(b *testing.B, e surrealtest.Engine)) {
	b.Helper()
	for _, e := range surrealtest.All() {
		b.Run(e.String(), func(b *testing.B) {
			b.Helper()
			run(b, e)
		})
	}
}

func openSurreal(b *testing.B, cfg client.Config) *surreal.Store {
	b.Helper()
	s, err := surreal.Open(b.Context(), cfg, surreal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// BenchmarkSurrealStore measures Store.Commit on SurrealDB: one call after the
// other, each a batch.
func BenchmarkSurrealStore(b *testing.B) {
	onEngines(b, func(b *testing.B, e surrealtest.Engine) {
		b.Helper()
		for _, l := range []load{{1, 1, 1}, {64, 1, 1}, {64, 64, 1}, {200, 64, 1}} {
			b.Run(l.name(), func(b *testing.B) {
				s := openSurreal(b, surrealtest.Start(b, e))
				m := newMeter(l, s.Epoch(), func(batch []store.Commit) {
					out, err := store.CommitAll(context.Background(), s, batch)
					if err != nil || out[len(out)-1].Status != store.Committed {
						b.Fatal(err)
					}
				})
				m.run(b)
			})
		}
	})
}

// BenchmarkSurrealRead reads pages of a thread: by a closed range of record
// ids, as the store does, and by an index over stream and seq.
func BenchmarkSurrealRead(b *testing.B) {
	onEngines(b, func(b *testing.B, e surrealtest.Engine) {
		b.Helper()
		cfg := surrealtest.Start(b, e)
		s := openSurreal(b, cfg)
		db, err := client.Open(b.Context(), cfg, client.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(db.Close)
		stream := fill(b, s)
		//nolint:unqueryvet // a copy of whole rows, and whole rows of it
		const indexed = `DEFINE TABLE indexed; DEFINE INDEX place ON indexed FIELDS stream, seq;
			INSERT INTO indexed (SELECT *, record::id(id)[0] AS stream, record::id(id)[1] AS seq, rand::ulid() AS id FROM event) RETURN NONE`
		//nolint:unqueryvet // as above
		const byIndex = `SELECT * FROM indexed WHERE stream = $stream AND seq > $from ORDER BY seq LIMIT $n`
		err = db.Exec(b.Context(), indexed, nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range []uint64{50, 500} {
			b.Run(fmt.Sprintf("range/events=%d", n), func(b *testing.B) {
				for i := range b.N {
					from := uint64(i) * 97 % 1500
					snap, err := s.Load(b.Context(), store.Need{Events: []store.EventRange{{Stream: stream, From: from, To: from + n}}})
					if err != nil || len(snap.Events[0]) != int(n) {
						b.Fatal(len(snap.Events[0]), err)
					}
				}
			})
			b.Run(fmt.Sprintf("index/events=%d", n), func(b *testing.B) {
				for i := range b.N {
					var rows []client.Raw
					err := db.Select(b.Context(), byIndex, client.Vars{"stream": stream, "from": i * 97 % 1500, "n": n}, &rows)
					if err != nil || len(rows) != int(n) {
						b.Fatal(len(rows), err)
					}
				}
			})
		}
		b.Run("partition/events=500", func(b *testing.B) {
			for i := range b.N {
				from := uint64(i) * 997 % 19000
				rows, err := s.ReadPartition(b.Context(), gotong.PartitionOf("group/ent-rt00"), from, from+500, 500)
				if err != nil || len(rows) != 500 {
					b.Fatal(len(rows), err)
				}
			}
		})
	})
}

// BenchmarkSurrealNodes measures several nodes on one database. Each commits
// batches of 16 posts to its own threads, all in the same home, which is the
// worst case: all nodes move one partition. Repeats are transactions that had
// to be written again.
func BenchmarkSurrealNodes(b *testing.B) {
	onEngines(b, func(b *testing.B, e surrealtest.Engine) {
		b.Helper()
		for _, nodes := range []int{1, 2, 3} {
			b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
				cfg := surrealtest.Start(b, e)
				var repeats atomic.Uint64
				var wg sync.WaitGroup
				for node := range nodes {
					s := openSurreal(b, cfg)
					p := posts{maker: storetest.NewMaker(s.Epoch()), load: load{batch: 16, streams: 4, homes: 1}}
					wg.Go(func() {
						batch := make([]store.Commit, 16)
						for range b.N / 16 / nodes {
							p.own(batch, node)
							out, err := store.CommitAll(b.Context(), s, batch)
							if err != nil || out[15].Status != store.Committed {
								b.Error(err)
								return
							}
						}
						repeats.Add(s.Repeats())
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
				b.ReportMetric(float64(repeats.Load())*1000/float64(b.N), "repeats/1000")
				b.ReportMetric(0, "ns/op")
			})
		}
	})
}

// own returns the next post, in threads that no other node has.
func (p *posts) own(batch []store.Commit, node int) {
	for i := range batch {
		p.n++
		batch[i] = p.maker.Next(storetest.Draft{
			Stream: gotong.Stream(fmt.Sprintf("thread/%d-%d", node, p.n%p.load.streams)), Home: "group/ent-rt00", Events: 1, Body: postBody,
			RequestID: fmt.Sprintf("%d-%d", node, p.n), At: gotong.Instant(1_764_000_000_000_000 + p.n),
		})
	}
}
