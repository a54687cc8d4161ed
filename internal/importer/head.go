package importer

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxHead is how much of a line its head may take, in characters.
const maxHead = 96

// halves are the words for the halves of a day, a or p.
var halves = map[string]string{
	"am": "a", "a.m.": "a", "a. m.": "a", "ص": "a", "ق.ظ": "a",
	"上午": "a", "午前": "a", "오전": "a", "sa": "a", "pg": "a", "in the morning": "a",
	"pm": "p", "p.m.": "p", "p. m.": "p", "م": "p", "ب.ظ": "p", "下午": "p", "午後": "p", "오후": "p", "ch": "p", "ptg": "p",
	"in the afternoon": "p", "in the evening": "p",
}

// monthNames are how the names of the twelve months begin, in several languages.
var monthNames = [...]string{
	"jan ene gen oca янв", "feb fév fev şub фев", "mar mär mrt maa mac мар", "apr avr abr nis апр", "may mai mei mag maj май мая",
	"jun juin giu haz июн", "jul juil lug tem июл", "aug aoû ago agu ags ogo ağu авг", "sep set eyl сен", "oct okt out ott eki окт",
	"nov kas ноя", "dec dez dic dis des déc ara дек",
}

// The head of a line, after [folded]: a date and a time in either order. Words such
// as "klo" or "a las" may stand between them.
var (
	reHalf   = `(` + alternatives(halves) + `)`
	reTime   = `(?:` + reHalf + ` ?)?(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?: ?` + reHalf + `)?`
	reDate   = `([RH]?\d{1,4})[/.\-] ?(\d{1,2})[/.\-] ?(\d{1,4})\.?(?: BE)?`
	reNamed  = `(?:\pL+, )?(?:(\d{1,2})\.? (?:de )?(\pL{3,12})\.?|(\pL{3,12})\.? (\d{1,2})),?(?: (?:de )?(\d{4}))?`
	reBetw   = `[,.]? ?(?:\pL{1,8} ){0,2}?`
	reDateAt = regexp.MustCompile(`(?i)^(\[?)(?:` + reDate + `|` + reNamed + `)` + reBetw + reTime + `(\] ?| ?- |: )`)
	reAtDate = regexp.MustCompile(`(?i)^(\[?)` + reTime + `, ?(?:` + reDate + `|` + reNamed + `)(\] ?| ?- |: )`)

	// reNear is any date with a time: what begins like this is never a continuation.
	reNear = regexp.MustCompile(`^\[?(?:\d{1,4}[/.\-] ?\d{1,2}[/.\-] ?\d{2,4}[^\pL\d]{0,4}(?:\pL{1,12}[. ]{1,2}){0,2}\d{1,2}[:.]\d{2}` +
		`|\d{1,2}[:.]\d{2}[:.\d]{0,3}[^\d]{0,8}\d{1,4}[/.\-]\d{1,2}[/.\-]\d{2,4})`)
)

func alternatives(words map[string]string) string {
	list := make([]string, 0, len(words))
	for w := range words {
		list = append(list, regexp.QuoteMeta(w))
	}
	// Longest first, so that "a.m." is not read as "a" and the rest.
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return strings.Join(list, "|")
}

// folded returns the beginning of a line as heads are matched: digits of every
// script as ASCII, every space as U+0020, the Arabic comma as a comma, and without
// format characters. at holds the place in s of each byte, and of the end.
func folded(s string) (out string, at []int) {
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n++; n > maxHead {
			break
		}
		switch {
		case unicode.Is(unicode.Cf, r):
			continue
		case r == '،':
			r = ','
		case unicode.Is(unicode.Zs, r):
			r = ' '
		case unicode.Is(unicode.Nd, r) && r > '9':
			zero := r
			for zero > r-9 && unicode.Is(unicode.Nd, zero-1) {
				zero--
			}
			r = '0' + r - zero
		}
		b.WriteRune(r)
		for len(at) < b.Len() {
			at = append(at, i)
		}
	}
	rest := len(s)
	if len(at) > 0 && n > maxHead {
		rest = at[len(at)-1]
	}
	return b.String(), append(at, rest)
}

// head is what a line begins with.
type head struct {
	shape   string    // the brackets and the order: two heads of one file have the same
	date    [3]string // as written, in ASCII digits; with a month's name: year or "", month, day
	named   bool
	clock   string // the time as written, normalised: 7:05:33 pm
	hour    int
	minute  int
	second  int
	half    bool // it has a half of the day
	slashes bool
	text    string
}

// readHead reads the head of a line. near reports that the line begins with a date
// and a time, whether they can be read or not. A month that is not known has h.named:
// only the other heads of the file tell it from another word.
func readHead(s string) (h head, ok, near bool) {
	t, at := folded(s)
	near = reNear.MatchString(t)
	m, date, clk, shape := reDateAt.FindStringSubmatchIndex(t), 2, 10, "date time"
	if m == nil {
		m, date, clk, shape = reAtDate.FindStringSubmatchIndex(t), 7, 2, "time date"
	}
	if m == nil {
		return h, false, near
	}
	group := func(i int) string {
		if m[2*i] < 0 {
			return ""
		}
		return t[m[2*i]:m[2*i+1]]
	}
	end := group(15)
	if (group(1) == "[") != strings.HasPrefix(end, "]") {
		return h, false, near
	}
	h.shape = shape + " " + group(1) + strings.TrimSpace(end)
	h.text, h.slashes = strings.TrimPrefix(s[at[m[1]]:], " "), strings.Contains(t[:m[1]], "/")
	if h.date = [3]string{group(date), group(date + 1), group(date + 2)}; h.date[0] == "" {
		h.named, h.shape = true, h.shape+" in words"
		h.date = [3]string{group(date + 7), monthOf(group(date+4) + group(date+5)), group(date+3) + group(date+6)}
		if h.date[1] == "" {
			return h, false, near || h.date[0] != ""
		}
	}
	ok = h.setClock(group(clk+1), group(clk+2), group(clk+3), halves[strings.ToLower(group(clk)+group(clk+4))])
	return h, ok, near
}

func (h *head) setClock(hour, minute, second, half string) bool {
	h.hour, h.minute, h.second = atoi(hour), atoi(minute), atoi(second)
	h.clock = hour + ":" + minute
	if second != "" {
		h.clock += ":" + second
	}
	limit := 24
	if h.half = half != ""; h.half {
		h.clock += " " + half + "m"
		limit = 13
	}
	ok := h.hour < limit && h.minute < 60 && h.second < 60
	if h.half { // hour 0 exists beside 12
		h.hour %= 12
		if half == "p" {
			h.hour += 12
		}
	}
	return ok
}

// monthOf returns the number of a month by its name; empty for another word.
func monthOf(name string) string {
	name = strings.ToLower(name)
	for i, list := range monthNames {
		for begin := range strings.SplitSeq(list, " ") {
			if strings.HasPrefix(name, begin) {
				return strconv.Itoa(i + 1)
			}
		}
	}
	return ""
}

// atoi returns the number of at most four digits; anything else is 0.
func atoi(s string) int { n, _ := strconv.Atoi(s); return n }
