package main

import (
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
)

// forgedTally writes a database with a case whose tally counts a vote that nobody
// cast; all of its hashes are right.
func forgedTally(t *testing.T, path string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	terms := cases.Terms{Gate: cases.Vote, Quorum: 30, Threshold: 50}
	tally := cases.Tallied{Gate: 2, Passed: true, Why: cases.WhyPassed, Voters: 1, Count: cases.Count{Needed: 1, Yes: 1}, Now: 2}
	c := store.Commit{Home: "scope/rt05", Request: gotong.RequestKey{Stream: "case/case-1", Actor: "ani", RequestID: "r1"}}
	head := gotong.Head{}
	for i, f := range []gotong.Fact{
		{Type: cases.EvCreated, Data: cases.Created{ScopeID: "rt05", Home: c.Home, Track: "tuntaskan", Stage: "lapor"}},
		{Type: cases.EvProposed, Data: cases.Proposed{Seq: 2, From: "lapor", To: "bahas", Terms: terms, Voters: 1, Now: 1, ClosesAt: 2}},
		{Type: cases.EvTallied, Data: tally},
		{Type: cases.EvApplied, Data: cases.Outcome{Gate: 2, Why: cases.WhyPassed, Stage: "bahas", Now: 2}},
	} {
		e := store.Event{
			Stream: c.Request.Stream, Seq: uint64(i) + 1, Partition: gotong.PartitionOf(c.Home), Position: 1, Type: f.Type,
			At: 1_700_000_000_000_000 + gotong.Instant(i), Prev: head.Chain, DataSalt: gotong.Salt{1}, ContentSalt: gotong.Salt{2},
		}
		e.ID = gotong.NewEventID(e.At, uint64(i))
		cmd := gotong.Command{Actor: gotong.Actor{UserID: "ani", Role: gotong.RoleUser}, RequestID: "r1"}
		if e.Data, e.Content, err = store.EncodeFact(&cmd, &f); err != nil {
			t.Fatal(err)
		}
		e.ContentCommit = gotong.CommitContent(e.ContentSalt, e.Content)
		e.Chain = e.Header(s.Epoch()).Chain()
		head.Chain, c.At = e.Chain, e.At
		c.Events = append(c.Events, e)
	}
	out, err := store.CommitAll(t.Context(), s, []store.Commit{c})
	if err != nil || out[0].Status != store.Committed {
		t.Fatal(out, err)
	}
}

// TestAuditCountsAgain: verify exits with 10 and names the transition, on the database
// and on a full export of it.
func TestAuditCountsAgain(t *testing.T) {
	db, file := filepath.Join(t.TempDir(), "gotong.db"), filepath.Join(t.TempDir(), "log")
	forgedTally(t, db)
	if r := command(t, nil, "export", "--store=sqlite:"+db, file); r.code != 0 {
		t.Fatal(r)
	}
	for _, what := range []string{"--store=sqlite:" + db, file} {
		r := command(t, nil, "audit", "verify", what)
		if r.code != 10 || !strings.Contains(r.err, "case/case-1, event 3") || !strings.Contains(r.err, "transition 2: the votes before the tally give") {
			t.Errorf("%s: %+v", what, r)
		}
	}
}
