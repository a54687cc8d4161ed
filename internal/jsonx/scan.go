package jsonx

import (
	"bytes"
	"math"
	"strings"
	"unicode/utf8"
)

// scanner reads the grammar of JSON (RFC 8259) for [flat]. Each method that
// fails says no more than that: the strict reader finds out why.
type scanner struct {
	b  []byte
	at int
}

func (r *scanner) space() {
	for r.at < len(r.b) {
		switch r.b[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

func (r *scanner) peek() byte {
	if r.at < len(r.b) {
		return r.b[r.at]
	}
	return 0
}

func (r *scanner) take(c byte) bool {
	if r.peek() != c || r.at == len(r.b) {
		return false
	}
	r.at++
	return true
}

func (r *scanner) word(w string) bool {
	if !bytes.HasPrefix(r.b[r.at:], []byte(w)) {
		return false
	}
	r.at += len(w)
	return true
}

// next takes what stands between two values, or the end of them.
func (r *scanner) next(end byte) (more, ok bool) {
	r.space()
	if r.take(end) {
		return false, true
	}
	ok = r.take(',')
	r.space()
	return ok, ok
}

// name takes the name of a member and the colon after it. A name with escapes
// fails: it may be equal to another.
func (r *scanner) name() (name []byte, ok bool) {
	from, to, escaped, ok := r.quoted()
	if !ok || escaped {
		return nil, false
	}
	r.space()
	ok = r.take(':')
	r.space()
	return r.b[from:to], ok
}

// quoted takes a string; from and to are within its quotes.
func (r *scanner) quoted() (from, to int, escaped, ok bool) {
	if !r.take('"') {
		return 0, 0, false, false
	}
	from = r.at
	wide := false
	for r.at < len(r.b) {
		switch c := r.b[r.at]; {
		case c == '"':
			to = r.at
			r.at++
			return from, to, escaped, !wide || utf8.Valid(r.b[from:to])
		case c < ' ':
			return 0, 0, false, false
		case c == '\\':
			if escaped = true; !r.escape() {
				return 0, 0, false, false
			}
		default:
			wide = wide || c >= utf8.RuneSelf
			r.at++
		}
	}
	return 0, 0, false, false
}

// escape takes an escape. Half of a surrogate pair fails, even where the other
// half follows.
func (r *scanner) escape() bool {
	const digits = 4
	left := r.b[r.at+1:]
	switch {
	case len(left) > 0 && strings.IndexByte(`"\/bfnrt`, left[0]) >= 0:
		r.at += 2
		return true
	case len(left) <= digits || left[0] != 'u':
		return false
	}
	unit := 0
	for _, c := range left[1 : 1+digits] {
		switch {
		case c >= '0' && c <= '9':
			unit = unit<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			unit = unit<<4 | int(c|0x20-'a'+10)
		default:
			return false
		}
	}
	r.at += 2 + digits
	return unit < 0xd800 || unit > 0xdfff
}

func (r *scanner) value(m *member, f *field, depth int) (ok bool) {
	m.from = r.at
	switch f.sort {
	case text, own:
		m.from, m.to, m.escaped, ok = r.quoted()
		return ok && (f.sort == text || !m.escaped)
	case number, natural:
		m.n, ok = r.whole(f)
		return ok
	case boolean:
		if r.word("true") {
			m.n = 1
			return true
		}
		return r.word("false")
	case raw:
		ok = r.skip(depth)
		m.to = r.at
		return ok
	default:
		return false
	}
}

// whole takes a whole number of few digits, written as such, that fits.
func (r *scanner) whole(f *field) (n int64, ok bool) {
	const most = 18 // digits that surely fit into 64 bits
	minus := f.sort == number && r.take('-')
	from := r.at
	for c := r.peek(); c >= '0' && c <= '9' && r.at-from < most; c = r.peek() {
		n = n*10 + int64(c-'0')
		r.at++
	}
	switch size := r.at - from; {
	case size == 0, size > 1 && r.b[from] == '0', minus && n == 0:
		return 0, false
	case strings.IndexByte("0123456789.eE", r.peek()) >= 0: // it goes on
		return 0, false
	}
	if minus {
		n = -n
	}
	if f.sort == natural {
		return n, f.bits == 64 || n>>f.bits == 0
	}
	limit := int64(math.MaxInt64) >> (64 - f.bits)
	return n, -limit-1 <= n && n <= limit
}

// skip takes any value but null.
func (r *scanner) skip(depth int) bool {
	switch r.peek() {
	case '"':
		_, _, _, ok := r.quoted()
		return ok
	case '{':
		return depth > 0 && r.skipObject(depth)
	case '[':
		return depth > 0 && r.skipArray(depth)
	case 't':
		return r.word("true")
	case 'f':
		return r.word("false")
	default:
		return r.skipNumber()
	}
}

// skipObject takes an object of a few members with different names.
func (r *scanner) skipObject(depth int) bool {
	const most = 12
	var names [most][]byte
	r.at++
	r.space()
	for n, more := 0, !r.take('}'); more; n++ {
		name, ok := r.name()
		if !ok || n == most {
			return false
		}
		for _, other := range names[:n] {
			if bytes.Equal(name, other) {
				return false
			}
		}
		names[n] = name
		if !r.skip(depth - 1) {
			return false
		}
		if more, ok = r.next('}'); !ok {
			return false
		}
	}
	return true
}

func (r *scanner) skipArray(depth int) bool {
	r.at++
	r.space()
	for more := !r.take(']'); more; {
		if !r.skip(depth - 1) {
			return false
		}
		var ok bool
		if more, ok = r.next(']'); !ok {
			return false
		}
	}
	return true
}

func (r *scanner) skipNumber() bool {
	r.take('-')
	if !r.take('0') && !r.digits() {
		return false
	}
	if r.take('.') && !r.digits() {
		return false
	}
	if r.take('e') || r.take('E') {
		if !r.take('+') {
			r.take('-')
		}
		return r.digits()
	}
	return true
}

// digits takes at least one.
func (r *scanner) digits() bool {
	from := r.at
	for c := r.peek(); c >= '0' && c <= '9'; c = r.peek() {
		r.at++
	}
	return r.at > from
}
