package main

import "context"

// step is one test that must pass.
type step struct {
	what   string
	engine string
	run    func(ctx context.Context) result
}

// engines are the supported lines of SurrealDB, with their names in tests.
var engines = []struct{ name, line string }{{"SurrealDB 3.0.x", "3"}, {"SurrealDB 2.6.x", "2"}}

const postgres = "PostgreSQL 15"

// Tests of a whole server: which user receives which events, and that none is
// lost, doubled or reordered.
const (
	leaks   = "^(TestRemoval|TestRemovalWaits|TestGone|TestSnapshotLaw)$"
	streams = "^(TestTwins|TestRetriedLeaveAndNoOp|TestResume|TestCorpus|TestLongerExport|TestKill|TestDrain)$"
)

// steps returns all steps, beginning with the quick and informative ones.
func steps(binary, scratch string) []step {
	var list []step
	add := func(what, engine string, run func(ctx context.Context) result) {
		list = append(list, step{what, engine, run})
	}
	for _, e := range engines {
		add("gates", e.name, func(ctx context.Context) result { return gates(ctx, binary, scratch, e.line) })
	}
	add("gates", postgres, func(ctx context.Context) result { return postgresGates(ctx, scratch) })
	for _, name := range []string{"memory", "sqlite"} {
		add("contract of the store", name, goTest{pkg: "./internal/store/" + name, run: "^TestStore$"}.do)
	}
	for _, e := range engines {
		add("contract of the store, and what only this one promises", e.name,
			goTest{pkg: "./internal/store/surreal", run: "^Test/^surreal" + e.line + "$"}.do)
		add("client of the database", e.name, goTest{pkg: "./internal/surreal", run: "^Test/^surreal" + e.line + "$"}.do)
	}
	add("contract of the store, and what only this one promises", postgres,
		goTest{pkg: "./internal/store/postgres", run: "^Test", flags: []string{"-tail", "20s"}}.do)
	add("contract of the bus", "one node", goTest{pkg: "./internal/bus/bustest", run: "^TestBus$"}.do)
	add("contract of the bus", "LISTEN and NOTIFY, "+postgres, goTest{pkg: "./internal/bus/postgres", run: "^Test"}.do)
	add("contract of the bus", "Redis", goTest{pkg: "./internal/bus/redis", run: "^Test"}.do)
	for _, e := range engines {
		add("contract of the bus", "live queries, "+e.name,
			goTest{pkg: "./internal/bus/livequery", run: "^TestBus$/^surreal" + e.line + "$"}.do)
	}
	for _, e := range engines {
		env := []string{"GOTONG_E2E_ENGINE=" + e.line}
		add("roles and leaks over live streams", e.name+", Redis", goTest{pkg: "./internal/e2e", run: leaks, short: true, env: env}.do)
		add("cuts, kills, retries, drains", e.name+", Redis", goTest{pkg: "./internal/e2e", run: streams, short: true, env: env}.do)
	}
	env := []string{"GOTONG_E2E_ENGINE=postgres"}
	add("roles and leaks over live streams", postgres, goTest{pkg: "./internal/e2e", run: leaks, short: true, env: env}.do)
	add("cuts, kills, retries, drains", postgres, goTest{pkg: "./internal/e2e", run: streams, short: true, env: env}.do)
	add("logins and limits of several nodes", "Redis, and live queries", goTest{pkg: "./internal/app", run: "Nodes"}.do)
	add("several nodes while everything breaks", "SurrealDB 3.0.x, Redis", goTest{pkg: "./internal/e2e", run: "^TestSeveralNodes$"}.do)
	add("several nodes while everything breaks", postgres, goTest{pkg: "./internal/e2e", run: "^TestSeveralNodesOnPostgres$"}.do)
	add("failover to a synchronous standby", postgres, goTest{pkg: "./internal/e2e", run: "^TestFailover$"}.do)
	add("copy, with cuts", "all", goTest{pkg: "./internal/copy", run: "^(TestRehearsal|TestKilledOnSurreal|TestKilledOnPostgres)$"}.do)
	add("rehearsal of the way up, over and back", "SQLite, 3.0.x, 2.6.x, "+postgres+", SQLite",
		goTest{pkg: "./internal/e2e", run: "^TestRehearsal$"}.do)
	return list
}
