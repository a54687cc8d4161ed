// Package bench measures a running server from outside, over WebSockets, and
// checks that it loses, doubles and reorders nothing meanwhile.
//
// # Schedules
//
// An open schedule fixes the instant of each post in advance, and latency counts
// from that instant, so a server (or a client) that stalls is charged for every
// post that should have gone out meanwhile. A closed schedule keeps a fixed
// number of posts in flight to find the highest rate; its latencies are those of
// a saturated server.
//
// # What is counted
//
// Each post carries a number. A connection that follows a stream expects every
// seq once, in ascending order, up to the highest seq that was acknowledged.
// Lost is a seq that did not come by the end, doubled a seq that came twice or a
// post that was committed under two seqs, out of order a seq that came after a
// higher one. Where nobody follows a stream, it is read from its start at the
// end.
//
// # Caveats
//
// The log of the server keeps every thread and post. The connections are loops
// over bytes instead of package client: a client.Conn has five goroutines and
// 76 KB and decodes every event, these have one goroutine and 6 KB, which leaves
// processors and memory to the server.
//
// # Dependencies
//
// Packages gotong, for request ids, and client, for sign-ups; the standard
// library.
package bench
