// Package auth is the door: accounts and their passwords, logins, access
// tokens, tickets for browsers, and who a token speaks for.
//
// An account is a stream of the kind user, written by an ordinary command; its
// e-mail address and user name are claims of that commit. What must not stand
// in the log (address, name, password hash) is a register of the same commit, as
// is the first login: a sign-up is one transaction, and a retry of it sets no
// register.
//
// An access token is a short-lived JWT (RFC 7519). A login is a register
// that counts generations of tokens; its refresh token changes with each use,
// and using a spent one again ends the login. Nothing secret is stored:
// refresh tokens, tickets and device tokens are derived from the server's key,
// so that the same token can be given twice.
//
// Durations of this process lie between moments; stored instants are of the time
// of day, and one in the future counts as now.
//
// What happened to an account ([Service.Record]) is kept in registers of a day
// each, bounded, for 90 days; what admins did to it is read from its stream.
//
// # Caveats
//
// A token that was valid is trusted for up to a second before registers are
// looked at again; on the node that ends a login, not even that. Open
// connections on other nodes are found by a [Watch], which reads what the nodes
// that share a store wrote down. Any change of
// role, and disabling, ends all logins of the account for good.
//
// Of this node alone, in memory, are verdicts about tokens (a second), user names
// (a minute), hashes that wait, and, unless the store is shared, how often
// somebody guessed a password. All else is in registers, by compare-and-set.
//
// An attempt to sign up for a taken address says so (409), as the published
// contract has it; signing in does not tell whether an address is known.
//
// The fingerprint of a sign-up covers no password: a fast hash of it would
// stand in the database. A retry is checked against the slow hash instead.
//
// # Dependencies
//
// Packages gotong and store; golang-jwt/jwt/v5 and MicahParks/keyfunc/v3 for
// tokens, golang.org/x/crypto/argon2 for passwords, golang.org/x/sync.
package auth
