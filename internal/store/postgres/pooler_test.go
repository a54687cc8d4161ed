package postgres

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/storetest"
)

// TestPooler: through a PgBouncer in transaction mode, nodes work if nothing is
// prepared. Otherwise they are not opened, and the reason is given.
func TestPooler(t *testing.T) {
	address := postgrestest.Start(t).Pooler()
	if _, err := Open(t.Context(), address, Options{}); !errors.Is(err, primary.ErrServer) || !strings.Contains(err.Error(), "default_query_exec_mode=exec") {
		t.Errorf("opened with prepared statements: %v", err)
	}
	address += "&default_query_exec_mode=exec"
	streams := []gotong.Stream{"thread/a", "thread/b", "thread/c"}
	var nodes sync.WaitGroup
	for _, stream := range streams {
		s := opened(t, address, Options{})
		m := storetest.NewMaker(s.Epoch())
		nodes.Go(func() {
			for range 10 {
				out, err := store.CommitAll(t.Context(), s, []store.Commit{m.Next(storetest.Draft{Stream: stream, Home: "group/g", Events: 2})})
				if err != nil || out[0].Status != store.Committed {
					t.Errorf("%+v %v", out, err)
					return
				}
			}
		})
	}
	nodes.Wait()
	s := opened(t, address, Options{})
	for _, stream := range streams {
		if head := headOf(t, s, stream); head.Seq != 20 {
			t.Errorf("%s has %d events", stream, head.Seq)
		}
	}
}
