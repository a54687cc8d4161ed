package importer

import (
	"strings"
	"time"
)

// order is the order of the parts of a date.
type order [3]int // the places of year, month and day

var (
	yearFirst  = order{0, 1, 2}
	dayFirst   = order{2, 1, 0}
	monthFirst = order{2, 0, 1}
)

// evidence is what was decided about a WhatsApp export as a whole.
type evidence struct {
	Order   string // of the parts of its dates, and why
	Guessed bool   // nothing in the file decides the order
	Years   bool   // dates without a year got one that nothing in the file decides
}

// dateOrder decides whether an export writes the day or the month first. A part
// greater than 12 proves it. Else time must not go backwards, nor beyond latest.
// Else it is a guess: the month with AM/PM, slashes and a short year, as in the
// United States, and the day otherwise.
func (v *evidence) dateOrder(records []waRecord, s Source) order {
	switch s.Dates {
	case "dmy":
		v.Order = "day first, as --dates says"
		return dayFirst
	case "mdy":
		v.Order = "month first, as --dates says"
		return monthFirst
	}
	c := countDates(records, s.Latest)
	choose := func(month, guessed bool, why string) order {
		v.Guessed = guessed
		if month {
			v.Order = "month first: " + why
			return monthFirst
		}
		v.Order = "day first: " + why
		return dayFirst
	}
	switch {
	case c.years*2 > c.dates:
		v.Order = "year first"
		return yearFirst
	case c.dates == c.years:
		v.Order = "written so that it is clear"
		return dayFirst
	case c.votes != 0:
		return choose(c.votes > 0, false, "a number over 12 shows it")
	case c.back != 0:
		return choose(c.back > 0, false, "the dates run forward so")
	case c.future != 0:
		return choose(c.future > 0, false, "else it would have dates in the future")
	default:
		return choose(c.american*2 > c.dates, true, "a guess, because nothing in the file decides it (--dates dmy or mdy does)")
	}
}

// dateCount counts what speaks for one order; positive numbers for the month first.
type dateCount struct {
	dates, years, american int
	votes, back, future    int
}

func countDates(records []waRecord, latest time.Time) (c dateCount) {
	var lastD, lastM time.Time
	for _, r := range records {
		if r.broken != "" || r.named {
			continue
		}
		c.dates++
		a, b := atoi(r.date[0]), atoi(r.date[1])
		switch {
		case r.startsWithYear():
			c.years++
			continue
		case a > 12 && b <= 12:
			c.votes--
		case b > 12 && a <= 12:
			c.votes++
		}
		if r.half && len(r.date[2]) == 2 && r.slashes {
			c.american++
		}
		d, okD := r.day(dayFirst)
		m, okM := r.day(monthFirst)
		if okD && okM {
			c.back += later(lastD, d) - later(lastM, m)
			c.future += later(d, latest) - later(m, latest)
			lastD, lastM = d, m
		}
	}
	return c
}

// later is 1 if a is after b, and both are known.
func later(a, b time.Time) int {
	if !b.IsZero() && a.After(b) {
		return 1
	}
	return 0
}

// startsWithYear reports dates whose first part can only be a year or an era.
func (r waRecord) startsWithYear() bool {
	n := atoi(r.date[0])
	return len(r.date[0]) > 2 || n == 0 || n > 31
}

// when returns the record's wall clock; false if there is no such date. One that does not exist in
// the file's order, but in another, has that: whether a line can be read must not depend on the
// lines that follow it.
func (r waRecord) when(o order) (time.Time, bool) {
	day, ok := r.day(yearFirst)
	if !r.startsWithYear() {
		d, okD := r.day(dayFirst)
		m, okM := r.day(monthFirst)
		switch {
		case o == yearFirst && ok:
		case okD && (o != monthFirst || !okM):
			day = d
		default:
			day = m
		}
		ok = okD || okM
	}
	return day.Add(time.Duration(r.hour)*time.Hour + time.Duration(r.minute)*time.Minute + time.Duration(r.second)*time.Second), ok
}

func (r waRecord) day(o order) (time.Time, bool) {
	year, ok := fullYear(r.date[o[0]])
	month, d := atoi(r.date[o[1]]), atoi(r.date[o[2]])
	t := time.Date(year, time.Month(month), d, 0, 0, 0, 0, time.UTC)
	return t, ok && t.Year() == year && t.Month() == time.Month(month) && t.Day() == d
}

// fullYear returns the year of the common era: of two digits, in the Buddhist
// calendar, since a Japanese era began, or of the Republic of China.
func fullYear(s string) (int, bool) {
	year := 0
	switch {
	case strings.HasPrefix(s, "R"):
		year = atoi(s[1:]) + 2018
	case strings.HasPrefix(s, "H"):
		year = atoi(s[1:]) + 1988
	case len(s) == 2:
		year = atoi(s) + 2000
	case len(s) == 3:
		year = atoi(s) + 1911
	case len(s) == 4:
		if year = atoi(s); year > 2400 {
			year -= 543
		}
	}
	return year, year >= 1990 && year < 2200
}

// fillYears adds the year to dates that have none. The last date gets the newest year that
// does not put it after latest. Before it, each step back over a new year takes one off; a
// step of less than a month is a clock that was wrong.
func (v *evidence) fillYears(records []waRecord, latest time.Time) {
	const oldest = 2004 // before any export; a leap year
	year, next := latest.Year(), latest
	for i := len(records) - 1; i >= 0; i-- {
		r := &records[i]
		if r.broken != "" || !r.named || r.date[0] != "" {
			continue
		}
		r.noYear, v.Years = true, true
		for y := year; y >= max(oldest, year-8); y-- { // the 29th of February is in every fourth year, or eighth
			d := time.Date(y, time.Month(atoi(r.date[1])), atoi(r.date[2]), 0, 0, 0, 0, time.UTC)
			if d.Day() == atoi(r.date[2]) && !d.After(next) {
				year, next = y, d.AddDate(0, 1, 0)
				break
			}
		}
		r.date[0] = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006")
	}
}
