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

	"golang.org/x/text/encoding/charmap"
	unicode16 "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// maxLine bounds one line in bytes; a longer one is unreadable.
const maxLine = 1 << 20

// line is one decoded line of an export, without its end.
type line struct {
	no      int
	text    string
	recoded bool
	tooLong bool
	cut     bool // the file ends without an end of this line
}

// lines reads r line by line; LF, CRLF and a bare CR end a line. UTF-16 is
// recognised by its mark or, as Windows writes it without one, by its zero bytes.
// If reading fails, the last pair has the error.
func lines(r io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		in := bufio.NewReaderSize(&newlines{r: utf8Reader(r)}, 64<<10)
		for no := 1; ; no++ {
			raw, tooLong, err := readLine(in)
			if err != nil && !errors.Is(err, io.EOF) {
				yield(line{}, err)
				return
			}
			if err == nil || len(raw) > 0 {
				l := decode(no, raw)
				l.tooLong, l.cut = tooLong, err != nil
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

// utf8Reader decodes UTF-16, and passes on everything else.
func utf8Reader(r io.Reader) io.Reader {
	in := bufio.NewReader(r)
	head, _ := in.Peek(4) // an error comes again with the first read
	order := unicode16.LittleEndian
	switch {
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		order = unicode16.BigEndian
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), len(head) == 4 && head[2] != 0 && head[3] == 0:
	default:
		return in
	}
	return transform.NewReader(in, unicode16.UTF16(order, unicode16.UseBOM).NewDecoder())
}

// newlines turns CRLF and a bare CR into LF.
type newlines struct {
	r  io.Reader
	cr bool // the byte before was a CR
}

func (n *newlines) Read(p []byte) (int, error) {
	size, err := n.r.Read(p)
	if !n.cr && bytes.IndexByte(p[:size], '\r') < 0 { // as nearly always
		return size, err
	}
	out := p[:0]
	for _, c := range p[:size] {
		after := n.cr
		if n.cr = c == '\r'; n.cr {
			c = '\n'
		} else if after && c == '\n' {
			continue
		}
		out = append(out, c)
	}
	return len(out), err
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
			return bytes.TrimSuffix(raw, []byte("\n")), tooLong, err
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
	// Windows-1252 is the common superset of Latin-1 that chat programs wrote
	// before UTF-8. It assigns a meaning to every byte.
	text, _ := charmap.Windows1252.NewDecoder().Bytes(raw)
	return line{no: no, text: clean(string(text)), recoded: true}
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
