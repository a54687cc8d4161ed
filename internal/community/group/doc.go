// Package group holds the rules of groups and institutions: who may join, by
// request or by invitation too, who may lead, and that a group with members never
// is without an admin. A thread can borrow a group's members.
//
// # Caveats
//
// Name, description and the message with a request are content; they can be
// erased, everything else stays. An invitation that has expired stays in its
// document, but counts as none.
package group
