package surreal_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// BenchmarkRoundTrip is a query that does nothing: the wire, the pool and the
// bridge.
func BenchmarkRoundTrip(b *testing.B) {
	for _, e := range surrealtest.All() {
		b.Run(e.String(), func(b *testing.B) {
			c := surrealtest.Open(b, e)
			b.Run("1", func(b *testing.B) {
				for b.Loop() {
					ask(b, c, "RETURN 1", nil)
				}
			})
			b.Run("64", func(b *testing.B) {
				b.SetParallelism(32) // times two cores
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						ask(b, c, "RETURN 1", nil)
					}
				})
			})
		})
	}
}

// BenchmarkInsert is durable rows per second: every commit synced, by rows in
// one statement. ns/op is per row.
func BenchmarkInsert(b *testing.B) {
	for _, e := range surrealtest.All() {
		c := surrealtest.Open(b, e)
		ask(b, c, "DEFINE TABLE row", nil)
		var last atomic.Int64
		for _, size := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/rows=%d", e, size), func(b *testing.B) {
				for done := 0; done < b.N; done += size {
					rows := make([]map[string]any, min(size, b.N-done))
					for i := range rows {
						rows[i] = map[string]any{"id": []any{"s", last.Add(1)}, "body": []byte("forty bytes of a message, more or less..")}
					}
					ask(b, c, "INSERT INTO row $rows RETURN NONE", surreal.Vars{"rows": rows})
				}
			})
		}
	}
}

func ask(b *testing.B, c *surreal.Client, text string, vars surreal.Vars) {
	b.Helper()
	if err := c.Exec(b.Context(), text, vars); err != nil {
		b.Fatal(err)
	}
}
