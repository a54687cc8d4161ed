package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// kilat is a track whose windows are seconds, because the clocks of nodes that share a
// database cannot be set.
const kilat = `
profiles:
  pilih:  {gate: vote, window: 4s, quorum: 60, threshold: 50}
  rembuk: {gate: consent, window: 4s, vote: pilih}
tracks:
  kilat: {stages: [keresahan, bahas], edges: [{from: keresahan, to: bahas, gate: rembuk}]}
`

// TestReadersAndJobsOfAKilledNode: three processes share one database, and one is
// killed while jobs are due everywhere. The others take over its partitions and its
// jobs: each gate closes once, no job is left, and the documents of every reader are
// what the events make.
func TestReadersAndJobsOfAKilledNode(t *testing.T) {
	t.Parallel() // it mostly waits, at most for the leases of the killed node
	tracks := filepath.Join(t.TempDir(), "kilat.yaml")
	if err := os.WriteFile(tracks, []byte(kilat), 0o600); err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, 3, tracksEnv+"="+tracks)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var affairs []gotong.Stream
	open := func(n int, nodes []*member) {
		for i := range n {
			affairs = append(affairs, openCase(ctx, t, nodes[i%len(nodes)].url(), fmt.Sprintf("rt%02d", len(affairs))))
		}
	}
	follower := dial(t, c.nodes[1].url(), "ani")
	closed := func(list []gotong.Stream) {
		t.Helper()
		for _, s := range list {
			err := follower.Follow(ctx, map[gotong.Stream]client.From{s: client.Start}, func(e client.Event) error {
				if e.Type == cases.EvApplied || e.Type == cases.EvRejected {
					return errEnough
				}
				return nil
			})
			if !errors.Is(err, errEnough) {
				t.Fatalf("%s does not close: %v", s, err)
			}
		}
	}
	open(9, c.nodes)
	closed(affairs[:1]) // now the others are due, or soon
	c.nodes[0].kill()
	open(6, c.nodes[1:])
	closed(affairs)

	s := openStore(t, c.db.store)
	defer func() { _ = s.Close() }()
	settled(ctx, t, s)
	for _, m := range c.nodes[1:] {
		m.signal(syscall.SIGTERM)
		if err := m.child.cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", m.name, err)
		}
	}
	for _, stop := range must(s.FindRegisters(ctx, store.KeyRange{Collection: "reader", Owner: "stop", To: "~"}))(t) {
		t.Errorf("a reader stopped: %s %s", stop.Key.Name, stop.Body)
	}
	log := checkLog(t, s)
	for _, affair := range affairs {
		checkGates(t, log.streams[affair])
	}
	for _, r := range app.Readers() {
		err := reader.Compare(ctx, s, &r, 0, func(d reader.Difference) { t.Errorf("reader %s: %+v", r.Name, d) })
		if err != nil {
			t.Error(err)
		}
	}
}

var errEnough = errors.New("enough")

// openCase opens a gate with an objection and two votes; on a slow machine, some of
// them come too late.
func openCase(ctx context.Context, t *testing.T, url, scope string) gotong.Stream {
	t.Helper()
	late := func(_ any, err error) {
		t.Helper()
		if err != nil && gotong.CodeOf(err) != gotong.CodeGateClosed && gotong.CodeOf(err) != gotong.CodeConflict {
			t.Fatal(err)
		}
	}
	ani, budi := dial(t, url, "ani"), dial(t, url, "budi")
	affair := must(ani.CreateCase(ctx, client.NewCase{ScopeID: scope, Track: "kilat", Title: "Selokan"}))(t)
	must(ani.SetCaseMember(ctx, affair.CaseID, "budi", []string{"participant"}))(t)
	gate := must(ani.Propose(ctx, client.Proposal{CaseID: affair.CaseID, From: "keresahan", To: "bahas"}))(t).TransitionID
	late(budi.Object(ctx, gate, "Belum ada dana"))
	late(ani.Vote(ctx, gate, "yes"))
	late(budi.Vote(ctx, gate, "yes"))
	return affair.Stream()
}

// settled waits until no job is left and every reader has processed the log.
func settled(ctx context.Context, t *testing.T, s store.Whole) {
	t.Helper()
	for {
		jobs, err := reader.Jobs(ctx, s, false, 0)
		if err != nil {
			t.Fatal(err)
		}
		list, err := reader.List(ctx, s, app.Readers())
		if err != nil {
			t.Fatal(err)
		}
		for i := range jobs {
			if jobs[i].Dead {
				t.Fatalf("a dead job: %+v", jobs[i])
			}
		}
		behind := slices.IndexFunc(list, func(st reader.Status) bool { return st.Cursor < st.End })
		if len(jobs) == 0 && behind < 0 {
			return
		}
		if !lull(ctx, 200) {
			t.Fatalf("%d jobs are left, and of %d readers, number %d is behind", len(jobs), len(list), behind)
		}
	}
}
