// Package demo is a small neighbourhood that lives on any server: RT 05, the
// day after a flood. [Seed] makes its accounts, its group, two threads with
// their history, and a case. [Neighbourhood.Talk] keeps the neighbours talking,
// lets one of them answer guests, and takes the case through its whole track. The
// server needs the track of [Tracks].
//
// Everything happens through the client, as ordinary requests and commands of
// ordinary accounts; the package has no special access. All requests of Seed
// have ids that are derived from the Secret of [Options], so that seeding the
// same data again finds everything present and adds nothing.
//
// # Caveats
//
// The passwords are derived from the secret too. Anybody who has the secret can
// sign in as any neighbour; keep it with the data that it seeded.
package demo
