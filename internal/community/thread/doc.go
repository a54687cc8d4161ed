// Package thread holds the rules of conversations: who is a member, who may
// write, edit, delete and react, and which messages a member may read.
//
// A thread has members of its own, or borrows the active members of the group
// it was created in. A message's id is the id of its message.posted event; no
// document is written for a post, only for what later events made of it.
//
// # Caveats
//
// Old text never changes in the log, and an overlay holds none: it names the
// events that an edit, a deletion or reactions made, and reading goes through
// [Kind]'s Overlay with what of them the viewer sees.
//
// A reply, an edit or a reaction to a message that the actor cannot see is
// rejected as if the message did not exist.
//
// Imported members, whose ids begin with [ImportedPrefix], are listed but are
// not counted: nobody can hand a thread over to them.
package thread
