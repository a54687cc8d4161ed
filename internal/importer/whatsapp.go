package importer

import (
	"fmt"
	"io"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong"
)

// maxExport bounds the part of a WhatsApp export that is held: the order of day
// and month depends on all of it. The app exports at most 40,000 messages, a
// few MB.
const maxExport = 64 << 20

var errTooBig = fmt.Errorf("import: a WhatsApp export of more than %d MiB", maxExport>>20)

// The head of a message. Direction marks and no-break spaces are as the apps
// write them; commas, dots and seconds differ with the phone's language.
const (
	reMarks = `\p{Cf}*`
	reSpace = "[ \u00a0\u202f]"
	reDate  = `(\d{1,4})[/.\-](\d{1,2})[/.\-](\d{1,4})`
	reTime  = `(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?:` + reSpace + `*([AaPp])\.?` + reSpace + `?[Mm]\.?)?`
)

var (
	androidHead = regexp.MustCompile(`^` + reMarks + reDate + `,?` + reSpace + `+` + reTime + reSpace + `+-` + reSpace + `(.*)$`)
	iosHead     = regexp.MustCompile(`^` + reMarks + `\[` + reDate + `,?` + reSpace + `+` + reTime + `\]` + reSpace + `?(.*)$`)
)

// waRecord is one message or notice, its lines joined.
type waRecord struct {
	line    int
	ios     bool
	date    [3]string // as written
	hour    int
	clock   string // the time as written, normalised: 7:05:33 pm
	minute  int
	second  int
	text    string // from after the time
	broken  string // the reason if it is unreadable
	recoded bool
}

