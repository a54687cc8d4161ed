// Package thread holds the rules of conversations: who is a member, who may
// write, edit, delete and react, and from where on a member may read.
//
// A thread has members of its own, or borrows the active members of the group
// it was created in. A message's id is the id of its message.posted event; no
// document is written for a post, only for what later events made of it.
//
// # Caveats
//
// Old text never changes in the log: what an edit or a deletion made of a
// message lies in its overlay, and reading goes through [Kind]'s Overlay.
//
// A reply or a reaction to a message outside the actor's visible stretches is
// refused in threads with own members. Where members are borrowed, stretches
// are seqs of the group, which a rule cannot compare with seqs of the thread;
// there it is only the reading that is bounded.
//
// Imported members, whose ids begin with [ImportedPrefix], are listed but are
// not counted: nobody can hand a thread over to them.
//
// # Dependencies
//
// Package gotong and the standard library. Of a home's kind it knows the
// collection of its members ([gotong.MemberKey]) and the names of its roles.
package thread
