// Package redis is the bus over a Redis server: wake-ups, signals and hints by
// pub/sub, and shared allowances for rate limits ([Link.Take]).
//
// Messages go over sharded pub/sub (Redis 7.0) and over plain pub/sub where the
// server does not know it. All keys and channels carry the installation's name,
// so that several can share a server.
//
// A link reconnects by itself. A connection does not show whether its subscription
// works: each link publishes on a channel of its own and must receive
// itself, or it connects anew. A subscription to a server that was demoted
// looks healthy and delivers nothing.
//
// # Caveats
//
// What was said while the connection was away is lost, but for the farthest
// wake-up of each partition. Redis holds nothing that may not be lost
// (docs/adr/0016).
//
// # Dependencies
//
// Packages gotong and bus; redis/rueidis, with its retries off because they
// know no deadline.
package redis
