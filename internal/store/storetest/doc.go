// Package storetest is the definition of the store port: a suite that every
// adapter passes whole ([Run]), makers of valid commits that need no engine
// ([Build], [Maker]), and a store that fails on demand ([Faulty]).
//
// The suite runs under go test ([Run]) and, case by case, in a program ([Parts]):
// the package does not import testing.
//
// # Dependencies
//
// Packages gotong and store, and the standard library.
package storetest
