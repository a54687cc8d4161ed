// Package surreal speaks to SurrealDB 2.6 and 3.x: RPC in CBOR over a pool of
// WebSockets.
//
// A [Client] keeps a bounded number of sockets signed in and in their database.
// A call takes the one with the least to do. It ends with an answer, with its
// context, or at once when its socket is lost; the error says whether the
// server may have done the work (see [Unknown]). A lost socket comes back with
// a growing pause, and serves nobody before it is signed in and in its database
// again. Statements fail one by one: [Results] holds the fate of each.
//
// [Client.Live] gives notifications of live queries, each subscription on a
// socket of its own. It ends with an error when that socket is lost: what was
// missed is then read from the tables.
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
// 2.6 refuses text with a zero byte: what may hold one goes as bytes.
//
// An answer beyond [Options.MaxMessage] costs the socket, and all calls on it:
// read in bounded pieces.
//
// # Dependencies
//
// github.com/coder/websocket, github.com/fxamacker/cbor/v2, and the standard
// library. Nothing of this module.
package surreal
