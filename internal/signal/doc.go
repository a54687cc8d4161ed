// Package signal passes ephemeral notices between the sessions that follow a
// stream, on this node and on the others: who is typing, who is present, and
// that the user has marked something as read elsewhere.
//
// An [Exchange] is the signals of one node. Delivery counts the sessions of
// each stream with [Exchange.Join] and [Exchange.Leave], and hands the signals
// that the exchange shows it to the sessions. A [Queue] keeps those that wait
// for one session.
//
// # Caveats
//
// Signals are never stored and may be lost. Whether a user may send or receive
// one is not decided here: the caller asks about the access that holds at that
// moment. What another node sends is believed only in what a signal may say.
//
// # Decisions and prices
//
// Presence is shown as a state, not as changes: one frame for each session and
// burst, which replaces the one before, so that a lost frame needs no repair.
// Changes are gathered for 250 ms, and a stream is shown again after 100 ms for
// each user present, at most 10 s: a state of n users costs n frames, each as
// long as n. Of more than 50 users only the number is shown. When each change
// was shown to each user, the return of 10,000 clients spent nine tenths of its
// time on that.
//
// Presence is the union of the nodes' reports, each of the users who follow at
// that node: changes at once, all users every 20 s, and all when a node asks
// because its first user came, though not sooner than 100 ms for each of them, at
// most 10 s, after the last such answer: else one user of another node who comes
// and goes would have the whole list sent each time. A report holds for a minute or more. A node on
// which nobody follows a stream receives nothing of it and lists nobody.
package signal
