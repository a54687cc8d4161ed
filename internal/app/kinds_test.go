package app

import (
	"reflect"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// TestKindsAreWhole: a kind that lacks a function does not get into the table;
// Amends alone may be missing, Signals where there are none, and Lends.
func TestKindsAreWhole(t *testing.T) {
	rows := kinds(gotong.OwnAccounts)
	whole := rows[len(rows)-1] // of threads, which have everything else
	whole.rules.Lends = &gotong.Lends{Prefix: "t-", OfUser: "user_threads"}
	optional := map[string]bool{"Amends": true, "Signals": true, "Documents": true, "Lends": true}
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

// TestLendersNameTheirStreams: without a prefix, every scope would be a home of
// the kind.
func TestLendersNameTheirStreams(t *testing.T) {
	for want, lends := range map[string]gotong.Lends{
		"Lends.Prefix": {OfUser: "user_clubs"}, "Lends.OfUser": {Prefix: "club-"}, "": {Prefix: "club-", OfUser: "user_clubs"},
	} {
		rules := Kinds()[0]
		rules.Lends = &lends
		if err := rules.Check(); (err != nil) != (want != "") || err != nil && !strings.HasSuffix(err.Error(), "has no "+want) {
			t.Errorf("got %v, want that %q is missing", err, want)
		}
	}
}
