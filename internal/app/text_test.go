package app

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// unseen are a control character and one that reverses the text after it.
const unseen = "\x00\u202e"

// TestNoTextHidesCharacters puts such characters into each text of each command, one
// at a time. The command is cleaned of them, or rejected with the field named. So a
// new command cannot leave the step out.
func TestNoTextHidesCharacters(t *testing.T) {
	tried := 0
	for _, kind := range Kinds() {
		for _, typ := range kind.Commands {
			for i := range visit(reflect.ValueOf(typ.New()).Elem(), "", -1, nil) {
				cmd, field := reflect.ValueOf(typ.New()).Elem(), ""
				visit(cmd, "", i, func(name string, text reflect.Value) { text.SetString("a" + unseen + "b"); field = name })
				if slices.Contains(known, typ.Name+" "+field) {
					continue
				}
				tried++
				if err := keeps(cmd, i); err == nil {
					continue
				} else if invalid, ok := errors.AsType[*gotong.Error](err); !ok || !slices.ContainsFunc(invalid.Fields, func(f gotong.FieldError) bool {
					return strings.HasPrefix(f.Field, field)
				}) {
					t.Errorf("%s: %s keeps unseen characters, and no rejection names it: %v", typ.Name, field, err)
				}
			}
		}
	}
	if tried < 40 {
		t.Errorf("only %d texts", tried)
	}
}

// known are the texts that the server makes itself, and those whose values the rules
// compare with what they know.
var known = []string{
	"user.warn_of_webhook webhook_id", "key.add key", "key.add replaces", "key.retire key", "key.retire replaces", "webhook.replay replay_id",
	"message.advise action", "message.advise status", "message.advise provider", "message.advise version", "message.advise prompt",
	"case.create track", "transition.propose track", "transition.propose from_stage", "transition.propose to_stage",
	"upload.start thread", "upload.start home", "upload.store sha256", "upload.store mime_type", "upload.store thumb_sha256",
	"transition.propose gate_profile", "transition.propose gate_status", "transition.propose gate_type",
}

// keeps returns nil if the text i of a cleaned command hides nothing, otherwise the
// error of its validation.
func keeps(cmd reflect.Value, i int) error {
	if c, ok := reflect.TypeAssert[gotong.Cleaner](cmd); ok {
		if clean := c.Clean(); clean != nil {
			cmd = reflect.New(cmd.Type()).Elem()
			cmd.Set(reflect.ValueOf(clean))
		}
	}
	hides := false
	visit(cmd, "", i, func(_ string, text reflect.Value) { hides = strings.ContainsAny(text.String(), unseen) })
	v, ok := reflect.TypeAssert[gotong.Validator](cmd)
	switch {
	case !hides:
		return nil
	case !ok:
		return errors.New("nothing validates it")
	default:
		return errors.Join(gotong.Validate(v), errors.New("it is kept"))
	}
}

// visit calls do for text n of a command, with the field that holds it, and returns
// how many texts there are, with one item in each empty list.
func visit(v reflect.Value, field string, n int, do func(field string, text reflect.Value)) (count int) {
	within := func(item reflect.Value, put func()) int {
		count := visit(item, field, n, do)
		if n >= 0 && n < count {
			put()
		}
		return count
	}
	switch v.Kind() { //nolint:exhaustive // others hold no text
	case reflect.String:
		if n == 0 {
			do(field, v)
		}
		return 1
	case reflect.Pointer:
		item := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			item = v
		}
		return within(item.Elem(), func() { v.Set(item) })
	case reflect.Slice:
		if v.Len() > 0 {
			return visit(v.Index(0), field, n, do)
		}
		item := reflect.New(v.Type().Elem()).Elem()
		return within(item, func() { v.Set(reflect.Append(v, item)) })
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous {
				name = field
			}
			if f.IsExported() {
				count += visit(v.Field(i), name, n-count, do)
			}
		}
	}
	return count
}
