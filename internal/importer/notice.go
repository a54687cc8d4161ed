package importer

import (
	"regexp"
	"strings"

	"gotong.dev/gotong/internal/text"
)

// Notices of WhatsApp about members, in English and Indonesian. A passive
// sentence names only the member; an active one also names the actor, which is
// not kept.
var (
	waAdded   = regexp.MustCompile(`(?s)^(.+?) (?:added|menambahkan) (.+)$`)
	waRemoved = regexp.MustCompile(`(?s)^(.+?) (?:removed|mengeluarkan) (.+)$`)
	waRenamed = regexp.MustCompile(`^(.+?) (?:changed to|diganti ke|diganti menjadi|berubah menjadi) (.+)$`)
	waCame    = regexp.MustCompile(`^(.+?) (?:(?:was|were) added|(?:telah )?ditambahkan|` +
		`joined(?: using .*| from .*| via .*)?|` +
		`(?:telah )?bergabung(?: menggunakan .*| melalui .*| dari .*| lewat .*)?)$`)
	waWent = regexp.MustCompile(`^(.+?) (?:left|keluar|telah keluar|(?:was|were) removed|(?:telah )?dikeluarkan)` +
		`(?: the group| grup| dari grup)?$`)
	waMade = regexp.MustCompile(`^(.+?) (?:created (?:this )?group|membuat grup)\b`)

	// waStands matches notices that iOS writes in the name of the group.
	waStands = regexp.MustCompile(`^(?:Messages and calls are|Messages to this group|` +
		`Pesan dan panggilan|Pesan ke grup|Pesan yang dikirim ke grup)`)

	// waThing matches things that are added or removed and are not people.
	waThing = regexp.MustCompile(`(?i)^(?:the|this|a|an) |^grup\b|^ikon\b|^foto\b|^komunitas\b|^deskripsi\b`)
)

// waDeleted holds the texts that replace a deleted message.
var waDeleted = map[string]bool{
	"This message was deleted":           true,
	"This message was deleted by admin":  true,
	"You deleted this message":           true,
	"Pesan ini dihapus":                  true,
	"Pesan ini telah dihapus":            true,
	"Pesan ini telah dihapus oleh admin": true,
	"Anda menghapus pesan ini":           true,
	"Anda telah menghapus pesan ini":     true,
}

// waNotice reads a notice of the app. If it does not concern members, the
// result is a Notice if sure is set, and otherwise nil. A notice about a member
// whose name is invalid does not count as one about members.
func waNotice(s Source, text string, sure bool) []Entry {
	list := waMembers(s, strings.TrimSuffix(strings.TrimSpace(text), "."))
	known := len(list) > 0
	for _, e := range list {
		known = known && isName(e.Author) && (e.Kind != Rename || isName(e.Text))
	}
	switch {
	case known:
		return list
	case sure || waStands.MatchString(strings.TrimSpace(text)):
		return []Entry{{Kind: Notice, Text: strings.TrimSpace(text)}}
	default:
		return nil
	}
}

func isName(s string) bool { return text.Name.Valid(s) }

// asName returns a name without the characters that no name may contain.
func asName(s string) string { return text.Name.Clean(text.Legible(text.Name.Clean(s))) }

// body returns a message as the server stores it.
func body(s string) string { return text.Message.Clean(s) }

func waMembers(s Source, t string) []Entry {
	one := func(kind Kind, who string) []Entry {
		return []Entry{{Kind: kind, Author: self(s, who)}}
	}
	if m := waMade.FindStringSubmatch(t); m != nil {
		return one(Join, m[1])
	}
	if m := waCame.FindStringSubmatch(t); m != nil {
		return one(Join, m[1])
	}
	if m := waWent.FindStringSubmatch(t); m != nil {
		return one(Leave, m[1])
	}
	if m := waAdded.FindStringSubmatch(t); m != nil && !waThing.MatchString(m[2]) {
		return each(s, Join, m[2])
	}
	if m := waRemoved.FindStringSubmatch(t); m != nil && !waThing.MatchString(m[2]) {
		return each(s, Leave, m[2])
	}
	if m := waRenamed.FindStringSubmatch(t); m != nil && !strings.Contains(t, `"`) {
		return []Entry{{Kind: Rename, Author: self(s, m[1]), Text: self(s, m[2])}}
	}
	return nil
}

var lastAnd = regexp.MustCompile(`^(.*)(?:,? and |,? dan )(.*)$`)

// each returns one entry per name of a list "A, B and C".
func each(s Source, kind Kind, names string) []Entry {
	list := strings.Split(names, ", ")
	if m := lastAnd.FindStringSubmatch(list[len(list)-1]); m != nil {
		list = append(list[:len(list)-1], m[1], m[2])
	}
	var entries []Entry
	for _, name := range list {
		if name = strings.TrimSpace(name); name != "" {
			entries = append(entries, Entry{Kind: kind, Author: self(s, name)})
		}
	}
	return entries
}

// self returns the name of the user who made the export if a notice says "You".
func self(s Source, name string) string {
	switch name = asName(name); name {
	case "You", "you", "Anda", "anda", "Kamu", "kamu":
		if s.Self != "" {
			return s.Self
		}
		return "You"
	default:
		return name
	}
}
