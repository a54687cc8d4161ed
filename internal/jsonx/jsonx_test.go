package jsonx_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/jsonx"
)

type item struct {
	Name string `json:"name"`
}

type privacy string

type target struct {
	Body    string          `json:"body"`
	Privacy privacy         `json:"privacy_level"`
	Count   int             `json:"count"`
	Small   uint8           `json:"small"`
	Ratio   float64         `json:"ratio"`
	Yes     bool            `json:"yes"`
	Items   []item          `json:"items"`
	Maybe   *string         `json:"maybe"`
	Raw     json.RawMessage `json:"raw"`
	ID      gotong.EventID  `json:"id"`
	At      gotong.Instant  `json:"at"`
	Free    map[string]any  `json:"free"`
}

const secret = "hunter2"

func TestUnmarshal(t *testing.T) {
	const ok = gotong.Code("")
	tests := []struct {
		name, in string
		code     gotong.Code
		field    string
	}{
		{"empty object", `{}`, ok, ""},
		{"all fields", `{"body":"a","privacy_level":"public","count":-3,"small":255,"ratio":1.5,"yes":true,
			"items":[{"name":"x"}],"maybe":"m","raw":{"a":[1]},"id":"0192f5c0-1111-7abc-8def-0123456789ab",
			"at":"2026-11-23T10:00:00.000001Z","free":{"a":null}}`, ok, ""},
		{"white space around", " \t\r\n{}\n", ok, ""},
		{"null where it may be", `{"raw":null,"free":{"a":null}}`, ok, ""},
		{"null for an optional field", `{"maybe":null}`, gotong.CodeInvalid, "maybe"},
		{"null for an array", `{"items":null}`, gotong.CodeInvalid, "items"},
		{"surrogate pair", `{"body":"\ud83d\ude00"}`, ok, ""},

		{"nothing", ``, gotong.CodeBadJSON, ""},
		{"white space only", " \n", gotong.CodeBadJSON, ""},
		{"cut off", `{"body":"a"`, gotong.CodeBadJSON, ""},
		{"trailing comma", `{"body":"a",}`, gotong.CodeBadJSON, ""},
		{"comment", `{/* */}`, gotong.CodeBadJSON, ""},
		{"single quotes", `{'body':'a'}`, gotong.CodeBadJSON, ""},
		{"leading zero", `{"count":01}`, gotong.CodeBadJSON, ""},
		{"plus", `{"count":+1}`, gotong.CodeBadJSON, ""},
		{"NaN", `{"ratio":NaN}`, gotong.CodeBadJSON, ""},
		{"control character", "{\"body\":\"a\nb\"}", gotong.CodeBadJSON, ""},
		{"BOM", "\xef\xbb\xbf{}", gotong.CodeBadJSON, ""},
		{"duplicate", `{"body":"a","body":"b"}`, gotong.CodeBadJSON, ""},
		{"duplicate by escape", `{"body":"a","\u0062ody":"b"}`, gotong.CodeBadJSON, ""},
		{"duplicate deep", `{"items":[{"name":"a","name":"a"}]}`, gotong.CodeBadJSON, ""},
		{"duplicate in raw", `{"raw":{"a":1,"a":2}}`, gotong.CodeBadJSON, ""},
		{"duplicate in free", `{"free":{"a":{"b":1,"b":2}}}`, gotong.CodeBadJSON, ""},
		{"duplicate unknown", `{"x":1,"x":2}`, gotong.CodeBadJSON, ""},
		{"invalid UTF-8 in value", "{\"body\":\"\xff\"}", gotong.CodeBadJSON, ""},
		{"invalid UTF-8 in name", "{\"\xc3\x28\":1}", gotong.CodeBadJSON, ""},
		{"overlong UTF-8", "{\"body\":\"\xc0\xaf\"}", gotong.CodeBadJSON, ""},
		{"invalid UTF-8 in raw", "{\"raw\":\"\xff\"}", gotong.CodeBadJSON, ""},
		{"lone high surrogate", `{"body":"\ud800"}`, gotong.CodeBadJSON, ""},
		{"lone low surrogate", `{"body":"\udc00"}`, gotong.CodeBadJSON, ""},
		{"surrogates the wrong way", `{"body":"\udc00\ud800"}`, gotong.CodeBadJSON, ""},
		{"lone surrogate in raw", `{"raw":"\ud800x"}`, gotong.CodeBadJSON, ""},
		{"second object", `{}{}`, gotong.CodeBadJSON, ""},
		{"trailing garbage", `{} x`, gotong.CodeBadJSON, ""},
		{"array", `[]`, gotong.CodeBadJSON, ""},
		{"string", `"{}"`, gotong.CodeBadJSON, ""},
		{"number", `1`, gotong.CodeBadJSON, ""},
		{"null", `null`, gotong.CodeBadJSON, ""},
		{"too deep", `{"raw":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, gotong.CodeBadJSON, ""},
		{"brackets in a string are no depth", `{"body":"` + strings.Repeat(`[{\"`, 64) + `"}`, ok, ""},
		{"too large", `{"body":"` + strings.Repeat("a", 256<<10) + `"}`, gotong.CodeTooLarge, ""},
		{"bad form beats bad field", `{"unknown":1,"body":2,`, gotong.CodeBadJSON, ""},
		{"bad form beats bad field, duplicate", `{"count":"x","yes":true,"yes":true}`, gotong.CodeBadJSON, ""},

		{"unknown field", `{"` + "colour" + `":"` + secret + `"}`, gotong.CodeInvalid, "colour"},
		{"unknown field deep", `{"items":[{"name":"a"},{"nome":1}]}`, gotong.CodeInvalid, "items[1].nome"},
		{"unknown name that is content", `{"` + secret + ` is it":1}`, gotong.CodeInvalid, "…"},
		{"wrong case", `{"Body":"` + secret + `"}`, gotong.CodeInvalid, "Body"},
		{"all upper", `{"BODY":"` + secret + `"}`, gotong.CodeInvalid, "BODY"},
		{"fold with long s", `{"itemſ":[]}`, gotong.CodeInvalid, "…"},
		{"fold without underscore", `{"privacylevel":"public"}`, gotong.CodeInvalid, "privacylevel"},
		{"Go name", `{"Privacy":"public"}`, gotong.CodeInvalid, "Privacy"},
		{"number for string", `{"body":42}`, gotong.CodeInvalid, "body"},
		{"string for number", `{"count":"` + secret + `"}`, gotong.CodeInvalid, "count"},
		{"string for bool", `{"yes":"true"}`, gotong.CodeInvalid, "yes"},
		{"object for array", `{"items":{}}`, gotong.CodeInvalid, "items"},
		{"array for object", `{"items":[[]]}`, gotong.CodeInvalid, "items[0]"},
		{"null for string", `{"body":null}`, gotong.CodeInvalid, "body"},
		{"null for named string", `{"privacy_level":null}`, gotong.CodeInvalid, "privacy_level"},
		{"null for number", `{"count":null}`, gotong.CodeInvalid, "count"},
		{"null for bool", `{"yes":null}`, gotong.CodeInvalid, "yes"},
		{"null for object", `{"items":[null]}`, gotong.CodeInvalid, "items[0]"},
		{"null for text", `{"id":null}`, gotong.CodeInvalid, "id"},
		{"overflow", `{"small":256}`, gotong.CodeInvalid, "small"},
		{"negative for unsigned", `{"small":-1}`, gotong.CodeInvalid, "small"},
		{"beyond int64", `{"count":9223372036854775808}`, gotong.CodeInvalid, "count"},
		{"fraction for int", `{"count":1.5}`, gotong.CodeInvalid, "count"},
		{"exponent for int", `{"count":1e3}`, gotong.CodeInvalid, "count"},
		{"beyond float64", `{"ratio":1e999}`, gotong.CodeInvalid, "ratio"},
		{"text of the wrong form", `{"id":"` + secret + `"}`, gotong.CodeInvalid, "id"},
		{"time of the wrong form", `{"at":"` + secret + `"}`, gotong.CodeInvalid, "at"},
		{"number for text", `{"at":5}`, gotong.CodeInvalid, "at"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var v target
			err := jsonx.Unmarshal([]byte(tc.in), &v)
			if got := gotong.CodeOf(err); got != tc.code {
				t.Fatalf("code %q, want %q (%v)", got, tc.code, err)
			}
			if err == nil {
				return
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds a value: %v", err)
			}
			var e *gotong.Error
			if !errors.As(err, &e) {
				t.Fatalf("not a gotong.Error: %T", err)
			}
			if tc.field != "" && (len(e.Fields) != 1 || e.Fields[0].Field != tc.field) {
				t.Errorf("fields %v, want %q", e.Fields, tc.field)
			}
		})
	}
}

func TestDetails(t *testing.T) {
	tests := []struct{ in, detail string }{
		{`{"Privacy_Level":1}`, "Privacy_Level is unknown; names are case-sensitive, it is privacy_level"},
		{`{"nope":1}`, "nope is unknown"},
		{`{"count":"1"}`, "count must be a whole number that fits"},
		{`{"small":300}`, "small is a number that does not fit"},
		{`{"at":"x"}`, "at must be an RFC 3339 time"},
		{`{"id":"x"}`, "id must be a UUIDv7 in lower case"},
		{`{"id":1}`, "id must be a string of the right form"},
		{`{"yes":null}`, "yes must not be null"},
		{`{"items":1}`, "items must be an array"},
		{`{"a":1,"a":2}`, "The JSON has an object with a name twice, at byte 7."},
		{`{"a":`, "The JSON ends too early, at byte 5."},
		{``, "There is no JSON."},
		{`{} 1`, "There is more after the JSON object."},
		{`[]`, "The JSON must be an object."},
	}
	for _, tc := range tests {
		var e *gotong.Error
		if err := jsonx.Unmarshal([]byte(tc.in), new(target)); !errors.As(err, &e) || e.Detail != tc.detail {
			t.Errorf("%s: %v, want %q", tc.in, err, tc.detail)
		}
	}
}

func TestDecodeOfAType(t *testing.T) {
	typ := gotong.TypeOf[item]("item")
	v, err := typ.Decode(jsonx.Unmarshal, []byte(`{"name":"a"}`))
	if err != nil || v != (item{"a"}) {
		t.Fatalf("%v, %v", v, err)
	}
	if _, err := typ.Decode(jsonx.Unmarshal, []byte(`{"Name":"a"}`)); gotong.CodeOf(err) != gotong.CodeInvalid {
		t.Fatal(err)
	}
}

func TestAFaultOfTheTypeIsNoFaultOfTheClient(t *testing.T) {
	if err := jsonx.Unmarshal([]byte(`{}`), target{}); gotong.CodeOf(err) != gotong.CodeInternal {
		t.Fatalf("not a pointer: %v", err)
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	in := []byte(`{"body":"Besok jam 7 kita bersihkan selokan","count":3,"items":[{"name":"sapu"},{"name":"cangkul"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		var v target
		if err := jsonx.Unmarshal(in, &v); err != nil {
			b.Fatal(err)
		}
	}
}
