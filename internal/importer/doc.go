// Package importer reads chat exports and plans how they become a thread.
//
// # Design
//
// A format turns an export into entries, one per event: a message, an action, a
// join, a leave, a rename, a notice, a deletion, a name of the chat, or what could
// not be read. It has two parts: [Open] recognises it by the head of the file, and
// a parser yields its entries (time, author, text, id, the id it answers, files,
// reactions, pins). Dialects and languages are tables, not code.
//
// [File.Survey] is the first pass. It reads the whole file, counts everything that
// could and could not be read, decides about the dialect and the order of day and
// month, and rejects the file with a [RejectionError] if too little of it was
// understood. Nothing is created before it ends. [File.Entries] is the second
// pass: [Plan] turns its entries into steps (add a member, remove a member, post,
// pin, name the thread), and [Run] sends the steps as ordinary commands. Neither
// pass holds the export in memory, except a WhatsApp one, which is small and whose
// dates need evidence from everywhere. Parsers and plan are pure: they read no
// clock and write nothing.
//
// Every step has a request id. Formats without ids derive it from the export (kind,
// time as written, author, text, and the number among equal lines of that time),
// formats with ids from chat and message. A second run of the same export therefore
// repeats only requests that were answered before, and a longer export adds only its
// new lines. Two parts of one export add up to the whole if they share at least one
// minute with all its lines.
//
// # Caveats
//
// A line is identified by its time as the export writes it, not by the instant:
// another time zone, or another decision about the order of day and month,
// changes when a line was sent, never whether it is imported twice. The price
// is that the same chat, exported by a phone with other settings, counts as
// another export.
//
// If an export ends in the middle of a message of several lines, the message
// has another text than in a complete export, and therefore another identity.
//
// "A longer export" continues where the shorter one ended. An export that
// begins earlier also adds only its new lines, but the members that the shorter
// one had to assume stay as they were added.
//
// A list of names in a WhatsApp notice ("A, B and C") is cut at commas and at
// the last "and" of the language: a contact whose name contains one of these
// becomes two.
package importer
