// Package netfault is a TCP proxy that breaks connections on purpose: it cuts,
// delays, holds, keeps, refuses and loses what passes. Tests put it between clients
// and servers; `gotong gates` puts it between a store and its database.
//
// # Caveats
//
// It counts pieces, not messages: a piece is what one read returns. A protocol
// that sends pings, or several messages at once, shifts the count.
package netfault
