package cases_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/community/cases"
)

var update = flag.Bool("update", false, "write testdata/events.golden anew")

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
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint64:
		v.SetUint(7)
	}
}

// TestEventsKeepTheirForm: the data and the content of events are in logs for
// ever, so their JSON never changes.
func TestEventsKeepTheirForm(t *testing.T) {
	kind, _ := rules(cases.BuiltIn())
	var got bytes.Buffer
	for _, e := range kind.Events {
		data := reflect.New(reflect.TypeOf(e.Data.New()).Elem())
		fill(data.Elem())
		b, err := json.Marshal(data.Interface())
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(e.Name + " " + string(b))
		if e.Content != nil {
			content := reflect.New(reflect.TypeOf(e.Content.New()).Elem())
			fill(content.Elem())
			if b, err = json.Marshal(content.Interface()); err != nil {
				t.Fatal(err)
			}
			got.WriteString(" " + string(b))
		}
		got.WriteString("\n")
	}
	const name = "testdata/events.golden"
	if *update {
		if err := os.WriteFile(name, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%v; the events are\n%s", err, strings.TrimSpace(got.String()))
	}
}
