package app

import (
	"reflect"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// TestKindsAreWhole: a kind that lacks a function does not get into the table;
// Amends alone may be missing, and Signals where there are none.
func TestKindsAreWhole(t *testing.T) {
	rows := kinds(gotong.OwnAccounts)
	whole := rows[len(rows)-1] // of threads, which have everything
	optional := map[string]bool{"Amends": true, "Signals": true, "Documents": true}
	rules := reflect.TypeFor[gotong.Kind]()
	for i := range rules.NumField() {
		name := rules.Field(i).Name
		t.Run(name, func(t *testing.T) {
			lacking := whole
			if reflect.ValueOf(lacking.rules).Field(i).IsZero() {
				t.Fatalf("a thread has no %s: the test shows nothing", name)
			}
			reflect.ValueOf(&lacking.rules).Elem().Field(i).SetZero()
			defer func() {
				fault := recover()
				if err, ok := fault.(error); optional[name] != (fault == nil) || ok && !strings.Contains(err.Error(), "has no "+name) {
					t.Errorf("without %s: %v", name, fault)
				}
			}()
			rulesOf([]kind{lacking})
		})
	}
}
