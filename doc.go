// Package gotong holds the words of the system as pure values: streams, events,
// commands, receipts, cursors, the hash chain, and the one function that
// decides who may see an event.
//
// One idea carries everything: a command becomes a commit, and everything else
// reads commits. A [Kind] is the pure rules of one sort of stream; the engine
// runs them, a store keeps the commits, and live delivery reads them.
//
// # Caveats
//
// Nothing here reads a clock, a database or a socket. Documents passed to a
// kind are shared with other commands: treat maps and slices in them as
// read-only, and copy before changing.
package gotong
