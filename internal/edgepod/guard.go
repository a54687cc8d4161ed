package edgepod

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/jsonx"
)

// Bounds are what the validator reads; they also bound what it costs.
var Bounds = jsonx.Limits{Bytes: 256 << 10, Depth: 16}

const (
	maxNumber   = 32 // bytes of a number
	maxExponent = 3  // digits of its exponent
	maxFields   = 20 // reported at once
)

// Validate returns nil if b is one JSON object that the schema accepts. Otherwise
// it returns [gotong.CodeTooLarge], [gotong.CodeBadJSON] or [gotong.CodeInvalid],
// with the place of each field as a JSON pointer, and never a value.
func (s *Schema) Validate(b []byte) (err error) {
	if err := guard(b); err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return badJSON("The JSON cannot be read.")
	}
	compiled := s.compiled() // whose panic is not the value's fault
	defer func() {
		if recover() != nil {
			err = gotong.NewError(gotong.CodeInvalid, "The JSON cannot be validated.")
		}
	}()
	fault := compiled.Validate(value)
	if fault == nil {
		return nil
	}
	invalid := gotong.NewError(gotong.CodeInvalid, "The JSON does not fit the contract.")
	if tree, ok := errors.AsType[*jsonschema.ValidationError](fault); ok {
		invalid.Fields = fields(nil, tree)
	}
	return invalid
}

// guard rejects what the validator must not see: the text must be strict JSON
// within the bounds, with numbers of a moderate length.
func guard(b []byte) error {
	var members map[string]json.RawMessage
	if err := Bounds.Unmarshal(b, &members); err != nil {
		return err
	}
	if !plainNumbers(b) {
		return badJSON("A number has too many digits.")
	}
	return nil
}

func badJSON(detail string) error { return gotong.NewError(gotong.CodeBadJSON, detail) }

// plainNumbers reports whether every number of a JSON text is short and has a
// short exponent.
func plainNumbers(b []byte) bool {
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			i = endOfString(b, i)
		case c == '-' || c >= '0' && c <= '9':
			end := i
			for end < len(b) && strings.IndexByte("+-.eE0123456789", b[end]) >= 0 {
				end++
			}
			number := b[i:end]
			if e := bytes.IndexAny(number, "eE"); end-i > maxNumber ||
				e >= 0 && len(bytes.TrimLeft(number[e+1:], "+-")) > maxExponent {
				return false
			}
			i = end
		default:
			i++
		}
	}
	return true
}

// endOfString returns the place after the string that begins at i.
func endOfString(b []byte, i int) int {
	for i++; i < len(b) && b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// fields returns the leaves of the tree of faults.
func fields(list []gotong.FieldError, e *jsonschema.ValidationError) []gotong.FieldError {
	for _, cause := range e.Causes {
		list = fields(list, cause)
	}
	if len(e.Causes) > 0 || len(list) >= maxFields {
		return list
	}
	add := func(name, detail string) {
		f := gotong.FieldError{Field: pointer(append(slices.Clone(e.InstanceLocation), name)), Detail: detail}
		if len(list) < maxFields {
			list = append(list, f)
		}
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			add(name, "is required")
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			add(name, "is not a field of the contract")
		}
	default:
		list = append(list, gotong.FieldError{
			Field: pointer(e.InstanceLocation), Detail: "does not fit: " + strings.Join(e.ErrorKind.KeywordPath(), "/"),
		})
	}
	return list
}

// longestName bounds the names that come from the text itself.
const longestName = 64

func pointer(path []string) string {
	var b strings.Builder
	for _, name := range path {
		if len(name) > longestName {
			name = strings.ToValidUTF8(name[:longestName], "") + "…"
		}
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return b.String()
}
