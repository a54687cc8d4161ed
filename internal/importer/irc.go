package importer

import (
	"errors"
	"io"
	"iter"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"gotong.dev/gotong"
)

// rollover is the time by which a clock must go back to mean the next day. A
// clock that is set, or the end of summer time, goes back by an hour at most.
const rollover = 2 * time.Hour

var dateInName = regexp.MustCompile(`\d{4}-\d{2}-\d{2}`)

// errNoDate is the error for an irc export without a date.
var errNoDate = errors.New("import: an irc export holds no date: its file name must contain one, as in 2026-08-17.txt")

// ircLog is the state of the irc parser.
type ircLog struct {
	zone *time.Location
	now  time.Time // wall clock, as if it were UTC
}

func parseIRC(s Source, r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		day, err := ircDay(s)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		log := ircLog{zone: s.Zone, now: day}
		for l, err := range lines(r) {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if strings.TrimSpace(l.text) == "" && !l.tooLong {
				continue
			}
			if !yield(log.entry(l), nil) {
				return
			}
		}
	}
}

func ircDay(s Source) (time.Time, error) {
	if !s.Date.IsZero() {
		y, m, d := s.Date.Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC), nil
	}
	day, err := time.Parse(time.DateOnly, dateInName.FindString(filepath.Base(s.Name)))
	if err != nil {
		return time.Time{}, errNoDate
	}
	return day, nil
}

// entry reads one line. A line without a time has the time of the line before
// it; at the head of the export it has the day's first minute. It never takes
// the time of the next line, because a line's identity must not depend on what
// follows it: a longer export would otherwise contain different lines.
func (g *ircLog) entry(l line) Entry {
	var e Entry
	switch rest, timed := g.clock(l.text); {
	case l.tooLong:
		e = unreadable("longer than 1 MiB")
	case timed:
		e = ircSpoken(rest)
	case strings.HasPrefix(l.text, "=== "):
		e = ircMeta(strings.TrimSpace(l.text[len("=== "):]))
	case strings.HasPrefix(strings.TrimLeft(l.text, " "), "* "):
		e = ircSpoken(l.text)
	default:
		e = unreadable("it begins with neither a time nor ===")
	}
	e.Line, e.Recoded = l.no, l.recoded
	e.Stamp = g.now.Format("2006-01-02T15:04:05")
	e.At = gotong.InstantOf(wallIn(g.now, g.zone))
	return e
}

// clock removes "[hh:mm]" or "[hh:mm:ss]" from the line and advances the time.
func (g *ircLog) clock(s string) (rest string, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return s, false
	}
	text, rest, ok := strings.Cut(s[1:], "]")
	if !ok {
		return s, false
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		if t, err = time.Parse("15:04:05", text); err != nil {
			return s, false
		}
	}
	next := g.now.Truncate(24 * time.Hour).Add(time.Duration(t.Hour())*time.Hour +
		time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second)
	if g.now.Sub(next) > rollover {
		next = next.AddDate(0, 0, 1)
	}
	g.now = next
	return rest, true
}

// ircSpoken reads what follows the time: " <nick> text" or "  * nick action".
func ircSpoken(s string) Entry {
	s = strings.TrimLeft(s, " ")
	if action, ok := strings.CutPrefix(s, "* "); ok {
		return ircAction(action)
	}
	name, text, ok := strings.Cut(strings.TrimPrefix(s, "<"), ">")
	nick := ircNick(name)
	if !ok || s[0] != '<' || nick == "" {
		return unreadable("neither <nick> nor * nick follows the time")
	}
	return Entry{Kind: Message, Author: nick, Text: body(strings.TrimPrefix(text, " "))}
}

func ircAction(s string) Entry {
	name, text, _ := strings.Cut(strings.TrimSpace(s), " ")
	if !isNick(name) {
		return unreadable("an action without a nick")
	}
	return Entry{Kind: Action, Author: name, Text: strings.TrimSpace(text)}
}

// ircMeta reads what follows "=== ". Some programs also write actions there, so
// a line that begins with a nick and matches nothing else is an action.
func ircMeta(s string) Entry {
	if strings.HasPrefix(s, "mode/") || strings.HasPrefix(s, "..[topic/") || strings.HasPrefix(s, "topic/") {
		return Entry{Kind: Notice, Text: s}
	}
	if old, name, ok := strings.Cut(s, " is now known as "); ok && ircNick(old) != "" && ircNick(name) != "" {
		return Entry{Kind: Rename, Author: ircNick(old), Text: ircNick(name)}
	}
	if e, ok := ircCame(s); ok {
		return e
	}
	nick, text, ok := strings.Cut(s, " ")
	if !isNick(nick) {
		return Entry{Kind: Notice, Text: s}
	}
	if !ok {
		return unreadable("a single word follows ===")
	}
	return Entry{Kind: Action, Author: nick, Text: strings.TrimSpace(text)}
}

var ircMoves = [...]struct {
	words string
	kind  Kind
}{
	{" has joined #", Join},
	{" has left #", Leave},
	{" has quit", Leave},
	{" was kicked off #", Leave},
	{" was kicked from #", Leave},
}

// ircCame reads joins, leaves, quits and kicks: "nick [host]  has left #channel
// [reason]". The host may be missing; then the nick must be one word, because
// otherwise a sentence about leaving would count as a leave.
func ircCame(s string) (Entry, bool) {
	for _, move := range ircMoves {
		who, tail, ok := strings.Cut(s, move.words)
		if !ok {
			continue
		}
		who = strings.TrimRight(who, " ")
		if i := strings.LastIndex(who, " ["); i > 0 && strings.HasSuffix(who, "]") {
			who = ircNick(who[:i])
		}
		if !isNick(who) {
			continue
		}
		_, reason, _ := strings.Cut(tail, " ")
		return Entry{Kind: move.kind, Author: who, Text: strings.TrimSpace(reason)}, true
	}
	return Entry{}, false
}

// ircNick returns the nick of a column, without the sign of its rank and the
// spaces that some programs put after a bracket. It is empty if the column
// holds no nick.
func ircNick(s string) string {
	s = strings.ReplaceAll(s, " ", "")
	if trimmed := strings.TrimLeft(s, "@+%~&!"); isNick(trimmed) {
		return trimmed
	}
	return ""
}

// isNick reports whether s can be a nick: letters, digits, the characters that
// RFC 2812 section 2.3.1 calls special (at any place), and all characters
// beyond ASCII.
func isNick(s string) bool {
	for _, c := range s {
		switch {
		case c >= utf8.RuneSelf, c >= 'a' && c <= '}', c >= 'A' && c <= '`', c >= '0' && c <= '9', c == '-':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func unreadable(why string) Entry { return Entry{Kind: Unreadable, Text: why} }

// wallIn returns the instant at which a clock in zone shows the same as t.
func wallIn(t time.Time, zone *time.Location) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, zone)
}
