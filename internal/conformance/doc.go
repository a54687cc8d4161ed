// Package conformance checks whether a client, in any language, follows the rules
// of docs/protocol.md. It is a server that misbehaves on purpose, and judges a
// client by two things alone: what arrives on the wire, and the log that the
// client's adapter prints. docs/conformance.md describes the adapter's protocol
// and lists the cases.
//
// # Caveats
//
// The server speaks by script and keeps no promise of its own: it has no storage,
// no permissions and no limits.
//
// Time limits are counted in beats. A beat is 50 ms of real time and one answer of
// the adapter, so that a slow machine, or a slow client, has more time instead of
// failing. Waits of the client are judged by lower bounds of real time, by what
// the adapter reports, and by counted attempts, never by upper bounds of real time.
//
// # Dependencies
//
// github.com/coder/websocket to read the client's frames; internal/netfault for
// restarts; the root package for cursors; golang.org/x/sync; the standard library.
package conformance
