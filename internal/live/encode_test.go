package live

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// The header is that of RFC 6455, section 5.2: FIN and text, no mask, the
// length in 7, 7+16 or 7+64 bits.
func TestFrameHeader(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20} {
		text := []byte(strings.Repeat("x", n))
		f := NewFrame(text)
		b := f.WebSocket()
		length, rest := uint64(b[1]), b[2:]
		switch length {
		case 126:
			length, rest = uint64(binary.BigEndian.Uint16(rest)), rest[2:]
		case 127:
			length, rest = binary.BigEndian.Uint64(rest), rest[8:]
		}
		if b[0] != 0x81 || length != uint64(n) || !bytes.Equal(rest, text) || !bytes.Equal(f.JSON(), text) {
			t.Errorf("%d: % x…", n, b[:min(len(b), 12)])
		}
	}
}

func TestMerge(t *testing.T) {
	for _, tc := range []struct{ a, b, want string }{
		{`{"a":1}`, ``, `{"a":1}`},
		{`{"a":1}`, `{}`, `{"a":1}`},
		{`{"a":1}`, `{"b":2}`, `{"a":1,"b":2}`},
		{`{}`, `{"b":2}`, `{"b":2}`},
		{` {"a":1} `, ` {"b":"}"} `, `{"a":1,"b":"}"}`},
		{`{}`, ``, `{}`},
		{`{}`, `null`, `{}`},
	} {
		if got := string(merge([]byte(tc.a), []byte(tc.b))); got != tc.want {
			t.Errorf("merge(%s, %s) = %s, want %s", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "plain", `qu"ote`, `back\slash`, "new\nline", "é", "<&>", "\u2028", "\x00", "bad\xff"} {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") {
			t.Errorf("%q became %q, %v", s, got, err)
		}
	}
}

// naming is data that names users.
type naming []string

func (n naming) Named() []string { return n }

// The wire form of one event, to the byte.
func TestEventGolden(t *testing.T) {
	at := gotong.Instant(1_795_420_800_000_001)
	e := gotong.Event{
		Stream: "room/1", Seq: 44, ID: gotong.NewEventID(at, 1), Type: "said", At: at,
		Actor: gotong.Actor{UserID: "u1", Role: gotong.RoleUser}, RequestID: "r1", CorrelationID: "c1",
	}
	want := `{"seq":44,"id":"` + e.ID.String() + `","type":"said","at":"` + at.String() +
		`","actor":{"user_id":"u1","name":"Bu Sri","role":"user"},"data":{"n":7},"erased":true,"request_id":"r1",` +
		`"correlation_id":"c1","chain":"` + strings.Repeat("0", 64) + `"}`
	if got := string(appendEvent(nil, &e, gotong.Hash{}, []byte(`{"n":7}`), func(string) string { return "Bu Sri" }, true)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	e.Data = naming{"u2", "u1", "u3", "u2"}
	name := func(id string) string { return map[string]string{"u1": "Bu Sri", "u2": "Pak Joko"}[id] }
	if got := string(appendEvent(nil, &e, gotong.Hash{}, []byte(`{}`), name, false)); !strings.Contains(got, `"data":{},"names":{"u2":"Pak Joko","u1":"Bu Sri"},"request_id"`) {
		t.Error(got)
	}
	if got := string(covering("room/1", 3, 9).JSON()); got != `{"op":"events","stream":"room/1","from":3,"to":9,"events":[]}` {
		t.Error(got)
	}
}

func TestRing(t *testing.T) {
	var r ring
	push := func(seq uint64) {
		r.push(seq, entry{frame: NewFrame(fmt.Append(nil, seq))}, 5, 1<<20)
	}
	check := func(base, head uint64) {
		t.Helper()
		bytes := 0
		for seq := r.base + 1; seq <= r.head; seq++ {
			if got := string(r.at(seq).frame.JSON()); got != fmt.Sprint(seq) {
				t.Errorf("at %d: %s", seq, got)
			}
			bytes += len(r.at(seq).frame.buf)
		}
		if r.base != base || r.head != head || r.bytes != bytes {
			t.Errorf("(%d, %d] %d bytes, want (%d, %d] %d", r.base, r.head, r.bytes, base, head, bytes)
		}
	}
	push(10)
	check(9, 10)
	for seq := range uint64(30) {
		push(11 + seq)
	}
	check(35, 40)
	r.cut(38)
	check(38, 40)
	push(50) // does not follow
	check(49, 50)
	r.skip(51)
	check(51, 51)
	r.forget()
	r.begin(7)
	r.begin(9)
	check(7, 7)
	r.push(8, entry{frame: NewFrame(make([]byte, 100))}, 5, 50)
	if r.len() != 1 {
		t.Error("the newest event must stay, however large")
	}
}
