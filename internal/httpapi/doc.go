// Package httpapi is the HTTP edge: one handler for users and programs, one for
// operators. It authenticates, bounds and reads requests, passes commands to
// the engine, and renders results; it decides nothing. Each kind has its routes
// in a subpackage, and they are passed in.
//
// Errors are problem documents (RFC 9457) from one table, see [ProblemOf].
// Bodies are strict JSON that is checked twice, against the Go type and against
// the published schema, so that the two cannot drift apart.
//
// # Caveats
//
// huma keeps its error constructor and its rule for nullable arrays in package
// variables; importing this package sets them for the whole process.
//
// Connections are counted where they are accepted, by [Server.Listener], and
// only for a server of [HTTPServer].
//
// net/http itself answers what is not readable as HTTP (a malformed request
// line, headers beyond the limit) with plain text; no handler sees such
// requests.
package httpapi
