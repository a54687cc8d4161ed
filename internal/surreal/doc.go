// Package surreal is a client of SurrealDB 2.6 and 3.x: RPC in CBOR over a pool of
// WebSockets.
//
// A [Client] keeps a bounded number of sockets signed in and in their database.
// A call uses the socket with the fewest calls. It ends with an answer, with its
// context, or at once when its socket is lost; the error says whether the
// server may have carried it out (see [Unknown]). A lost socket is replaced after
// a pause, which grows with each attempt; the new one serves calls when it is
// signed in and in its database. Statements fail one by one: [Results] holds the
// result of each.
//
// [Client.Live] reports notifications of live queries, each subscription on a
// socket of its own. It ends with an error when that socket is lost; the caller
// then reads from the tables what it missed.
//
// # Caveats
//
// The server keeps a session per socket, and calls go to any of them. So
// USE, LET outside of one query, and transactions over several calls do not
// work here; a transaction is one call of [Client.Transact].
//
// The text of a server's error may quote stored values. [Error.Error] leaves
// quoted text out; [Error.Text] has all of it and is not for logs.
//
// 2.6 rejects text with a zero byte: send what may hold one as bytes.
//
// An answer larger than [Options.MaxMessage] ends the socket and all calls on it:
// read in bounded pieces.
package surreal
