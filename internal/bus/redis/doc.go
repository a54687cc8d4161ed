// Package redis is the bus over a Redis server: wake-ups, signals and hints by
// pub/sub, and shared allowances for rate limits ([Link.Take]).
//
// Messages go over sharded pub/sub (Redis 7.0), and over plain pub/sub on
// servers that do not support it. All keys and channels contain the
// installation's name, so that several installations can share a server.
//
// A link reconnects by itself. A connection does not show whether its
// subscription works: a subscription to a demoted server looks healthy and
// delivers nothing. Therefore each link publishes on a channel of its own, and
// reconnects if it does not receive its own messages.
//
// # Caveats
//
// Messages published during an outage are lost, except the farthest wake-up of
// each partition and ended logins. Redis holds nothing that may not be lost
// (docs/adr/0016).
package redis
