package app

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// readers returns every reader of this server, one row each.
func readers() []reader.Reader { return nil }

// handlers returns the handler of every queue of jobs, one row each.
func handlers(*App) []reader.Handler { return nil }

// collections returns every collection of documents: those of the kinds, then
// those of the readers.
func collections(kinds []gotong.Kind) []string {
	return append(store.Collections(kinds), reader.Collections(readers())...)
}
