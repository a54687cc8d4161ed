// Package group holds the rules of groups and institutions: who may join, who
// may lead, and that a group with members never is without an admin. A thread
// can borrow a group's members.
//
// # Caveats
//
// There are no invitations and no requests to join yet: a group that is not
// open takes members by member.add alone. Name and description are content;
// they can be erased, everything else stays.
//
// # Dependencies
//
// Package gotong and the standard library.
package group
