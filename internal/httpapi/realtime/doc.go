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
// a frame is never cut by another.
//
// # Dependencies
//
// Packages gotong, live, store (the codec) and httpapi (principal, problems);
// lxzan/gws.
package realtime
