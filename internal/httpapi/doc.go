// Package httpapi is the HTTP edge: one handler for people and programs, one
// for operators. It authenticates, bounds and reads requests, hands commands to
// the engine, and renders what was read; it decides nothing. Routes live in one
// subpackage per kind and are handed in.
//
// Errors are problem documents (RFC 9457) from one table, see [ProblemOf].
// Bodies are strict JSON that is checked twice: by the JSON gate against the Go
// type and by the schema that is published, so that neither can drift from the
// other.
//
// # Caveats
//
// huma keeps its error constructor and its rule for nullable arrays in package
// variables; importing this package sets them for the whole process.
//
// Connections are counted where they are accepted, by [Server.Listener], and
// only those of a server of [HTTPServer].
//
// net/http itself answers what it cannot read as HTTP (a malformed request
// line, headers beyond the limit) with plain text; no handler sees those.
//
// # Dependencies
//
// Packages gotong, api, auth, store and jsonx; danielgtaylor/huma for routing by
// operation and for the OpenAPI document, golang.org/x/time/rate for limits,
// the OpenTelemetry API for trace ids. Routes in the subpackages import this
// package, never the other way.
package httpapi
