package importer

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// maxExport bounds the part of a WhatsApp export that is held: the order of day
// and month depends on all of it. The app exports at most 40,000 messages, a
// few MB.
const maxExport = 64 << 20

var errTooBig = fmt.Errorf("import: a WhatsApp export of more than %d MiB", maxExport>>20)

// nobody stands for an author whose name is only an invisible mark.
const nobody = "(no name)"

// waRecord is one message or notice, its lines joined.
type waRecord struct {
	head
	line    int
	broken  string // the reason if it is unreadable
	recoded bool
	noYear  bool // the year was not written
}

func parseWhatsApp(s Source, r io.Reader, v *evidence) entries {
	return func(yield func(Entry, error) bool) {
		records, err := waRecords(s, r)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		oneShape(records)
		v.fillYears(records, s.Latest)
		order := v.dateOrder(records, s)
		w := newWaReader(s)
		for _, rec := range records {
			w.hear(rec)
		}
		if name := firstOf(nameInFile(s.Name), w.group); name != "" && !yield(Entry{Kind: Named, Text: name}, nil) {
			return
		}
		w = newWaReader(s)
		for _, rec := range records {
			w.hear(rec)
			for _, e := range w.entries(rec, order) {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

func firstOf(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

// waRecords joins the lines of an export into records. What follows a head that
// cannot be read belongs to that head.
func waRecords(s Source, r io.Reader) ([]waRecord, error) {
	var records []waRecord
	size, words := 0, false // the first head has its month in words
	for l, err := range lines(r) {
		if err != nil {
			return nil, err
		}
		if size += len(l.text); size > maxExport {
			return nil, errTooBig
		}
		h, ok, near := readHead(l.text)
		rec := waRecord{head: h, line: l.no, recoded: l.recoded}
		switch {
		case l.tooLong:
			rec.broken = "longer than 1 MiB"
		case ok:
			words = words || h.named && len(records) == 0
		case near, words && h.named:
			rec.broken = "it begins with a date and a time that cannot be read"
		case len(records) > 0 && records[len(records)-1].broken != noMessage:
			last := &records[len(records)-1]
			last.text += "\n" + l.text
			last.recoded = last.recoded || l.recoded
			if l.cut && !s.whole {
				last.broken = cutOff
			}
			continue
		case strings.TrimSpace(l.text) == "":
			continue
		default:
			rec.broken = noMessage
		}
		if l.cut && !s.whole {
			rec.broken = cutOff
		}
		records = append(records, rec)
	}
	return records, nil
}

// Why records are broken.
const (
	noMessage = "it belongs to no message"
	cutOff    = "the file ends within it: it was cut off, or lacks its last line end"
)

// oneShape doubts heads of another shape than the first: they come from a text that
// quotes a chat, and its author did not write here. It is the first that counts, not
// the most, so that no line becomes doubtful in a longer export.
func oneShape(records []waRecord) {
	first := ""
	for i := range records {
		if r := &records[i]; r.broken == "" {
			if first = firstOf(first, r.shape); r.shape != first {
				r.broken = "its date has another form than the first: a quoted chat, or a second export in this file?"
			}
		}
	}
}

// waReader turns records into entries, each by what precedes it.
type waReader struct {
	Source
	group string          // in whose name iOS writes notices; empty if there is none
	begun bool            // iOS has named somebody
	names map[string]bool // that may hold a colon, as aliases and earlier notices tell them
}

func newWaReader(s Source) waReader {
	w := waReader{Source: s, names: map[string]bool{}}
	for name := range s.Alias {
		w.names[name] = true
	}
	return w
}

// hear learns the group's name from the first record of iOS, if that is a notice. An
// author who also writes messages is a person.
func (w *waReader) hear(r waRecord) {
	if group, t, ok := strings.Cut(r.text, ": \u200e"); ok && !w.begun && strings.Contains(r.shape, "[") && !ofPerson(plain(t)) {
		w.names[asName(group)] = true
	}
	author, t, ok := w.cutAuthor(r.text)
	if r.broken != "" || !ok || !strings.Contains(r.shape, "[") {
		return
	}
	notice := strings.HasPrefix(t, "\u200e") && !ofPerson(plain(t))
	if !w.begun && notice {
		w.group = author
	}
	if w.begun = true; author == w.group && !notice {
		w.group = ""
	}
}

// ofPerson reports texts that the app writes in place of a person's.
func ofPerson(t string) bool {
	for _, key := range [...]string{deleted, omitted, file} {
		if tongue, _ := find(key, t); tongue != nil {
			return true
		}
	}
	return false
}

// entries returns the entries of a record: one, or one per member of a notice that
// names several.
func (w *waReader) entries(r waRecord, o order) []Entry {
	list := []Entry{unreadable(r.broken)}
	base := Entry{Line: r.line, Recoded: r.recoded}
	if r.broken == "" {
		date := r.date
		if r.noYear {
			date[0] = ""
		}
		base.Stamp = strings.Join(date[:], "/") + " " + r.clock
		at, ok := r.when(o)
		if ok {
			base.At = gotong.InstantOf(wallIn(at, w.Zone))
			list = w.parse(r)
		} else {
			list = []Entry{unreadable("the date does not exist")}
		}
	}
	for i, e := range list {
		if e.Kind == Join || e.Kind == Leave || e.Kind == Rename {
			w.names[e.Author] = true
			w.names[firstOf(e.Text, e.Author)] = true
		}
		list[i].Line, list[i].Recoded = base.Line, base.Recoded
		list[i].Stamp, list[i].At = base.Stamp, base.At
	}
	return list
}

// parse splits the record's text into author and message, or reads it as a
// notice.
func (w *waReader) parse(r waRecord) []Entry {
	author, said, spoken := w.cutAuthor(r.text)
	// Of "A added B: C", the colon belongs to a name.
	if !spoken || !strings.Contains(r.shape, "[") && w.members(plain(author)) != nil && w.members(plain(r.text)) != nil {
		return w.notice(plain(r.text), true)
	}
	// iOS puts a name (the group's or the actor's) before a notice too, and a
	// mark after the name.
	marked := strings.Contains(r.shape, "[") && strings.HasPrefix(said, "\u200e")
	whole := plain(said)
	if t, _ := find(deleted, whole); t != nil {
		return []Entry{{Kind: Deletion, Author: author, Text: whole}}
	}
	said = body(trimMarks(said))
	if marked && !ofPerson(whole) {
		if list := w.notice(plain(said), author == w.group || strings.HasPrefix(said, author+" ")); list != nil {
			return list
		}
	}
	e := Entry{Kind: Message, Author: author, Text: said}
	if cut, ok := editedMark(said); ok {
		e.Text, e.Edited = cut, true
	}
	e.Files = attached(e.Text)
	return []Entry{e}
}

// cutAuthor cuts after the longest name that is known, else after the first colon.
func (w *waReader) cutAuthor(s string) (author, text string, ok bool) {
	line, _, _ := strings.Cut(s, "\n")
	for end := strings.LastIndex(line, ": "); end > 0; end = strings.LastIndex(line[:end], ": ") {
		if name := asName(line[:end]); w.names[name] {
			return name, s[end+2:], true
		}
	}
	return cutAuthor(s)
}

// attached returns the file in the first line of a message. iOS puts what it knows of
// the file, or a caption, before it, and a mark between.
func attached(said string) []Medium {
	first, _, _ := strings.Cut(said, "\n")
	if i := strings.LastIndex(first, "\u200e<"); i >= 0 {
		first = first[i:]
	}
	if _, m := find(file, plain(first)); m != nil {
		name := plain(m["x"])
		return []Medium{{Name: name, Path: name, note: first}}
	}
	if t, _ := find(omitted, plain(first)); t != nil {
		return []Medium{{Name: plain(first)}}
	}
	return nil
}

// cutAuthor cuts "Name: text". If a quotation mark precedes the colon, the line
// is a notice that quotes a subject, not a name. A name that is only a mark is one
// too.
func cutAuthor(s string) (author, text string, ok bool) {
	raw, text, ok := strings.Cut(s, ": ")
	if first, rest, _ := strings.Cut(s, "\n"); !ok || strings.Contains(raw, "\n") {
		if raw, ok = strings.CutSuffix(strings.TrimRight(first, " "), ":"); !ok {
			return "", "", false
		}
		text = rest
	}
	if author = asName(raw); author == "" {
		author = nobody
	}
	return author, text, isName(author) && !strings.ContainsAny(author, "\"“”„«「")
}

// plain returns a name or a notice without marks and with ordinary spaces.
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case isMark(c):
			return -1
		case c == '\u00a0' || c == '\u202f':
			return ' '
		default:
			return c
		}
	}, s)
	return strings.TrimSpace(s)
}

// trimMarks removes the marks at the beginning, which the app puts there. Marks
// inside belong to the writer's language.
func trimMarks(s string) string { return strings.TrimLeftFunc(s, isMark) }

func isMark(c rune) bool {
	return c == '\u200e' || c == '\u200f' || c >= '\u202a' && c <= '\u202e' ||
		c >= '\u2066' && c <= '\u2069' || c == '\ufeff'
}

func isName(s string) bool { return text.Name.Valid(s) }

// asName returns a name without the characters that no name may contain.
func asName(s string) string { return text.Name.Clean(text.Legible(text.Name.Clean(s))) }

// body returns a message as the server stores it.
func body(s string) string { return text.Message.Clean(s) }

// waThing matches things that are added or removed and are not people.
var waThing = regexp.MustCompile(`(?i)^(?:the|this|a|an) |^grup\b|^ikon\b|^foto\b|^komunitas\b|^deskripsi\b`)

// notice reads a notice of the app. One that is not known is a Notice if sure is
// set, and otherwise nil. A notice about a member whose name is invalid does not
// count as one about members.
func (w *waReader) notice(t string, sure bool) []Entry {
	list := w.members(t)
	valid := len(list) > 0
	for _, e := range list {
		valid = valid && isName(e.Author) && (e.Kind != Rename || isName(e.Text))
	}
	if valid {
		return list
	}
	if stands, _ := find(other, t); sure || stands != nil {
		return []Entry{{Kind: Notice, Text: t}}
	}
	return nil
}

func (w *waReader) members(t string) []Entry {
	one := func(kind Kind, tongue *tongue, who string) Entry {
		return Entry{Kind: kind, Author: w.self(tongue, who)}
	}
	if tongue, m := find(titled, t); m != nil {
		return []Entry{{Kind: Retitle, Author: w.self(tongue, m["a"]), Text: asName(m["x"])}}
	}
	if tongue, m := find(created, t); m != nil {
		list := []Entry{one(Join, tongue, m["a"])}
		if name := asName(m["x"]); name != "" {
			list = append(list, Entry{Kind: Named, Author: list[0].Author, Text: name})
		}
		return list
	}
	if tongue, m := find(came, t); m != nil {
		return []Entry{one(Join, tongue, m["a"])}
	}
	if tongue, m := find(went, t); m != nil {
		return []Entry{one(Leave, tongue, m["a"])}
	}
	if tongue, m := find(added, t); m != nil && !waThing.MatchString(m["b"]) {
		return w.each(tongue, Join, m["b"])
	}
	if tongue, m := find(removed, t); m != nil && !waThing.MatchString(m["b"]) {
		return w.each(tongue, Leave, m["b"])
	}
	if tongue, m := find(renamed, t); m != nil && !strings.Contains(t, `"`) {
		return []Entry{{Kind: Rename, Author: w.self(tongue, m["a"]), Text: w.self(tongue, m["b"])}}
	}
	return nil
}

// each returns one entry per name of a list "A, B and C".
func (w *waReader) each(t *tongue, kind Kind, names string) []Entry {
	list := strings.Split(names, ", ")
	and := " " + t.and + " "
	if last := list[len(list)-1]; t.and != "" && strings.Contains(last, and) {
		i := strings.LastIndex(last, and)
		list = append(list[:len(list)-1], strings.TrimSuffix(last[:i], ","), last[i+len(and):])
	}
	var out []Entry
	for _, name := range list {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, Entry{Kind: kind, Author: w.self(t, name)})
		}
	}
	return out
}

// self returns the name of the user who made the export if a notice says "You".
func (w *waReader) self(t *tongue, name string) string {
	name = asName(name)
	if slices.Contains(t.you, name) {
		return firstOf(w.Self, "You")
	}
	return name
}

// fileNames match how WhatsApp names its exports.
var fileNames = regexp.MustCompile(`^(?:WhatsApp[ _]Chat[ _](?:with|mit|-)|Chat[ _](?:de[ _])?WhatsApp[ _](?:dengan|con)|` +
	`Discussion[ _]WhatsApp[ _]avec|Conversa[ _]do[ _]WhatsApp[ _]com|Чат[ _]WhatsApp[ _]с)[ _](.+?)(?: \(\d+\))?\.(?:txt|zip)$`)

// nameInFile returns the name of the chat in the file's name; empty if there is none.
func nameInFile(path string) string {
	if m := fileNames.FindStringSubmatch(filepath.Base(path)); m != nil {
		return asName(strings.ReplaceAll(m[1], "_", " "))
	}
	return ""
}
