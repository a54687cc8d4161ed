// Package app puts the server together. It alone knows every part: which kinds
// there are, which store an address means, who receives which commit,
// and the order of start and stop.
//
// A new kind needs its package under community, its routes, and one line in
// the table of kinds.
//
// # Caveats
//
// [New] opens the store and listens; [App.Run] must be called after it, also to
// close what was opened.
//
// # Dependencies
//
// Every package of the module.
package app
