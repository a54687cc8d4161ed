// Package bench measures a running server from outside, over WebSockets, and
// checks that it loses, doubles and reorders nothing meanwhile.
//
// # Schedules
//
// An open schedule fixes the instant of each post in advance, and latency
// counts from that instant, so a server (or a client) that stalls is charged
// for every post that should have been sent meanwhile. A closed schedule keeps
// a fixed number of posts in flight to find the highest rate; its latencies are
// those of a saturated server.
//
// # What is counted
//
// Each post carries a number. A connection that follows a stream expects every
// seq once, in ascending order, up to the highest seq that was acknowledged. A
// seq is lost if it was not received by the end, doubled if it was received
// twice or one post was committed under two seqs, and out of order if it was
// received after a higher one. A stream that no connection follows is read from
// its start at the end.
//
// # Caveats
//
// The server's log keeps every thread and post. The connections are loops over
// bytes instead of package client: a client.Conn has five goroutines and 76 KB
// and decodes every event; these have one goroutine and 6 KB, which leaves
// processors and memory to the server.
package bench
