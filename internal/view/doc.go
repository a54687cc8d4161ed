// Package view reads streams for the users who look at them, the viewers: what
// decides a viewer's access, a page of events with what later events made of
// them, and further documents, all in one snapshot of the store.
//
// REST calls [Views.Read] for the events of one stream and [Views.Look] for the
// documents of many; catch-up calls [Views.Load], which serves many viewers with
// one read. Who may see an event is decided by
// [gotong.Access.Sees] and [gotong.Access.SeesAll] alone, on the documents of
// the snapshot that the event is from.
//
// # Caveats
//
// A stream that does not exist and a stream that the viewer may not read give
// the same error. What a query names under More is not filtered.
package view
