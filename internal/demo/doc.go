// Package demo is a small neighbourhood that lives on any server: RT 05, the
// day after a flood. [Seed] makes its accounts, its group, two threads and
// what was said so far; [Neighbourhood.Talk] keeps the neighbours talking, and
// has one of them answer who else says something.
//
// Everything happens through the client, as ordinary requests and commands of
// ordinary accounts: the package knows no door that others do not have. All
// that Seed does has request ids that derive from [Options].Secret, so that
// seeding again, over the same data, finds what is there and adds nothing.
//
// # Caveats
//
// The passwords derive from the secret too. Who has the secret can sign in as
// any neighbour; keep it with the data that it seeded.
//
// # Dependencies
//
// The client and the root package; the standard library.
package demo
