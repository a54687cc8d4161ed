package app

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/thread"
)

// TestKindsAreWhole: a kind that lacks a function does not get into the table;
// Amends alone may be missing, Signals where there are none, Lends, Timers, Replay,
// Evidence and Webhooks.
func TestKindsAreWhole(t *testing.T) {
	rows := kinds(gotong.OwnAccounts, cases.BuiltIn())
	whole := rows[slices.IndexFunc(rows, func(k kind) bool { return k.rules.Name == thread.Name })] // of threads, which have everything else
	whole.rules.Timers = func(gotong.Event) []gotong.Timer { return nil }
	whole.rules.Lends = &gotong.Lends{OfUser: "user_threads", Roles: map[string]gotong.Standing{"member": gotong.Ordinary}}
	whole.rules.Replay = func() func(gotong.Event) error { return func(gotong.Event) error { return nil } }
	whole.rules.Evidence = &gotong.Evidence{}
	optional := map[string]bool{
		"Amends": true, "Signals": true, "Documents": true, "Lends": true, "Timers": true, "Timed": true, "Replay": true, "Evidence": true,
		"Webhooks": true,
	}
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

func TestLendersAreWhole(t *testing.T) {
	roles := map[string]gotong.Standing{"player": gotong.Ordinary}
	for want, lends := range map[string]gotong.Lends{
		"Lends.Roles": {OfUser: "user_clubs"}, "Lends.OfUser": {Roles: roles}, "": {OfUser: "user_clubs", Roles: roles},
	} {
		rules := Kinds()[0]
		rules.Lends = &lends
		if err := rules.Check(); (err != nil) != (want != "") || err != nil && !strings.HasSuffix(err.Error(), "has no "+want) {
			t.Errorf("got %v, want that %q is missing", err, want)
		}
	}
}
