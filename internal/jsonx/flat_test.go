package jsonx_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/jsonx"
)

// Structs such as the edge reads: a frame, a post with its embedded origin, and
// one with every sort of field.
type (
	frame struct {
		Op            string          `json:"op"`
		ID            string          `json:"id"`
		Stream        string          `json:"stream"`
		Cursor        *string         `json:"cursor"`
		RequestID     string          `json:"request_id"`
		CorrelationID string          `json:"correlation_id"`
		Type          string          `json:"type"`
		Data          json.RawMessage `json:"data"`
	}
	post struct {
		Body        string            `json:"body"`
		Attachments []json.RawMessage `json:"attachments,omitempty"`
		ReplyTo     gotong.EventID    `json:"reply_to,omitzero"`
		Origin
	}
	Origin struct {
		SentAtMS int64  `json:"sent_at_ms,omitempty"`
		SentBy   string `json:"sent_by,omitempty"`
	}
	sorts struct {
		Text    string          `json:"t"`
		Named   privacy         `json:"p"`
		Yes     bool            `json:"y"`
		Tiny    int8            `json:"i8"`
		Long    int64           `json:"i"`
		Byte    uint8           `json:"u8"`
		Natural uint64          `json:"u"`
		Real    float64         `json:"f"`
		ID      gotong.EventID  `json:"id"`
		At      gotong.Instant  `json:"at"`
		Raw     json.RawMessage `json:"r"`
		List    []string        `json:"l"`
		Item    item            `json:"o"`
		Plain   string
	}
)

func shapes() []func() any {
	return []func() any{func() any { return new(frame) }, func() any { return new(post) }, func() any { return new(sorts) }}
}

// Texts that the quick reader accepts: it would be of no use if it left them to
// the other one.
var quick = []string{
	`{"op":"command","id":"p1","stream":"thread/a","request_id":"r1","type":"message.post","data":{"body":"Halo, \u00e9\n","x":[1,-2.5e-3,true,{"y":"z"}]}}`,
	`{"op":"subscribe","id":"1","stream":"thread/a"}`, `{}`, " {\t\"op\" : \"ping\" }\r\n",
	`{"op":"command","data":{}}`, `{"op":"command","data":{"a":{"b":{"c":[[],{},[1 , 2]]}}}}`, `{"data":"x"}`, `{"data":12}`, `{"data":false}`,
	`{"body":"Halo"}`, `{"body":""}`, `{"body":"\"quoted\" \\ \/ \b\f\n\r\t \u00e9 <&> é 🙂"}`,
	`{"body":"x","reply_to":"0192f5c0-1111-7abc-8def-0123456789ab","sent_at_ms":1764000000000,"sent_by":"Bu Wati"}`,
	`{"t":"a","p":"public","y":true,"i8":-128,"i":-999999999999999999,"u8":255,"u":999999999999999999,"id":"0192f5c0-1111-7abc-8def-0123456789ab","at":"2026-11-23T10:00:00.000001Z","r":{"a":1},"Plain":"x"}`,
	`{"y":false,"i8":127,"u8":0,"i":0}`, `{"t":"` + strings.Repeat("long ", 500) + `"}`,
}

