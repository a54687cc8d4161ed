package surreal

import (
	"errors"
	"testing"

	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// proxied returns a proxy in front of a database, and the config of the database
// through it.
func proxied(t *testing.T, cfg surreal.Config) (*netfault.Proxy, surreal.Config) {
	t.Helper()
	p := netfault.For(t, cfg.Address)
	cfg.Address = p.Addr()
	return p, cfg
}

// TestPartOfABatchLeavesTheOutcomeUnknown: if a batch needs two transactions and
// only the first one is carried out, no error says that nothing was written.
func TestPartOfABatchLeavesTheOutcomeUnknown(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		s, sealer := opened(t, cfg, Options{}), opened(t, cfg, Options{})
		check(t, operator(t, cfg).Exec(t.Context(), // when the first is written
			`DEFINE EVENT sealing ON head WHEN $event != "DELETE" THEN { UPSERT meta:sealed SET value = "elsewhere" }`, nil))
		m := storetest.NewMaker(s.Epoch())
		var batch []store.Commit
		for _, events := range []int{store.MaxCommitEvents, store.MaxCommitEvents, 1} {
			batch = append(batch, m.Next(storetest.Draft{Stream: "thread/a", Events: events, Bare: true}))
		}
		out, err := store.CommitAll(t.Context(), s, batch)
		if err == nil || errors.Is(err, store.ErrSealed) {
			t.Errorf("%+v, %v", out, err)
		}
		if headOf(t, sealer, "thread/a").Seq != 2*store.MaxCommitEvents {
			t.Error("the first was not written")
		}
		if _, err := store.CommitAll(t.Context(), s, batch[2:]); !errors.Is(err, store.ErrSealed) {
			t.Errorf("now nothing is written: %v", err)
		}
	})
}
