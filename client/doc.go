// Package client is a client of a Gotong server. It repeats requests until
// their outcome is known, and follows streams over the best transport that the
// network allows.
//
// A [Client] is the address and the token. Its methods are the server's REST
// operations. Each write carries an Idempotency-Key and is repeated with the
// same key while its outcome is unknown, so that it takes effect once however
// often the network fails.
//
// A [Conn] follows streams and sends commands. It keeps one cursor per stream,
// which advances after an event was handled. It tries WebSocket, then SSE, then
// long-polling with the same cursors, and tries the better transports again
// every 30 s. After a lost connection it continues exactly where it was.
// [Client.Follow] is a shortcut for programs that only follow.
//
// # What a handler can rely on
//
// Events of a stream arrive in ascending seq, each at most once per Conn, and
// none is skipped. A handler that fails ends the Conn; its event counts as not
// handled. A program that restarts from stored [Conn.Cursors] gets the events
// after them: an event that was handled but whose cursor was not yet stored
// arrives again.
//
// # Caveats
//
// Commands of a Conn go over WebSocket only. While the network allows only SSE
// or polling, they wait for a WebSocket; use the REST operations there. The
// Conn does not send them over REST, because the server compares a repeated
// request with the first one byte by byte.
//
// A handler may send commands on the Conn whose events it handles. A slow
// handler does not cost memory: the Conn ends the subscription of its stream,
// and subscribes again from the same cursor when the handler has caught up.
//
// Typing signals may be lost.
package client
