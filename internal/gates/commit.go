package gates

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

const probeUser = "gates"

func unused() gotong.Stream {
	return gotong.NewStream("gate", strings.ToLower(rand.Text()))
}

// write commits one draft that nothing competes with.
func (r *run) write(ctx context.Context, s store.Committer, m *storetest.Maker, d storetest.Draft) error {
	d.Actor, d.At = probeUser, r.o.Now()
	out, err := store.CommitAll(ctx, s, []store.Commit{m.Next(d)})
	if err == nil && out[0].Status != store.Committed {
		err = fmt.Errorf("a commit of a probe has status %d", out[0].Status)
	}
	return err
}
