package surreal

import (
	"errors"
	"math"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// proxied is a proxy in front of a database, and how to reach that through it.
func proxied(t *testing.T, cfg surreal.Config) (*netfault.Proxy, surreal.Config) {
	t.Helper()
	p := netfault.For(t, cfg.Address)
	cfg.Address = p.Addr()
	return p, cfg
}

// TestUnknownOutcome: a commit whose question or answer was lost on the way is
// still committed, once, and told as committed.
func TestUnknownOutcome(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		c, cfg := proxied(t, surrealtest.Start(t, e))
		cfg.Sockets = 1
		s := opened(t, cfg, Options{})
		m := storetest.NewMaker(s.Epoch())
		n := uint64(0)
		for _, lose := range []func(int){c.LoseRequest, c.LoseAnswer} {
			for after := range 3 { // 0: the transaction itself; then what is asked about it
				before := c.Cuts()
				lose(after)
				batch := []store.Commit{
					m.Next(storetest.Draft{Stream: "thread/a", Events: 2}),
					m.Next(storetest.Draft{Stream: "thread/a", Events: 1}),
					m.Next(storetest.Draft{Stream: "thread/a"}),
				}
				out, err := s.Commit(t.Context(), batch)
				for i := range out {
					if out[i].Status != store.Committed {
						t.Errorf("cut after %d: commit %d is %+v", after, i, out[i])
					}
				}
				if err != nil {
					t.Fatalf("cut after %d: %v", after, err)
				}
				if lose(-1); after == 0 && c.Cuts() == before {
					t.Error("nothing was cut")
				}
				n += 2
				if out[1].Record.Position != n || headOf(t, s, "thread/a") != m.Head("thread/a") {
					t.Errorf("position %d of %d, head %+v", out[1].Record.Position, n, headOf(t, s, "thread/a"))
				}
			}
		}
		rows, err := s.ReadPartition(t.Context(), gotong.PartitionOf("thread/a"), 0, math.MaxUint64, 0)
		if err != nil || uint64(len(rows)) != n/2*3 {
			t.Errorf("%d events of %d commits: %v", len(rows), n, err)
		}
	})
}

// TestUnknownRegister: of what cannot be decided by looking, the outcome is
// said to be unknown.
func TestUnknownRegister(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		c, cfg := proxied(t, surrealtest.Start(t, e))
		cfg.Sockets = 1
		s := opened(t, cfg, Options{})
		c.LoseAnswer(0)
		key := gotong.Key{Collection: "session", Owner: "u", Name: "n"}
		if err := s.SetRegister(t.Context(), key, 0, []byte("x"), 0); !surreal.Unknown(err) {
			t.Errorf("set: %v", err)
		}
		if r, err := s.Register(t.Context(), key); err != nil || r.Version != 1 {
			t.Errorf("register %+v %v", r, err)
		}
	})
}

// TestPartOfABatch: where a batch takes two transactions and only the first
// happens, no error says that nothing was written.
func TestPartOfABatch(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		s, sealer := opened(t, cfg, Options{}), opened(t, cfg, Options{})
		check(t, operator(t, cfg).Exec(t.Context(), // when the first is written
			`DEFINE EVENT sealing ON head WHEN $event != "DELETE" THEN { UPSERT meta:sealed SET value = "elsewhere" }`, nil))
		m := storetest.NewMaker(s.Epoch())
		var batch []store.Commit
		for _, events := range []int{maxEvents / 2, maxEvents / 2, 1} {
			batch = append(batch, m.Next(storetest.Draft{Stream: "thread/a", Events: events, Bare: true}))
		}
		out, err := s.Commit(t.Context(), batch)
		if err == nil || errors.Is(err, store.ErrSealed) {
			t.Errorf("%+v, %v", out, err)
		}
		if headOf(t, sealer, "thread/a").Seq != maxEvents {
			t.Error("the first was not written")
		}
		if _, err := s.Commit(t.Context(), batch[2:]); !errors.Is(err, store.ErrSealed) {
			t.Errorf("now nothing is written: %v", err)
		}
	})
}
