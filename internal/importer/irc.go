package importer

import (
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"slices"
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
var errNoDate = errors.New("import: this irc export holds no date: its file name must contain one, as in 2026-08-17.txt, or --date")

// ircLog is the state of the irc parser.
type ircLog struct {
	dialect *dialect
	zone    *time.Location
	now     time.Time // wall clock, as if it were UTC
	dated   bool
	found   *evidence
}

func parseIRC(s Source, r io.Reader, v *evidence) entries {
	return func(yield func(Entry, error) bool) {
		log := ircLog{dialect: dialectOf(s.Dialect), zone: s.Zone, found: v}
		log.now, log.dated = ircDay(s)
		if log.dialect.utc {
			log.zone = time.UTC
		}
		for l, err := range lines(r) {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			l.cut = l.cut && !s.whole
			if strings.TrimSpace(l.text) == "" && !l.tooLong {
				continue
			}
			e, skip := log.entry(l)
			switch {
			case skip:
			case !log.dated && e.Kind != Unreadable:
				yield(Entry{}, errNoDate)
				return
			case !yield(e, nil):
				return
			}
		}
	}
}

func ircDay(s Source) (day time.Time, ok bool) {
	if !s.Date.IsZero() {
		y, m, d := s.Date.Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC), true
	}
	day, err := time.Parse(time.DateOnly, dateInName.FindString(filepath.Base(s.Name)))
	return day, err == nil
}

// entry reads one line. A line without a time has the time of the line before
// it; at the head of the export it has the day's first minute. It never takes
// the time of the next line, because a line's identity must not depend on what
// follows it: a longer export would otherwise contain different lines. A line that
// only tells the day, or comes from the program itself, is skipped.
func (g *ircLog) entry(l line) (e Entry, skip bool) {
	e = unreadable("it is no line of the dialect " + g.dialect.name)
	if l.tooLong {
		e = unreadable("longer than 1 MiB")
	} else if l.cut {
		e = unreadable(cutOff)
	} else if kind, m := g.dialect.match(l.text); kind != "" {
		t, layout, ok := g.dialect.time(m["t"])
		switch {
		case kind == day:
			if ok {
				g.now, g.dated = t, true
			}
			return e, true
		case kind == own:
			return e, true
		case m["t"] != "" && !ok:
			e = unreadable("its time does not exist")
		default:
			g.advance(t, layout)
			e = Entry{Kind: kind, Author: m["n"], Text: body(m["x"])}
			switch kind {
			case Rename:
				e.Text = m["o"]
			case Message:
			default:
				e.Text = strings.TrimSpace(e.Text)
			}
		}
	}
	e.Line, e.Recoded = l.no, l.recoded
	e.Stamp = g.now.Format("2006-01-02T15:04:05")
	e.At = gotong.InstantOf(wallIn(g.now, g.zone))
	return e, false
}

// advance sets the clock to a time, which may lack its year or its date.
func (g *ircLog) advance(t time.Time, layout string) {
	switch {
	case layout == "":
		return
	case strings.Contains(layout, "2006"):
		g.dated = true
	case strings.Contains(layout, "Jan"):
		if t = t.AddDate(g.now.Year()-t.Year(), 0, 0); g.now.Sub(t) > rollover {
			t, g.found.Years = t.AddDate(1, 0, 0), true
		}
	default:
		t = g.now.Truncate(24 * time.Hour).Add(t.Sub(t.Truncate(24 * time.Hour)))
		if g.now.Sub(t) > rollover {
			t = t.AddDate(0, 0, 1)
		}
	}
	g.now = t
}

// match returns the kind of the first rule that explains a line, and its parts.
func (d *dialect) match(s string) (Kind, map[string]string) {
next:
	for _, r := range d.compiled() {
		found := r.re.FindStringSubmatch(s)
		if found == nil {
			continue
		}
		m := map[string]string{}
		for i, name := range r.re.SubexpNames() {
			if found[i] != "" {
				m[name] = found[i]
			}
		}
		for _, part := range [...]string{"n", "o"} {
			if slices.Contains(r.re.SubexpNames(), part) {
				if m[part] = ircNick(m[part]); m[part] == "" {
					continue next
				}
			}
		}
		return r.kind, m
	}
	return "", nil
}

func (d *dialect) time(s string) (t time.Time, layout string, ok bool) {
	for _, layout := range d.layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, layout, true
		}
	}
	return t, "", false
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
	return len(s) <= 64 && isName(s) // one with invisible characters could pass for another
}

// wallIn returns the instant at which a clock in zone shows the same as t.
func wallIn(t time.Time, zone *time.Location) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
}
