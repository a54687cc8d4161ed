// Package jsonx is the strict JSON gate: everything a client sends is read
// through it. It refuses what Go's own decoder lets pass: duplicate keys,
// unknown or wrongly cased fields, trailing data, invalid UTF-8, lone
// surrogates, null where a value has to be, and numbers that do not fit.
//
// Two errors leave it, both [gotong.Error]: [gotong.CodeBadJSON] for what is not
// readable JSON or not an object, whatever else is wrong with it, and
// [gotong.CodeInvalid] for JSON that does not fit the Go type, with the path of
// the field and never its value. A body beyond the size limit is
// [gotong.CodeTooLarge].
//
// Two readers share the work. The strict one reads everything; the quick one
// ([flat]) reads the plain objects that most requests are, in a fraction of the
// time, and leaves to the other whatever it does not know. A fuzz test compares
// them.
//
// # Caveats
//
// A type with an UnmarshalJSON of its own decides for itself what it takes;
// only syntax, duplicates and UTF-8 are then checked for it. What keeps the JSON
// as it is, an interface or raw text, may be null; nothing else may: a field
// that is optional is left out.
package jsonx

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gotong.dev/gotong"
)

// Limits bounds what is read.
type Limits struct {
	Bytes int // of the whole text
	Depth int // of objects and arrays within each other
}

// Default is the limits of [Unmarshal]: 256 KiB and 32 levels.
var Default = Limits{Bytes: 256 << 10, Depth: 32}

// Unmarshal reads one JSON object into a pointer to a struct or map, strictly
// and within [Default]. It is a [gotong.Unmarshal].
func Unmarshal(b []byte, into any) error { return Default.Unmarshal(b, into) }

// Unmarshal reads one JSON object into a pointer to a struct or map, strictly
// and within l. After an error what into points to is undefined. Raw JSON in it
// may share the memory of b, which must not be changed afterwards.
func (l Limits) Unmarshal(b []byte, into any) error {
	if len(b) <= l.Bytes && flat(b, into, l.Depth) {
		return nil
	}
	return l.unmarshal(b, into)
}

func (l Limits) unmarshal(b []byte, into any) error {
	if err := l.bounded(b); err != nil {
		return err
	}
	err := json.Unmarshal(b, into, strict)
	if err == nil && firstByte(b) == '{' {
		return nil
	}
	// Malformed JSON is reported as such, even if a field before the fault does
	// not fit either: the answer must not depend on their order.
	if syntax := check(b); syntax != nil {
		return syntax
	}
	if fault := semantic(err); fault != nil {
		return fault
	}
	return err
}

func (l Limits) bounded(b []byte) error {
	switch {
	case len(b) > l.Bytes:
		return gotong.NewError(gotong.CodeTooLarge, "The JSON is larger than allowed here.")
	case tooDeep(b, l.Depth):
		return gotong.NewError(gotong.CodeBadJSON, "The JSON is nested deeper than allowed here.")
	default:
		return nil
	}
}

// tooDeep reports objects and arrays within each other beyond limit. It looks
// at brackets outside of strings only, so that hostile depth costs no stack.
func tooDeep(b []byte, limit int) bool {
	depth, quoted, escaped := 0, false, false
	for _, c := range b {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			if depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

var strict = json.JoinOptions(
	json.RejectUnknownMembers(true),
	json.MatchCaseInsensitiveNames(false),
	jsontext.AllowDuplicateNames(false),
	jsontext.AllowInvalidUTF8(false),
	json.WithUnmarshalers(json.UnmarshalFromFunc(refuseNull)),
)

var errNull = errors.New("jsonx: null")

// refuseNull runs before every value; it leaves all but a misplaced null to
// the usual reading.
func refuseNull(dec *jsontext.Decoder, into any) error {
	if dec.PeekKind() != 'n' || mayBeNull(reflect.TypeOf(into).Elem()) {
		return errors.ErrUnsupported
	}
	return errNull
}

var (
	ownJSON  = reflect.TypeFor[interface{ UnmarshalJSON([]byte) error }]()
	ownJSONv = reflect.TypeFor[json.UnmarshalerFrom]()
)

func mayBeNull(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	raw := t.Kind() == reflect.Slice && (p.Implements(ownJSON) || p.Implements(ownJSONv))
	return raw || t.Kind() == reflect.Interface
}

// check reads b for its form alone.
func check(b []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(b), strict)
	if _, err := dec.ReadValue(); err != nil {
		return badJSON(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return gotong.NewError(gotong.CodeBadJSON, "There is more after the JSON object.")
	}
	if firstByte(b) != '{' {
		return gotong.NewError(gotong.CodeBadJSON, "The JSON must be an object.")
	}
	return nil
}

// firstByte is the first byte that is not white space; 0 where there is none.
func firstByte(b []byte) byte {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}

// Required returns an error that names the fields which a decoded struct must have
// and the object b does not: those without omitempty or omitzero, as the published
// schemas say. A field that is left out must not mean its zero value.
func Required(b []byte, v any) error {
	var check gotong.Check
	var given map[string]jsontext.Value
	for _, f := range mustHave(reflect.TypeOf(v)) {
		if !reflect.ValueOf(v).FieldByIndex(f.index).IsZero() {
			continue
		}
		if given == nil {
			if err := json.Unmarshal(b, &given); err != nil {
				return badJSON(err)
			}
		}
		_, is := given[f.name]
		check.That(is, f.name, "is required")
	}
	return check.Err()
}

type mustField struct {
	name  string
	index []int
}

var musts sync.Map // reflect.Type → []mustField

func mustHave(t reflect.Type) []mustField {
	if known, ok := musts.Load(t); ok {
		return known.([]mustField) //nolint:forcetypeassert // nothing else is stored
	}
	var list []mustField
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && !strings.Contains(options, "omit") {
			list = append(list, mustField{name, f.Index})
		}
	}
	musts.Store(t, list)
	return list
}
