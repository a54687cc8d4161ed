package store_test

import (
	"reflect"
	"testing"

	"gotong.dev/gotong/internal/store"
)

// maxMethods bounds the port: an adapter is written by hand, and each method is
// one more promise that the suite has to check.
const maxMethods = 14

func TestThePortStaysSmall(t *testing.T) {
	if n := reflect.TypeFor[store.Store]().NumMethod(); n > maxMethods {
		t.Errorf("store.Store has %d methods; at most %d", n, maxMethods)
	}
}
