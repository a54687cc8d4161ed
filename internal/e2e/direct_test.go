package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	surrealstore "gotong.dev/gotong/internal/store/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// TestADirectThreadIsCreatedOnce: two users start their direct thread at the same
// time, each at another node. There is one, with both, and both answers name it.
func TestADirectThreadIsCreatedOnce(t *testing.T) {
	race := func(t *testing.T, stores [2]store.Whole) {
		t.Helper()
		var nodes [2]*engine.Engine
		for i, s := range stores {
			nodes[i] = engine.New(engine.Options{Store: s, Codec: store.NewCodec(app.Kinds()), Clock: clocktest.Running()})
		}
		for i := range size(20, 5) {
			users := [2]string{fmt.Sprint("ani-", i), fmt.Sprint("budi-", i)}
			stream := thread.DirectOf(users[0], users[1])
			var receipts [2]gotong.Receipt
			var errs [2]error
			both(func(node int) {
				receipts[node], errs[node] = nodes[node].Execute(t.Context(), gotong.Command{
					Stream: stream, Type: thread.CmdDirect, Data: thread.Direct{UserID: users[1-node]}, RequestID: "r", CorrelationID: "c",
					Actor: gotong.Actor{UserID: users[node], Role: gotong.RoleUser},
				})
			})
			if err := errors.Join(errs[:]...); err != nil {
				t.Fatal(err)
			}
			events := len(receipts[0].EventIDs) + len(receipts[1].EventIDs)
			snap, err := stores[1].Load(t.Context(), store.Need{Heads: []gotong.Stream{stream}, Documents: []gotong.Key{
				gotong.MemberKey(stream, users[0]), gotong.MemberKey(stream, users[1]),
			}})
			if err != nil || events != 1 || snap.Heads[stream].Seq != 1 || len(snap.Documents) != 2 ||
				receipts[0].Stream != stream || receipts[1].Stream != stream {
				t.Fatalf("%d events, head %+v, %v; %+v", events, snap.Heads[stream], err, receipts)
			}
		}
		for _, node := range nodes {
			if err := node.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		for i, s := range stores {
			if i == 0 || s != stores[0] {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	adapters(t, func(t *testing.T, open func(*testing.T) store.Whole) {
		t.Helper()
		s := open(t)
		race(t, [2]store.Whole{s, s})
	})
	t.Run("surreal", func(t *testing.T) {
		cfg, opts := surrealtest.Start(t, surrealtest.V3), surrealstore.Options{Collections: store.Collections(app.Kinds())}
		race(t, [2]store.Whole{must(surrealstore.Open(t.Context(), cfg, opts))(t), must(surrealstore.Open(t.Context(), cfg, opts))(t)})
	})
}
