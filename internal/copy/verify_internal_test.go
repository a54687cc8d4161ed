package copy

import (
	"reflect"
	"testing"

	"gotong.dev/gotong/internal/store"
)

// TestSameEventComparesEveryField: also a field that is added later.
func TestSameEventComparesEveryField(t *testing.T) {
	fields := reflect.TypeFor[store.Event]()
	for i := range fields.NumField() {
		var x, y store.Event
		v := reflect.ValueOf(&y).Elem().Field(i)
		switch v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int64:
			v.SetInt(1)
		case reflect.Uint64, reflect.Uint8:
			v.SetUint(1)
		case reflect.Slice:
			v.SetBytes([]byte{})
		case reflect.Array:
			v.Index(v.Len() - 1).SetUint(1)
		default:
			t.Fatalf("the test does not know how to change %s", fields.Field(i).Name)
		}
		if sameEvent(&x, &y) || !sameEvent(&y, &y) {
			t.Errorf("does not see %s", fields.Field(i).Name)
		}
	}
}
