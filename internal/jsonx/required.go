package jsonx

import (
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gotong.dev/gotong"
)

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
