package jsonx_test

import (
	"errors"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/jsonx"
)

// A field that is left out does not mean its zero value, if the schema requires it.
func TestRequired(t *testing.T) {
	type inner struct {
		Deep bool `json:"deep"`
	}
	type command struct {
		Gate    uint64 `json:"transition"`
		Confirm bool   `json:"confirm"`
		Reason  string `json:"reason,omitempty"`
		inner
	}
	for b, want := range map[string][]string{
		`{}`: {"transition", "confirm", "deep"},
		`{"transition":0,"confirm":false,"deep":false}`:                 nil,
		`{"transition":3,"deep":true}`:                                  {"confirm"},
		`{"transition":3,"c\u006fnfirm":false,"deep":true,"reason":""}`: nil,
	} {
		var c command
		if err := jsonx.Unmarshal([]byte(b), &c); err != nil {
			t.Fatal(err)
		}
		var fields []string
		if e, ok := errors.AsType[*gotong.Error](jsonx.Required([]byte(b), c)); ok {
			for _, f := range e.Fields {
				fields = append(fields, f.Field)
			}
		}
		if !slices.Equal(fields, want) {
			t.Errorf("%s lacks %v, want %v", b, fields, want)
		}
	}
}
