package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

// TestFailover: two nodes on a primary with a synchronous standby, while everybody
// writes and follows. While commits wait for the standby, the primary is killed and the
// standby promoted; the killed server becomes the standby, and so on. What was
// acknowledged is there, once, in one order.
// In make soak, this happens 20 times.
func TestFailover(t *testing.T) {
	t.Parallel() // it mostly waits
	rounds := 2
	switch {
	case soaking(t) > 0:
		rounds = 20
	case testing.Short():
		rounds = 1
	}
	primary, standby := postgrestest.Pair(t)
	store := fmt.Sprintf("postgres://%s@/postgres?host=127.0.0.1,127.0.0.1&port=%s,%s&sslmode=disable&target_session_attrs=read-write",
		postgrestest.User, primary.Port, standby.Port)
	at := func(string) string { return store } // the nodes find the servers themselves
	c := &cluster{t: t, db: database{store, "127.0.0.1:" + primary.Port, at}}
	c.startNodes(2)
	w := &town{cluster: c, scale: scale{nodes: 2, threads: 3, followers: 6}, seed: 20261130}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var outages []time.Duration
	w.run(ctx, func() {
		for range rounds {
			w.recovered(ctx)
			goOn := standby.Lag(primary) // commits are on the primary alone, and wait
			began := time.Now()
			primary.Kill()
			goOn()
			standby.Promote()
			w.recovered(ctx)
			outages = append(outages, time.Since(began).Round(time.Millisecond))
			primary.Follow(standby)
			primary, standby = standby, primary
		}
	})
	slices.Sort(outages)
	t.Logf("%d failovers; from the kill to the 20th acknowledgement at each node: median %v, most %v",
		rounds, outages[len(outages)/2], outages[len(outages)-1])
}
