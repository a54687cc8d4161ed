// Package realtime is the three transports of the protocol gotong.v1 over one
// session: WebSocket, server-sent events and long-poll. Each is a thin loop
// that takes frames from a [live.Session] and writes them. The session decides
// what is in the frames and who may see it.
//
// A WebSocket connection costs one goroutine, which reads. Frames are handled
// and written by goroutines that exist only while there is work, so that an
// idle connection keeps neither a second stack nor a write buffer.
//
// # Caveats
//
// The WebSocket library reads frames and writes control frames. Events are
// written past it, directly to the connection, because one write carries many
// frames. Both writers share one lock of the connection, so no frame is cut by
// another, and nothing follows a close frame.
//
// Faults of the library (v1.8.9) that are worked around here, each with a test:
// a frame that announces a negative length makes its reader panic; it reads
// only the first line of a header and rejects in plain text; its close frame is
// lost while the client is sending, because the socket is closed with unread
// bytes. Its asynchronous writes are unbounded and are not used.
//
// A client that accepts no byte for 30 s is disconnected rather than closed
// with 4408: a close frame could not reach it either. A connection opened with
// a ticket is not verified again until it expires or its login ends, because
// there is no token to verify.
//
// # Dependencies
//
// Packages gotong, live, store (the codec) and httpapi (principal, problems);
// lxzan/gws.
package realtime
