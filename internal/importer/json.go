package importer

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"gotong.dev/gotong"
)

// jsonFormats are the parsers of formats that are one JSON text.
var jsonFormats = map[Format]func(Source, io.Reader) entries{
	Telegram: parseTelegram, Discord: parseDiscord, Matrix: parseMatrix, Mattermost: parseMattermost,
}

// maxElement bounds one message of a JSON export in bytes, so that memory is bounded
// whatever the size of the file.
const maxElement = 16 << 20

var errTooLong = errors.New("a message of more than 16 MiB")

// bounded fails once more than maxElement bytes were read since the last reset.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// walker yields what a parser reads from a JSON text.
type walker struct {
	d     *json.Decoder
	in    *bounded
	yield func(Entry, error) bool
	n     int  // messages so far
	done  bool // the consumer wants no more
}

var (
	errDone = errors.New("done")
	errMore = errors.New("more follows after the end of the export")
)

// ended reports whether nothing but space is left.
func (w *walker) ended() bool {
	_, err := w.d.Token()
	return errors.Is(err, io.EOF)
}

// walk parses a JSON text. What cannot be parsed ends it: from there on, nothing can.
// That is one entry that could not be read.
func walk(r io.Reader, parse func(*walker) error) entries {
	return func(yield func(Entry, error) bool) {
		in := &bounded{r: r, left: maxElement}
		w := &walker{d: json.NewDecoder(in), in: in, yield: yield}
		err := parse(w)
		if w.in.left = maxElement; err == nil && !w.ended() {
			err = errMore
		}
		var syntax *json.SyntaxError
		var mistyped *json.UnmarshalTypeError
		e := Entry{Kind: Unreadable, Line: w.n + 1}
		switch {
		case err == nil, errors.Is(err, errDone):
			return
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			e.Text = "the file ends here; the export was cut off"
		case errors.As(err, &syntax), errors.As(err, &mistyped):
			e.Text = "it is not JSON as this format has it, and neither is what follows"
		case errors.Is(err, errMore):
			e.Text = err.Error()
		case errors.Is(err, errTooLong):
			e.Text = err.Error() + ", and nothing after it can be read"
		default:
			yield(Entry{}, err)
			return
		}
		yield(e, nil)
	}
}

// put yields an entry.
func (w *walker) put(e Entry) error {
	e.Line = w.n
	if e.Kind == Message && e.Author == "" {
		e.Author = nobody
	}
	e.Author = clipped(asName(e.Author))
	if e.Author == "" && e.Kind != Notice && e.Kind != Named && e.Kind != Pinned && e.Kind != Deletion && e.Kind != Unreadable {
		e.Author = nobody
	}
	if e.Kind == Message || e.Kind == Action {
		e.Text = body(e.Text)
	}
	if w.done = !w.yield(e, nil); w.done {
		return errDone
	}
	return nil
}

// clipped returns a name of at most the 128 characters that one may have.
func clipped(s string) string {
	if r := []rune(s); len(r) > 128 {
		return strings.TrimSpace(string(r[:128]))
	}
	return s
}

// object reads an object: each is called after every key, and must read its value.
func (w *walker) object(each func(key string) error) error {
	return walkTokens(w.d, '{', func() error {
		t, err := w.d.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		w.in.left = maxElement
		return each(key)
	})
}

// array reads an array: each is called at every element, and must read it.
func (w *walker) array(each func() error) error {
	return walkTokens(w.d, '[', func() error {
		w.in.left = maxElement
		return each()
	})
}

func walkTokens(d *json.Decoder, open json.Delim, each func() error) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != open {
		return &json.UnmarshalTypeError{Value: "value"}
	}
	for d.More() {
		if err := each(); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// skip reads past a value, whatever its size.
func (w *walker) skip() error { return skipWith(w.d, func() { w.in.left = maxElement }) }

func skip(d *json.Decoder) error { return skipWith(d, func() {}) }

func skipWith(d *json.Decoder, each func()) error {
	for depth := 0; ; {
		each()
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// message decodes one message. One that has another type than expected is one that
// could not be read; ok is false then.
func (w *walker) message(into any) (ok bool, err error) {
	w.n++
	err = w.d.Decode(into)
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return false, w.put(unreadable("its " + mistyped.Field + " is no " + mistyped.Type.String()))
	}
	return err == nil, err
}

func ofMilli(ms int64) gotong.Instant { return gotong.InstantOf(time.UnixMilli(ms)) }

// reaction returns how a reaction is listed: the emoji, the names, and how many more.
func reaction(emoji string, names []string, count int) string {
	s := "[" + emoji + " " + strings.Join(names, ", ")
	if more := count - len(names); more > 0 {
		s = strings.TrimSuffix(s, " ") + " +" + itoa(more)
	}
	return s + "]"
}
