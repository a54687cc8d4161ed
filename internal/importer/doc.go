// Package importer reads chat exports and plans how they become a thread.
//
// [Parse] turns an export into entries, one per thing that happened: a
// message, an action, a join, a leave, a rename, a notice, or a line that
// could not be read. [Plan] turns entries into the steps of an import: add a
// member, remove a member, post a text. Both are pure: they read no clock and
// write nothing; [Run] sends the steps as ordinary commands.
//
// Every step has a request id that derives from the export (kind,
// time, author, text, and which of several equal lines of that time it is), so
// that a second run of the same export repeats only requests that were
// answered before, and a longer export adds only its new lines.
//
// # Formats
//
//   - irc: "[hh:mm] <nick> text", "[hh:mm]  * nick action", and lines that
//     begin with "===": joins, leaves, quits, kicks, renames, modes, topics;
//     what remains of them is an action. The date is in the file's name.
//   - whatsapp: "Export chat" of Android ("17/08/26, 19:05 - Name: text") and
//     iOS ("[17/08/26 19.05.33] Name: text") in English and Indonesian.
//
// # Caveats
//
// The identity of a line is the time as the export writes it, not the instant
// it is read as: another time zone or a better guess of the order of day and
// month changes when a line was sent, never whether it is imported twice. The
// price is that the same chat exported by a phone with other settings is
// another export.
//
// An export cut in the middle of a message of several lines has another text
// for it than the whole one, hence another identity.
//
// "A longer export" is one that goes on where the shorter ended. One that
// begins earlier also adds only its new lines, but the members that the
// shorter one had to assume stay as they were added.
//
// A list of names in a WhatsApp notice ("A, B and C") is cut at commas and at
// the last "and" or "dan": a contact whose own name holds one is taken for two.
//
// # Dependencies
//
// The root package and the standard library.
package importer
