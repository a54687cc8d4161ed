// Package gates is the go/no-go run against an operator's own SurrealDB: before
// a first start, and for every release candidate.
//
// [Run] makes a scratch namespace (or databases, where the user may not make a
// namespace) beside the operator's, runs each gate there and removes it again,
// also after a failure or an interrupt. Of the operator's own database it only
// reads the clock-free definitions and the ledger of the schema. Each gate runs
// under a deadline and gives findings: what was seen, in figures, and the way
// out where it is not good. A gate's verdict is its worst finding, and the
// report is no-go where one gate is.
//
// # Caveats
//
// A probe shows faults, not their absence: a pass says how many trials found
// none. Probes load the server for as long as [Options.For] says.
//
// A process that is killed leaves its scratch behind; the next run names it.
//
// # Dependencies
//
// Packages gotong, store (the port) and surreal (the client), and the standard
// library. The adapter is handed in.
package gates