// Texts that it leaves to the strict reader, whatever that says.
var slow = []string{
	``, `[]`, `{`, `{"op":"a",}`, `{"op":"a"}x`, `{"op":null}`, `{"op":"a","op":"b"}`, `{"OP":"a"}`, `{"o\u0070":"a"}`, `{"body":"\ud83d\ude42"}`,
	`{"body":"\ud83d"}`, `{"body":"` + "\xff" + `"}`, `{"body":"` + "\n" + `"}`, `{"body":"\x"}`, `{"body":"\u12g4"}`, `{"body":"\u123`, `{"body":"\`,
	`{"body":1}`, `{"sent_at_ms":1.0}`, `{"sent_at_ms":1e3}`, `{"sent_at_ms":-0}`, `{"sent_at_ms":01}`, `{"sent_at_ms":9223372036854775808}`,
	`{"i8":128}`, `{"i8":-129}`, `{"u8":256}`, `{"u8":-1}`, `{"u":18446744073709551616}`, `{"u":18446744073709551615}`, `{"f":1.5}`, `{"l":["a"]}`, `{"o":{"name":"x"}}`,
	`{"reply_to":"0192F5C0-1111-7abc-8def-0123456789ab"}`, `{"reply_to":"\u0030192f5c0-1111-7abc-8def-0123456789ab"}`, `{"attachments":[]}`,
	`{"data":null}`, `{"data":{"a":null}}`, `{"data":{"a":1,"a":2}}`, `{"data":{"a":01}}`, `{"data":{"a":"\ud800"}}`, `{"data":{"a":"` + "\xff" + `"}}`,
	`{"data":{"a":1}`, `{"data":{"a" 1}}`, `{"data":{"a":1,}}`, `{"data":[1,]}`, `{"data":1.}`, `{"data":1e}`, `{"data":-}`, `{"data":tru}`, `{"data":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
	`{"data":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1}}`, `{"cursor":"start"}`, `{"x":1}`, "\ufeff{}",
}

// same compares the quick reader with the strict one, and returns whether it
// accepted the text for any of the shapes.
func same(t *testing.T, in []byte) (quick bool) {
	t.Helper()
	for _, shape := range shapes() {
		got, want := shape(), shape()
		whole := bytes.Clone(in)
		accepted := jsonx.Flat(whole, got)
		if !bytes.Equal(whole, in) {
			t.Fatalf("%q was changed to %q", in, whole)
		}
		if accepted {
			quick = true
			if err := jsonx.Strict(in, want); err != nil {
				t.Errorf("%T of %q: accepted, where the strict reader says %v", got, in, err)
			} else if !reflect.DeepEqual(got, want) {
				t.Errorf("%T of %q: %+v, want %+v", got, in, got, want)
			}
		}
		both, err := shape(), jsonx.Unmarshal(bytes.Clone(in), got) // over what the quick one may have left
		wrong := jsonx.Strict(in, both)
		if fmt.Sprintf("%#v", err) != fmt.Sprintf("%#v", wrong) || err == nil && !reflect.DeepEqual(got, both) {
			t.Errorf("%T of %q: %+v, %v; want %+v, %v", got, in, got, err, both, wrong)
		}
	}
	return quick
}

func TestFlat(t *testing.T) {
	for _, in := range quick {
		if !same(t, []byte(in)) {
			t.Errorf("left to the strict reader: %s", in)
		}
	}
	for _, in := range slow {
		if same(t, []byte(in)) {
			t.Errorf("read quickly: %s", in)
		}
	}
}

// Types whose rules the quick reader does not know are left to the strict one.
func TestFlatDeclines(t *testing.T) {
	for name, into := range map[string]any{
		"a map": new(map[string]any), "twice the same name": new(struct {
			Name string `json:"sent_by"`
			Origin
		}), "an option": new(struct {
			A int `json:"a,string"`
		}), "an embedded pointer": new(struct{ *Origin }), "its own JSON": new(gotong.EventID), "nil": (*frame)(nil), "no pointer": frame{},
	} {
		if jsonx.Flat([]byte(`{}`), into) {
			t.Errorf("%s was read", name)
		}
	}
}

// FuzzFlat holds the quick reader to the strict one: what it accepts, that
// accepts with the same result.
func FuzzFlat(f *testing.F) {
	for _, in := range append(quick, slow...) {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) { same(t, in) })
}

func BenchmarkPost(b *testing.B) {
	in := []byte(quick[0])
	for name, read := range map[string]func([]byte, any) error{"quick": jsonx.Unmarshal, "strict": jsonx.Strict} {
		b.Run("reader="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var into frame
				if err := read(in, &into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
