package importer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds one line in bytes; a longer one is unreadable.
const maxLine = 1 << 20

// line is one decoded line of an export, without its end.
type line struct {
	no      int
	text    string
	recoded bool
	tooLong bool
}

// lines reads r line by line; LF and CRLF end a line. If reading fails, the
// last pair has the error.
func lines(r io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		for no := 1; ; no++ {
			raw, tooLong, err := readLine(in)
			if err != nil && !errors.Is(err, io.EOF) {
				yield(line{}, err)
				return
			}
			if err == nil || len(raw) > 0 {
				l := decode(no, raw)
				l.tooLong = tooLong
				if !yield(l, nil) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// readLine reads up to a newline, keeping at most maxLine bytes.
func readLine(in *bufio.Reader) (raw []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if room := maxLine - len(raw); len(part) > room {
			part, tooLong = part[:max(room, 0)], true
		}
		raw = append(raw, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimRight(raw, "\r\n"), tooLong, err
		}
	}
}

func decode(no int, raw []byte) line {
	if no == 1 {
		raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	}
	if utf8.Valid(raw) {
		return line{no: no, text: clean(string(raw))}
	}
	return line{no: no, text: clean(windows1252(raw)), recoded: true}
}

// cp1252 holds the characters of Windows-1252 in place of the control
// characters of Latin-1. The five unassigned bytes become U+FFFD.
var cp1252 = [32]rune{
	'€', 0xFFFD, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0xFFFD, 'Ž', 0xFFFD,
	0xFFFD, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0xFFFD, 'ž', 'Ÿ',
}

// windows1252 decodes a line that is not UTF-8. Windows-1252 is the common
// superset of Latin-1 that chat programs wrote before UTF-8. It assigns a
// meaning to every byte, so nothing is lost.
func windows1252(raw []byte) string {
	var b strings.Builder
	for _, c := range raw {
		if c >= 0x80 && c < 0xA0 {
			b.WriteRune(cp1252[c-0x80])
		} else {
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}

// clean removes control characters, with which IRC programs mark bold and
// colour. A tab stays; the digits of a colour are removed with it.
func clean(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case c == ircColour:
			i += len(colour(s[i:]))
		case !isControl(c):
			b.WriteRune(c)
		}
	}
	return b.String()
}

func isControl(c rune) bool { return c != '\t' && unicode.IsControl(c) }

const ircColour = '\x03'

// colour returns the digits of a colour code: up to two, and after a comma up
// to two more.
func colour(s string) string {
	n := digits(s, 2)
	if n > 0 && n < len(s) && s[n] == ',' {
		if m := digits(s[n+1:], 2); m > 0 {
			n += 1 + m
		}
	}
	return s[:n]
}

// digits counts the leading digits of s, up to limit.
func digits(s string, limit int) int {
	n := 0
	for n < len(s) && n < limit && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
