// Package realtime is the three transports of the protocol gotong.v1 over one
// session: WebSocket, server-sent events and long-poll. Each is a thin loop
// that takes frames from a [live.Session] and writes them. The session decides
// what is in the frames and who may see it.
//
// An idle WebSocket connection costs no goroutine on Linux, where epoll reports
// what has something to read, and one elsewhere ([conn.read], [conn.readOn]).
// Frames are handled and written by goroutines that exist only while there is
// work, so that an idle connection keeps neither a stack nor a buffer.
//
// # Caveats
//
// Events, pings, pongs and the close frame are written by different goroutines.
// They share one lock of the connection, so no frame is cut by another, and
// nothing follows a close frame.
//
// A client that accepts no byte for 30 s is disconnected rather than closed
// with 4408: a close frame could not reach it either. A connection opened with
// a ticket is not verified again until it expires or its login ends, because
// there is no token to verify.
package realtime
