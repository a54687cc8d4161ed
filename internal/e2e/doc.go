// Package e2e holds tests of the whole server, and nothing else: the promises
// of the contract, proven through sockets with the real client, the real
// transports and the real store, in this process or in one that is killed.
//
// The environment variable GOTONG_CORPUS names a folder of chat exports
// (*.txt, in the irc format) for TestCorpus to import beside its own sample.
//
// # Caveats
//
// With -short everything runs in smaller numbers. Tests that need a server in
// a process of its own start this test binary again; it ends when the tests do.
package e2e
