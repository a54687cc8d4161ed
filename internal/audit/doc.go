// Package audit makes a log verifiable for others: a reader builds the Merkle tree over
// the commits of each partition, a keeper signs checkpoints of it and keeps them
// outside the database, and the verifier finds the first commit of a log that is
// not the one that was signed.
//
// # Caveats
//
// A checkpoint protects what precedes it. What was committed after the last one
// can be cut off without a trace.
package audit
