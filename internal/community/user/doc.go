// Package user holds the rules of accounts on the platform: an account comes
// to be, has one platform role, and can be disabled.
//
// # Caveats
//
// Persons appear in the log as opaque ids. The e-mail address and the user
// name of a user.register become claims, so that both are unique ignoring
// case, and are in no event and no document; who needs them keeps them, like
// the password, in registers under the derived id ([StreamOf]).
//
// Whoever registers first has no special rights: roles are given by an admin
// or by the server itself.
//
// # Dependencies
//
// Package gotong and the standard library.
package user
