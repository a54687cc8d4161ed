// Package client speaks to a Gotong server: requests that are repeated until
// their outcome is known, and streams that are followed over whatever
// transport the network lets through.
//
// A [Client] is the address and the token. Its methods are the server's REST
// operations. Each write carries an Idempotency-Key and is repeated with the
// same key while its outcome is unknown, so that it takes effect once however
// often the network fails.
//
// A [Conn] follows streams and sends commands. It keeps one cursor per stream,
// advanced after an event was handled; it tries WebSocket, then SSE, then
// long-polling with the same cursors, and climbs back every 30 s; it comes
// back after a cut exactly where it was. [Client.Follow] is the short way to
// one.
//
// # What a handler can rely on
//
// Events of a stream arrive in ascending seq, each at most once per Conn, none
// skipped. A handler that fails stops the Conn; its event counts as not
// handled. A program that restarts from stored [Conn.Cursors] gets the
// events after them: an event that was handled but whose cursor was not yet
// stored arrives again.
//
// # Caveats
//
// Commands of a Conn go over WebSocket only. While the network lets only SSE or
// polling through they wait for the next climb; use the REST operations there.
// They are not moved over by themselves, because the server compares a repeated
// request with the first one byte by byte.
//
// A handler may send commands on the Conn whose events it handles. A handler
// that is slow costs the stream its place in the live flow, not memory: the
// Conn stops the subscription and takes it up again where it was.
//
// Typing signals may be lost.
//
// # Dependencies
//
// github.com/coder/websocket for its contexts and concurrent writes;
// github.com/google/uuid for request ids; the root package; the standard
// library.
package client
