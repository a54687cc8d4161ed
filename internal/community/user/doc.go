// Package user holds the rules of accounts on the platform: an account is
// created, has one platform role, and can be disabled.
//
// # Caveats
//
// Persons appear in the log as opaque ids. The e-mail address and the user
// name of a user.register become claims, so that both are unique ignoring
// case, and are in no event and no document; internal/auth keeps them, like the
// password, in registers under the derived id ([StreamOf]).
//
// A new user name is of plain Latin letters and digits, and must not look like
// one that is taken ([Look]). This is checked only when an account is created, so
// older names continue to work; but their looks are not claimed. Two letters that look like one (rn and m) are not
// caught: too many honest names have them.
//
// The first account has no special rights: roles are given by an admin
// or by the server itself.
package user
