package importer

import (
	"strings"
	"testing"
	"time"
)

// TestDateOrderFollowsTheDates: each reason for an order decides where the ones before it do not, and
// only the last is a guess.
func TestDateOrderFollowsTheDates(t *testing.T) {
	const (
		ofNumber  = "a number over 12 shows it"
		ofForward = "the dates run forward so"
		ofFuture  = "else it would have dates in the future"
		ofNothing = "a guess, because nothing in the file decides it"
	)
	march := time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)
	const morning = " AM"
	for name, c := range map[string]struct {
		lines  []string // dates, and what follows the time
		source Source
		want   string // the day of the first
		why    string
	}{
		"day beyond 12 later":      {[]string{"03/04/26", "13/04/26"}, Source{}, "2026-04-03", "day first: " + ofNumber},
		"day beyond 12 second":     {[]string{"03/04/26", "04/13/26"}, Source{}, "2026-03-04", "month first: " + ofNumber},
		"more numbers over 12":     {[]string{"03/04/26", "04/13/26", "13/04/26", "14/04/26"}, Source{}, "2026-04-03", "day first: " + ofNumber},
		"time runs forward":        {[]string{"1/2/26", "1/9/26", "2/1/26"}, Source{}, "2026-01-02", "month first: " + ofForward},
		"forward, day first":       {[]string{"2/1/26", "9/1/26", "1/2/26"}, Source{}, "2026-01-02", "day first: " + ofForward},
		"backward both ways":       {[]string{"3/4/26", "1/2/26"}, Source{}, "2026-04-03", "day first: " + ofNothing},
		"a number, not forward":    {[]string{"1/2/26", "1/9/26", "2/1/26", "13/1/26"}, Source{}, "2026-02-01", "day first: " + ofNumber},
		"forward, into the future": {[]string{"2/11/26", "1/12/26"}, Source{Latest: march}, "2026-11-02", "day first: " + ofForward},
		"not in the future":        {[]string{"03/04/26"}, Source{Latest: march}, "2026-03-04", "month first: " + ofFuture},
		"not in the future either": {[]string{"04/03/26"}, Source{Latest: march}, "2026-03-04", "day first: " + ofFuture},
		"the future, not AM":       {[]string{"04/03/26" + morning}, Source{Latest: march}, "2026-03-04", "day first: " + ofFuture},
		"both in the future":       {[]string{"04/05/26"}, Source{Latest: march}, "2026-05-04", "day first: " + ofNothing},
		"undecided is Jakarta's":   {[]string{"03/04/26"}, Source{}, "2026-04-03", "day first: " + ofNothing},
		"AM":                       {[]string{"03/04/26" + morning}, Source{}, "2026-03-04", "month first: " + ofNothing},
		"AM, a long year":          {[]string{"03/04/2026" + morning}, Source{}, "2026-04-03", "day first: " + ofNothing},
		"AM, dots":                 {[]string{"03.04.26" + morning}, Source{}, "2026-04-03", "day first: " + ofNothing},
		"AM in half of them":       {[]string{"03/04/26" + morning, "03/04/26"}, Source{}, "2026-04-03", "day first: " + ofNothing},
		"AM in most of them":       {[]string{"03/04/26" + morning, "03/04/26", "03/04/26" + morning}, Source{}, "2026-03-04", "month first: " + ofNothing},
		"year first":               {[]string{"2026/03/04", "2026/03/05", "13/04/26"}, Source{}, "2026-03-04", "year first"},
		"year first in half":       {[]string{"03/04/26", "2026/03/04", "04/13/26"}, Source{}, "2026-03-04", "month first: " + ofNumber},
		"in words":                 {[]string{"3 April 2026"}, Source{}, "2026-04-03", "written so that it is clear"},
		"--dates mdy":              {[]string{"03/04/26", "13/04/26"}, Source{Dates: "mdy"}, "2026-03-04", "month first, as --dates says"},
		"--dates dmy":              {[]string{"03/04/26", "04/13/26"}, Source{Dates: "dmy"}, "2026-04-03", "day first, as --dates says"},
	} {
		var text strings.Builder
		for _, l := range c.lines {
			date, half := strings.TrimSuffix(l, morning), ""
			if date != l {
				half = morning
			}
			text.WriteString(date + ", 10:00" + half + " - A: x\n")
		}
		v, got := evidence{}, ""
		c.source.Zone = time.UTC
		for e, err := range parseWhatsApp(c.source, strings.NewReader(text.String()), &v) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind == Message && got == "" {
				got = e.At.Time().Format(time.DateOnly)
			}
		}
		if got != c.want || strings.TrimSuffix(v.Order, " (--dates dmy or mdy does)") != c.why || v.Guessed != strings.HasSuffix(c.why, ofNothing) {
			t.Errorf("%s: %s, %s, guessed: %t; want %s, %s", name, got, v.Order, v.Guessed, c.want, c.why)
		}
	}
}
