package communitytest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"gotong.dev/gotong"
)

// Forms returns the JSON of the data and the content of each event of a kind, with
// every field set. Both are in logs for ever, so a test compares them with a file.
func Forms(t T, kind gotong.Kind) string {
	t.Helper()
	var all strings.Builder
	for _, e := range kind.Events {
		_, _ = fmt.Fprintf(&all, "%s %s", e.Name, form(t, e.Data))
		if e.Content != nil {
			_, _ = fmt.Fprintf(&all, " %s", form(t, *e.Content))
		}
		all.WriteString("\n")
	}
	return all.String()
}

func form(t T, of gotong.Type) []byte {
	t.Helper()
	v := reflect.ValueOf(of.New())
	fill(v.Elem())
	b, err := json.Marshal(v.Interface())
	if err != nil {
		t.Fatalf("%s: %v", of.Name, err)
	}
	return b
}

// fill sets every field of a value, so that its JSON shows all names.
func fill(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // no event has other fields
	case reflect.Struct:
		for _, f := range v.Fields() {
			fill(f)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(0.5)
	}
}
