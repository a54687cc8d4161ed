// Package surrealtest gives tests a real SurrealDB: the engine of an npm
// package behind a small bridge (the folder dev/surreal, which `make install`
// fills), on rocksdb with every commit synced.
//
// [Start] shares one process per engine within a test binary and gives each
// test a namespace and a database of its own. [Launch] starts a process for one
// test alone, which may kill it and start it again on the same data.
//
// # Caveats
//
// The shared processes end when the test binary does, however that ends: they
// read the pipe that closes with it. Nothing else stops them, so a test binary
// that looks for leaked goroutines should call [Stop] first, from TestMain.
package surrealtest
