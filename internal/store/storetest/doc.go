// Package storetest is the definition of the store port: a suite that every
// adapter passes whole ([Run]), makers of valid commits that need no engine
// ([Build], [Maker]), and a store that fails on demand ([Faulty]).
//
// # Caveats
//
// It imports testing and belongs in tests only.
//
// # Dependencies
//
// Packages gotong and store, and the standard library.
package storetest
