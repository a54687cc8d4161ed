// Package cases holds the rules of community cases: who takes part in one, the
// stages of its track, and the gates, votes and deadlines by which it moves from
// one stage to the next.
//
// The tracks are data: [Load] reads those that are embedded, and those of an
// operator. Events carry the terms of each gate, so a log does not depend on the
// tracks of the server that reads it.
//
// # Caveats
//
// The outcome of a gate counts exactly the votes that precede it in the log. The
// clock decides only which commands are accepted.
package cases
