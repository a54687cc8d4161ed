// Package arch holds the structure of the project as tests: who may import
// whom (the table in docs/architecture.md), that every package says what it
// is, that everything that runs in the background is waited for, and that no
// version floats (docs/adr/0002-stack-versions.md against go.mod and
// tools/go.mod).
//
// # Caveats
//
// It has no code of its own. Files are read without regard to build tags, so
// that an import behind a tag counts too. Folders named testdata,
// node_modules or bin, and folders with a go.mod of their own, are not read.
package arch
