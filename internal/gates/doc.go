// Package gates is the go/no-go run against an operator's own SurrealDB or
// PostgreSQL: before a first start, and for every release candidate.
//
// [Run] creates a scratch namespace beside the operator's (or databases, if the
// user may not create a namespace; on PostgreSQL schemas), runs each gate there,
// and removes it again, also after a failure or an interrupt. From the operator's
// own database it reads only definitions and the ledger of the schema. Each gate
// runs under a deadline and returns findings: what it saw, in figures, and what to
// do if that is not good. A gate's verdict is its worst finding, and the report is
// no-go if one gate is.
//
// # Caveats
//
// A probe shows faults, not their absence: a gate that passes says how many trials
// found none. Probes load the server for the time of [Options.For].
//
// A process that is killed leaves its scratch behind; the next run names it.
package gates
