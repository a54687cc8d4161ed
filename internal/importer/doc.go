// Package importer reads chat exports and plans how they become a thread.
//
// [Parse] turns an export into entries, one per event: a message, an action, a
// join, a leave, a rename, a notice, or a line that could not be read. [Plan]
// turns entries into the steps of an import: add a member, remove a member,
// post a text. Both are pure: they read no clock and write nothing. [Run] sends
// the steps as ordinary commands.
//
// Every step has a request id that is derived from the export (kind, time,
// author, text, and the number among equal lines of that time). A second run of
// the same export therefore repeats only requests that were answered before,
// and a longer export adds only its new lines.
//
// # Formats
//
//   - irc: "[hh:mm] <nick> text", "[hh:mm]  * nick action", and lines that
//     begin with "===": joins, leaves, quits, kicks, renames, modes, topics;
//     any other such line is an action. The date is in the file's name.
//   - whatsapp: "Export chat" of Android ("17/08/26, 19:05 - Name: text") and
//     iOS ("[17/08/26 19.05.33] Name: text") in English and Indonesian.
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
// the last "and" or "dan": a contact whose name contains one of these becomes
// two.
package importer