func parseWhatsApp(s Source, r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		records, err := waRecords(r)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		order := dateOrder(records)
		for _, rec := range records {
			for _, e := range rec.entries(s, order) {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// waRecords joins the lines of an export into records.
func waRecords(r io.Reader) ([]waRecord, error) {
	var records []waRecord
	size := 0
	for l, err := range lines(r) {
		if err != nil {
			return nil, err
		}
		if size += len(l.text); size > maxExport {
			return nil, errTooBig
		}
		switch rec, ok := waHead(l); {
		case l.tooLong:
			records = append(records, waRecord{line: l.no, broken: "longer than 1 MiB"})
		case ok:
			records = append(records, rec)
		case len(records) > 0 && records[len(records)-1].broken == "":
			last := &records[len(records)-1]
			last.text += "\n" + l.text
			last.recoded = last.recoded || l.recoded
		case strings.TrimSpace(l.text) != "":
			records = append(records, waRecord{line: l.no, broken: "it belongs to no message"})
		}
	}
	return records, nil
}

// waHead reads a line that begins a message.
func waHead(l line) (waRecord, bool) {
	m, ios := androidHead.FindStringSubmatch(l.text), false
	if m == nil {
		m, ios = iosHead.FindStringSubmatch(l.text), true
	}
	if m == nil {
		return waRecord{}, false
	}
	rec := waRecord{line: l.no, ios: ios, recoded: l.recoded, date: [3]string(m[1:4]), text: m[8]}
	rec.hour, rec.minute, rec.second = number2(m[4]), number2(m[5]), number2(m[6])
	rec.clock = m[4] + ":" + m[5]
	if m[6] != "" {
		rec.clock += ":" + m[6]
	}
	half := strings.ToLower(m[7])
	if half != "" {
		rec.clock += " " + half + "m"
	}
	hour, ok := hour24(rec.hour, half)
	rec.hour = hour
	return rec, ok && rec.minute < 60 && rec.second < 60
}

// number2 returns the number of at most four digits; empty is 0.
func number2(s string) int { n, _ := strconv.Atoi(s); return n }

// hour24 converts an hour of the 12-hour clock.
func hour24(hour int, half string) (int, bool) {
	switch half {
	case "":
		return hour, hour < 24
	case "a":
		return hour % 12, hour >= 1 && hour <= 12
	default:
		return hour%12 + 12, hour >= 1 && hour <= 12
	}
}

// order is the order of the parts of a date.
type order [3]int // the places of year, month and day

var (
	yearFirst  = order{0, 1, 2}
	dayFirst   = order{2, 1, 0}
	monthFirst = order{2, 0, 1}
)

// dateOrder decides whether an export writes the day or the month first: by
// parts greater than 12 or, if there are none, by the order in which time goes
// backwards less often. A tie means day first, as in Indonesia.
func dateOrder(records []waRecord) order {
	votes, back := 0, 0 // positive: month first
	var lastD, lastM time.Time
	for _, rec := range records {
		if rec.broken != "" || len(rec.date[0]) == 4 {
			continue
		}
		switch a, b := number2(rec.date[0]), number2(rec.date[1]); {
		case a > 12 && b <= 12:
			votes--
		case b > 12 && a <= 12:
			votes++
		}
		d, okD := rec.day(dayFirst)
		m, okM := rec.day(monthFirst)
		if okD && okM {
			back += backwards(lastD, d) - backwards(lastM, m)
			lastD, lastM = d, m
		}
	}
	if votes > 0 || votes == 0 && back > 0 {
		return monthFirst
	}
	return dayFirst
}

func backwards(last, next time.Time) int {
	if next.Before(last) {
		return 1
	}
	return 0
}

// when returns the record's wall clock. A date that is impossible in this order
// is read in the other one.
func (r waRecord) when(o order) (time.Time, bool) {
	orders := []order{o, dayFirst, monthFirst}
	if len(r.date[0]) == 4 {
		orders = []order{yearFirst}
	}
	for _, o := range orders {
		if day, ok := r.day(o); ok {
			return day.Add(time.Duration(r.hour)*time.Hour + time.Duration(r.minute)*time.Minute +
				time.Duration(r.second)*time.Second), true
		}
	}
	return time.Time{}, false
}

func (r waRecord) day(o order) (time.Time, bool) {
	year, month, day := number2(r.date[o[0]]), number2(r.date[o[1]]), number2(r.date[o[2]])
	switch len(r.date[o[0]]) {
	case 2:
		year += 2000
	case 4:
	default:
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	return t, year >= 1990 && t.Year() == year && t.Month() == time.Month(month) && t.Day() == day
}

// entries returns the entries of the record: one, or one per member of a notice
// that names several.
func (r waRecord) entries(s Source, o order) []Entry {
	list := []Entry{unreadable(r.broken)}
	base := Entry{Line: r.line, Recoded: r.recoded}
	if r.broken == "" {
		base.Stamp = strings.Join(r.date[:], "/") + " " + r.clock
		at, ok := r.when(o)
		if ok {
			base.At = gotong.InstantOf(wallIn(at, s.Zone))
			list = r.parse(s)
		} else {
			list = []Entry{unreadable("the date does not exist")}
		}
	}
	for i := range list {
		list[i].Line, list[i].Recoded = base.Line, base.Recoded
		list[i].Stamp, list[i].At = base.Stamp, base.At
	}
	return list
}

// parse splits the record's text into author and message, or reads it as a
// notice.
func (r waRecord) parse(s Source) []Entry {
	author, text, spoken := cutAuthor(r.text)
	if !spoken {
		return waNotice(s, plain(r.text), true)
	}
	// iOS puts a name (the group's or the actor's) before a notice too, and a
	// mark after the name.
	marked := r.ios && strings.HasPrefix(text, "\u200e")
	text = body(trimMarks(text))
	if marked {
		if list := waNotice(s, text, false); list != nil {
			return list
		}
	}
	if waDeleted[strings.TrimSuffix(text, ".")] || strings.HasPrefix(text, author+" ") && marked {
		return []Entry{{Kind: Notice, Text: text}}
	}
	return []Entry{{Kind: Message, Author: author, Text: text}}
}

// cutAuthor cuts "Name: text". If a quotation mark precedes the colon, the line
// is a notice that quotes a subject, not a name.
func cutAuthor(s string) (author, text string, ok bool) {
	author, text, ok = strings.Cut(s, ": ")
	if !ok {
		first, rest, _ := strings.Cut(s, "\n")
		if author, ok = strings.CutSuffix(strings.TrimRight(first, " "), ":"); !ok {
			return "", "", false
		}
		text = rest
	}
	author = asName(author)
	return author, text, isName(author) && !strings.ContainsAny(author, "\"“”")
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
