// Package auth keeps accounts and their passwords, logins, access tokens and the
// tickets of browsers, and determines which user a token speaks for.
//
// An account is a stream of the kind user, written by an ordinary command; its
// e-mail address and user name are claims of that commit. What the log must not
// hold (address, name, password hash) is a register of the same commit, as is the
// first login. So a sign-up is one transaction, and a retry sets no register.
//
// An access token is a short-lived JWT (RFC 7519). A login is a register that
// counts generations of tokens; its refresh token changes with each use, and a
// spent one that is used again ends the login. Nothing secret is stored: refresh
// tokens, tickets and device tokens are derived from the server's key, so that a
// retry can return the same token.
//
// Durations within one process are measured between moments. Stored instants are
// times of day, and one in the future counts as now.
//
// The record of an account ([Service.Record]) consists of one register per day,
// bounded, for 90 days, and of the changes by admins in the account's stream.
//
// # Caveats
//
// A valid token is accepted for up to a second before registers are read again; on
// the node that ends a login, it is rejected at once. A [Watch] closes open
// connections on other nodes: it reads the notices of the nodes that share the
// store. Any change of role, and disabling, ends all logins of the account for good.
//
// Each node keeps in memory the verdicts about tokens (for a second), user names,
// hashes that wait and, unless the store is shared, how often somebody guessed a
// password. Everything else is in registers, written by compare-and-set.
//
// A sign-up with a taken address returns 409, as the published contract requires; a
// sign-in does not reveal whether an address is known.
//
// The fingerprint of a sign-up does not cover the password, because the database
// would then hold a fast hash of it. A retry is checked against the slow hash.
package auth
