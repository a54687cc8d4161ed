// Package storetest defines the store port: it has a suite of which every adapter
// passes each case ([Run]), makers of valid commits that need no engine ([Build],
// [Maker]), and a store that fails on demand ([Faulty]).
//
// The suite runs under go test ([Run]) and, case by case, in a program ([Parts]):
// the package does not import testing.
package storetest
