package jsonx

import (
	"encoding"
	stdjson "encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// flat reads an object into a struct whose fields are strings, whole numbers,
// booleans and raw JSON, as almost every command is. It takes a fifth of the
// time of the strict reader and allocates all strings at once. It accepts only what the
// strict reader accepts, with the same result. At anything else, such as a
// field that it does not know, an error or a null, it returns false, and the
// strict reader decides.
func flat(b []byte, into any, depth int) bool {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return false
	}
	shape := shapeOf(v.Type().Elem())
	if shape == nil {
		return false
	}
	var room [16]member
	members, ok := shape.scan(b, room[:0], depth)
	return ok && shape.assign(b, v.Elem(), members)
}

// shape is a type that flat reads.
type shape []field

type field struct {
	name  string
	index []int
	sort  sort
	bits  int // of a number
}

// sort is what flat can read into a field.
type sort uint8

const (
	other sort = iota // left to the strict reader
	text
	own // of a type that reads text itself
	number
	natural
	boolean
	raw
)

// maxFields is how many fields a shape may have: one bit each says which were
// read.
const maxFields = 64

var shapes sync.Map // reflect.Type → shape

// shapeOf returns the shape of a type; nil where flat does not read it.
func shapeOf(t reflect.Type) shape {
	if known, ok := shapes.Load(t); ok {
		return known.(shape) //nolint:forcetypeassert // nothing else is stored
	}
	var s shape
	if t.Kind() == reflect.Struct && !implements(t, ownJSON, ownJSONv, ownText) {
		if fields, ok := fieldsOf(t, nil); ok && len(fields) <= maxFields && distinct(fields) {
			s = fields
		}
	}
	shapes.Store(t, s)
	return s
}

func implements(t reflect.Type, one ...reflect.Type) bool {
	for _, i := range one {
		if reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

func distinct(fields []field) bool {
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.name] {
			return false
		}
		seen[f.name] = true
	}
	return true
}

// fieldsOf returns the fields of a struct, those of embedded structs among
// them. It is false where their names follow rules that are not known here.
func fieldsOf(t reflect.Type, index []int) (fields []field, ok bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		at := append(slices.Clip(index), i)
		switch {
		case tag == "-":
		case !f.IsExported():
			if tagged || f.Anonymous {
				return nil, false
			}
		case f.Anonymous && name == "":
			if f.Type.Kind() != reflect.Struct || implements(f.Type, ownJSON, ownJSONv, ownText) {
				return nil, false
			}
			inner, ok := fieldsOf(f.Type, at)
			if !ok {
				return nil, false
			}
			fields = append(fields, inner...)
		case name == "" && options == "":
			fields = append(fields, fieldOf(f.Name, at, f.Type))
		case !isName(name), options != "" && options != "omitempty" && options != "omitzero":
			return nil, false
		default:
			fields = append(fields, fieldOf(name, at, f.Type))
		}
	}
	return fields, true
}

func fieldOf(name string, index []int, t reflect.Type) field {
	f := field{name: name, index: index}
	f.sort, f.bits = sortOf(t)
	return f
}

func sortOf(t reflect.Type) (s sort, bits int) {
	switch {
	case t == reflect.TypeFor[stdjson.RawMessage](), t == reflect.TypeFor[jsontext.Value]():
		return raw, 0
	case implements(t, ownJSON, ownJSONv), t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[time.Duration]():
		return other, 0
	case implements(t, ownText):
		return own, 0
	}
	switch t.Kind() {
	case reflect.String:
		return text, 0
	case reflect.Bool:
		return boolean, 0
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return number, t.Bits()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return natural, t.Bits()
	default:
		return other, 0
	}
}

// member is the value of a field that was read.
type member struct {
	field    uint8
	escaped  bool // the text has escapes
	from, to int  // of the text, without its quotes, or of the raw JSON
	n        int64
}

// scan finds the members of an object.
func (s shape) scan(b []byte, members []member, depth int) ([]member, bool) {
	r := scanner{b: b}
	seen := uint64(0)
	if r.space(); depth < 1 || !r.take('{') {
		return nil, false
	}
	r.space()
	for more := !r.take('}'); more; {
		name, ok := r.name()
		at := s.find(name)
		if !ok || at < 0 || seen&(1<<at) != 0 {
			return nil, false
		}
		seen |= 1 << at
		m := member{field: uint8(at)} //nolint:gosec // below maxFields
		if !r.value(&m, &s[at], depth-1) {
			return nil, false
		}
		members = append(members, m)
		if more, ok = r.next('}'); !ok {
			return nil, false
		}
	}
	r.space()
	return members, r.at == len(b)
}

func (s shape) find(name []byte) int {
	for i := range s {
		if s[i].name == string(name) {
			return i
		}
	}
	return -1
}

// assign puts the members where they belong. What can fail comes first, so that
// the strict reader begins with raw JSON as it was.
func (s shape) assign(b []byte, v reflect.Value, members []member) bool {
	size := 0 // of the texts that are kept as they are
	for _, m := range members {
		f := &s[m.field]
		if f.sort == text && !m.escaped {
			size += m.to - m.from
		}
		if f.sort != own {
			continue
		}
		reader, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.FieldByIndex(f.index).Addr())
		if !ok || reader.UnmarshalText(b[m.from:m.to]) != nil {
			return false
		}
	}
	var texts strings.Builder // one object for all of them
	texts.Grow(size)
	for _, m := range members {
		f := &s[m.field]
		at := v.FieldByIndex(f.index)
		switch f.sort {
		case text:
			if m.escaped {
				plain, _ := jsontext.AppendUnquote(nil, b[m.from-1:m.to+1]) // scanned
				at.SetString(string(plain))
				continue
			}
			start := texts.Len()
			_, _ = texts.Write(b[m.from:m.to])
			at.SetString(texts.String()[start:])
		case number:
			at.SetInt(m.n)
		case natural:
			at.SetUint(uint64(m.n)) //nolint:gosec // scanned: not below 0
		case boolean:
			at.SetBool(m.n != 0)
		case raw:
			at.SetBytes(b[m.from:m.to:m.to])
		case other, own:
		}
	}
	return true
}
