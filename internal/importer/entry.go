package importer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"time"

	"gotong.dev/gotong"
)

// Format is a format of exports.
type Format string

// The formats that can be read.
const (
	IRC      Format = "irc"
	WhatsApp Format = "whatsapp"
)

// Kind is the kind of an entry.
type Kind string

// The kinds of entries.
const (
	Message    Kind = "message"
	Action     Kind = "action" // "* nick does something"
	Join       Kind = "join"
	Leave      Kind = "leave"      // also a quit, a kick, a removal
	Rename     Kind = "rename"     // Text is the new name
	Notice     Kind = "notice"     // modes, topics, settings: counted, not imported
	Unreadable Kind = "unreadable" // Text is the reason, never the content of the line
)

// Entry is one event of an export.
type Entry struct {
	Kind       Kind
	Line       int            // the line where it begins, from 1
	Stamp      string         // the time as the export writes it, with its date
	At         gotong.Instant // the same as an instant; of minute resolution in most exports
	Author     string         // the user who spoke, joined, left or was renamed
	Text       string
	Occurrence int  // its number among entries with equal kind, stamp, author and text, from 1
	Recoded    bool // the line was not UTF-8 and was read as Windows-1252
}

// RequestID returns "import:" and 40 hex digits, derived from kind, stamp,
// author, text and occurrence.
func (e Entry) RequestID() string {
	sum := e.digest(e.Occurrence)
	return "import:" + hex.EncodeToString(sum[:20])
}

func (e Entry) digest(occurrence int) [sha256.Size]byte {
	b := make([]byte, 0, 128+len(e.Text))
	b = append(b, "gotong import v1"...)
	for _, field := range [...]string{string(e.Kind), e.Stamp, e.Author, e.Text} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(field)))
		b = append(b, field...)
	}
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(occurrence))) //nolint:gosec // counts up from 0
}

// Source describes an export and how its times are read.
type Source struct {
	Format Format
	Name   string         // the file's name; for irc it holds the date, as in 2026-08-17.txt
	Date   time.Time      // the day on which an irc export begins, instead of the name's
	Zone   *time.Location // the zone of its times; nil is UTC
	Self   string         // whom "You" and "Anda" mean in WhatsApp notices; empty keeps the word
}

// Parse reads an export entry by entry. A line that cannot be read becomes an
// entry of kind [Unreadable]. A pair with an error ends the sequence: a read
// failed, the format is unknown, or a date is missing.
func Parse(s Source, r io.Reader) iter.Seq2[Entry, error] {
	if s.Zone == nil {
		s.Zone = time.UTC
	}
	switch s.Format {
	case IRC:
		return number(parseIRC(s, r))
	case WhatsApp:
		return number(parseWhatsApp(s, r))
	default:
		return func(yield func(Entry, error) bool) {
			yield(Entry{}, fmt.Errorf("import: unknown format %q: want %s or %s", s.Format, IRC, WhatsApp))
		}
	}
}

// number counts equal entries. It remembers 32 bytes and a number per distinct
// line: some 10 MB for an export of 100,000 lines.
func number(entries iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		seen := make(map[[sha256.Size]byte]int)
		for e, err := range entries {
			if err == nil {
				key := e.digest(0)
				seen[key]++
				e.Occurrence = seen[key]
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}
