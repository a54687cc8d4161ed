package jsonx

import (
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gotong.dev/gotong"
)

// badJSON says what is wrong with the form, and where, without a byte of it.
func badJSON(err error) error {
	detail := "The JSON cannot be read"
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		detail = "The JSON has an object with a name twice"
	case errors.Is(err, io.EOF):
		return gotong.NewError(gotong.CodeBadJSON, "There is no JSON.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		detail = "The JSON ends too early"
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		detail += ", at byte " + strconv.FormatInt(syntax.ByteOffset, 10)
	}
	return gotong.NewError(gotong.CodeBadJSON, detail+".")
}

// semantic says which field does not fit; nil for an error that is not about
// one, which is a fault of the Go type.
func semantic(err error) error {
	var fault *json.SemanticError
	if !errors.As(err, &fault) {
		return nil
	}
	field := fieldPath(fault.JSONPointer)
	var own *gotong.Error
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return gotong.Invalid(field, unknown(fault))
	case errors.As(fault.Err, &own) && len(own.Fields) == 1:
		return gotong.Invalid(field, own.Fields[0].Detail)
	case errors.Is(err, errNull):
		return gotong.Invalid(field, "must not be null")
	case errors.Is(err, strconv.ErrRange):
		return gotong.Invalid(field, "is a number that does not fit")
	case fault.JSONKind == 0: // what to read into is unfit, not the JSON
		return nil
	default:
		return gotong.Invalid(field, "must be "+describe(fault.GoType))
	}
}

// unknown is the detail for a name that the type does not have, with the right
// spelling where only the case is wrong.
func unknown(fault *json.SemanticError) string {
	name := fault.JSONPointer.LastToken()
	if near := sameButCase(fault.GoType, name); near != "" {
		return "is unknown; names are case-sensitive, it is " + near
	}
	return "is unknown"
}

func sameButCase(t reflect.Type, name string) string {
	if t == nil || t.Kind() != reflect.Struct {
		return ""
	}
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag != "" && strings.EqualFold(tag, name) {
			return tag
		}
	}
	return ""
}

var ownText = reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()

// describe names a Go type in the words of JSON.
func describe(t reflect.Type) string {
	if t == nil {
		return "of another type"
	}
	if reflect.PointerTo(t).Implements(ownText) {
		return "a string of the right form"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number that fits"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number that fits, not below 0"
	case reflect.Float32, reflect.Float64:
		return "a number that fits"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "of another type"
	}
}

// fieldPath turns a JSON pointer (RFC 6901) into a path such as
// attachments[3].name. A name that a client made up appears only where it
// could be the name of a field; "…" stands for any other.
func fieldPath(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		switch {
		case isIndex(token):
			b.WriteString("[" + token + "]")
			continue
		case b.Len() > 0:
			b.WriteByte('.')
		}
		if !isName(token) {
			token = "…"
		}
		b.WriteString(token)
	}
	if b.Len() == 0 {
		return "body"
	}
	return b.String()
}

func isIndex(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

func isName(s string) bool {
	const longest = 48
	if s == "" || len(s) > longest {
		return false
	}
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && c != '_' && c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
