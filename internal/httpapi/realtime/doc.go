// Package realtime is the three transports of the protocol gotong.v1 over one
// session: WebSocket, server-sent events and long-poll. Each is a thin loop
// that takes frames from a [live.Session] and writes them; what is in the
// frames, and who may see it, was decided before.
//
// A WebSocket connection costs one goroutine, which reads. Frames are handled
// and written by goroutines that exist only while there is work, so that an
// idle connection keeps neither a second stack nor a write buffer.
//
// # Caveats
//
// The WebSocket library reads frames and writes control frames; events are
// written around it, straight to the connection, because many waiting frames
// go out in one write. Both sides pass through one lock of the connection, so
// a frame is never cut by another, and nothing follows a close frame.
//
// Faults of the library (v1.8.9) that are fenced off here, each with a test: a
// frame that announces a negative length makes its reader panic; it looks at
// the first line of a header only and refuses in plain text; its close frame is
// lost where the client is still sending, because the socket is closed with
// unread bytes. Its asynchronous writes are unbounded and are not used.
//
// A client that takes no byte for 30 s is cut rather than closed with 4408: a
// close frame could not reach it either. What a ticket opened is not verified
// again until it expires or its login ends, for there is no token to ask about.
//
// # Dependencies
//
// Packages gotong, live, store (the codec) and httpapi (principal, problems);
// lxzan/gws.
package realtime
