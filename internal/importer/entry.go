package importer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"gotong.dev/gotong"
)

// Format is a format of exports.
type Format string

// The formats that can be read.
const (
	IRC        Format = "irc"
	WhatsApp   Format = "whatsapp"
	Telegram   Format = "telegram"
	Slack      Format = "slack"
	Discord    Format = "discord"
	Matrix     Format = "matrix"
	Mattermost Format = "mattermost"
)

// Kind is the kind of an entry.
type Kind string

// The kinds of entries.
const (
	Message    Kind = "message"
	Action     Kind = "action" // "* nick does something"
	Join       Kind = "join"
	Leave      Kind = "leave"      // also a quit, a kick, a removal
	Rename     Kind = "rename"     // of a person; Text is the new name
	Named      Kind = "named"      // Text is the name that the chat has from the beginning, or in the export
	Retitle    Kind = "retitle"    // Text is the new name of the chat
	Pinned     Kind = "pinned"     // ReplyTo is the message
	Deletion   Kind = "deletion"   // of a message whose text is gone: counted, not imported
	Notice     Kind = "notice"     // modes, topics, settings: counted, not imported
	Unreadable Kind = "unreadable" // Text is the reason, never the content of the line
)

// Entry is one event of an export.
type Entry struct {
	Kind       Kind
	Line       int            // the line where it begins or, in JSON, the number of the message; from 1
	Stamp      string         // the time as the export writes it, with its date
	At         gotong.Instant // the same as an instant; of minute resolution in most exports
	Author     string         // the user who spoke, joined, left or was renamed
	Person     string         // the export's id of the author; empty where names are all there is
	Text       string
	Occurrence int  // its number among entries with equal kind, stamp, author and text, from 1
	Recoded    bool // the line was not UTF-8 and was read as Windows-1252

	Chat      string   // its conversation, in an export of several
	ID        string   // of formats with ids: unique in the export and the same in every export
	ReplyTo   string   // ID of the message that this one answers or pins
	Files     []Medium // attached files
	Reactions []string // "👍 Budi, Siti": listed under the text
	Edited    bool     // the text is not the first one
	Pin       bool     // the message is pinned
}

// RequestID returns "import:" and 40 hex digits, derived from the entry's ID or,
// without one, from kind, stamp, author, text and occurrence.
func (e Entry) RequestID() string {
	sum := e.digest(e.Occurrence)
	return "import:" + hex.EncodeToString(sum[:20])
}

// requestOf returns the request id of the message with this ID; empty for none.
func requestOf(id string) string {
	if id == "" {
		return ""
	}
	return Entry{ID: id, Occurrence: 1}.RequestID()
}

func (e Entry) digest(occurrence int) [sha256.Size]byte {
	b := make([]byte, 0, 128+len(e.Text))
	author, text, _ := strings.Cut(e.Author+": "+e.Text, ": ") // a name with a colon may not have been known before
	fields := []string{string(e.Kind), e.Stamp, author, text}
	if e.ID != "" {
		fields = []string{"id", e.ID}
	}
	b = append(b, "gotong import v1"...)
	for _, field := range fields {
		b = binary.BigEndian.AppendUint64(b, uint64(len(field)))
		b = append(b, field...)
	}
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(occurrence))) //nolint:gosec // counts up from 0
}

// Source says how an export is to be read. Only Format is always needed.
type Source struct {
	Format  Format
	Name    string            // the file's name; of an irc dialect without dates it holds the date, as in 2026-08-17.txt
	Dialect string            // of irc; empty is ubuntu
	Date    time.Time         // the day on which an irc export begins, instead of the name's
	Zone    *time.Location    // the zone of its times; nil is UTC
	Self    string            // whom "You" and "Anda" mean in WhatsApp notices; empty keeps the word
	Dates   string            // "dmy" or "mdy": the order of day and month in WhatsApp; empty: by evidence
	Chat    string            // the conversation to read, of an export that holds several
	Alias   map[string]string // names that an earlier export wrote otherwise, and how
	NoMedia bool              // the bytes of attached files are left out
	Latest  time.Time         // no message is from after it, such as the file's own time; zero: not known

	whole bool // its end is known to be there, also without a line end
}

// entries is a sequence that ends with an error, if there is one.
type entries = iter.Seq2[Entry, error]

// Parse reads an irc or whatsapp export entry by entry. A line that cannot be read
// becomes an entry of kind [Unreadable]. A pair with an error ends the sequence: a
// read failed, the format is unknown, or a date is missing.
func Parse(s Source, r io.Reader) iter.Seq2[Entry, error] {
	if s.Zone == nil {
		s.Zone = time.UTC
	}
	switch s.Format {
	case IRC:
		return number(s.renamed(parseIRC(s, r, &evidence{})))
	case WhatsApp:
		return number(s.renamed(parseWhatsApp(s, r, &evidence{})))
	default:
		return func(yield func(Entry, error) bool) {
			yield(Entry{}, fmt.Errorf("import: %q is no text format: want %s or %s", s.Format, IRC, WhatsApp))
		}
	}
}

// renamed applies the aliases, before entries have an identity.
func (s Source) renamed(list entries) entries {
	if len(s.Alias) == 0 {
		return list
	}
	return func(yield func(Entry, error) bool) {
		for e, err := range list {
			if name, ok := s.Alias[e.Author]; ok {
				e.Author = name
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// number counts equal entries that have no id. It remembers 16 bytes and a number
// per distinct line: some 4 MB for an export of 100,000 lines.
func number(list entries) entries {
	return func(yield func(Entry, error) bool) {
		seen := make(map[[16]byte]int32)
		for e, err := range list {
			if e.Occurrence = 1; err == nil && e.ID == "" {
				sum := e.digest(0)
				key := [16]byte(sum[:16])
				seen[key]++
				e.Occurrence = int(seen[key])
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// body returns the entry as a message: an action with its author, and under the
// text what the product has no field for.
func (e Entry) body() string {
	b := e.Text
	if e.Kind == Action && b != "" {
		b = "* " + e.Author + " " + b
	}
	var notes []string
	for _, f := range e.Files {
		if !strings.Contains(e.Text, f.Name) { // WhatsApp names the file in the text
			notes = append(notes, f.mark())
		}
	}
	notes = slices.Concat(notes, e.Reactions)
	if e.Edited {
		notes = append(notes, "[edited]")
	}
	if len(notes) == 0 {
		return b
	}
	return strings.TrimPrefix(b+"\n"+strings.Join(notes, "\n"), "\n")
}

func unreadable(why string) Entry { return Entry{Kind: Unreadable, Text: why} }
