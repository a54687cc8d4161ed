// Package app assembles the server. It alone knows every part: the kinds, the
// store that an address names, the parts that receive each commit, and the order
// of start and stop.
//
// A new kind needs its package under community, its routes, and one line in
// the table of kinds.
//
// # Caveats
//
// [New] opens the store and listens. [App.Run] must be called after it: it also
// closes what New opened.
package app
